"""The content of `run.json`: everything that measuring and reporting need beside arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from dosimeter.families.membership.design.design import Design
from dosimeter.families.membership.table.table import ScoresTable
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.version import __version__
from dosimeter.pipeline.recipe.prepare import Prepared
from dosimeter.pipeline.run_folder import FORMAT
from dosimeter.pipeline.supplied.prepared import PreparedSupplied, Supplied
from dosimeter.training.defending import DefenseRow


def recipe_summary(prepared: Prepared) -> dict[str, Any]:
    """Summary of a recipe's audit, for measuring and reporting."""
    audit, dataset, design = prepared.audit, prepared.system.at_risk, prepared.case.design
    owners = {"persons": dataset.persons, "groups": dataset.groups}
    count = {name: None if values is None else len(np.unique(values)) for name, values in owners.items()}
    return {
        "schema": FORMAT,
        "dosimeter": __version__,
        "door": "recipe",
        "audit_key": prepared.key,
        "name": audit.name,
        "seed": audit.seed,
        "noun": audit.report.noun or dataset.noun,
        "leading_fpr": audit.report.leading_fpr,
        "data": {
            "name": audit.stages[audit.at_risk].data,
            "records": len(dataset) - (0 if prepared.case.canaries is None else len(prepared.case.canaries.rows)),
            "candidates": len(design.ids),
            "population": len(prepared.case.split.population),
            "classes": len(dataset.classes),
            "members_per_target": len(prepared.case.split.pool) // 2,
            "most_frequent_class": _most_frequent(design),
            **count,
        },
        "chain": _chain(prepared),
        "threat": {
            "at_risk": audit.stages[audit.at_risk].name,
            "access": audit.threat.access,
            "shadows": audit.threat.shadows,
            "targets": audit.threat.targets,
            "population": len(prepared.case.split.population),
            "views": list(audit.views),
            **({"unit": "person"} if audit.threat.unit == "person" else {}),
            **({"knows": list(audit.threat.knows)} if audit.threat.knows else {}),
            **({"fold_pairs": audit.threat.fold_pairs} if audit.threat.fold_pairs > 1 else {}),
        },
    }


def _most_frequent(design: Design) -> float:
    """Share of the most frequent class among the judged records."""
    return float(np.bincount(design.labels).max() / len(design.labels))


def _chain(prepared: Prepared) -> list[dict[str, Any]]:
    """Stages of a recipe."""
    audit, bounds = prepared.audit, _privacy(prepared)
    chain = []
    for index, (stage, link) in enumerate(zip(audit.stages, prepared.system.links, strict=False)):
        settings = {**link.hyperparameters.settings, "options": dict(link.options)}
        if stage.given:
            settings = {"weights": stage.weights, "options": dict(link.options)}
        elif stage.fit:
            settings = {"fit": stage.fit, "options": dict(link.options)}
        of_method = {"last-k": ("last_k",), "lora": ("lora_rank", "lora_alpha")}.get(stage.transfer, ())
        settings |= {name: getattr(stage, name) for name in of_method}
        if audit.defenses[index]:
            settings["defenses"] = [in_words(row) for row in audit.defenses[index]]
        if index in bounds:
            settings["privacy"] = bounds[index]
        chain.append(
            {
                "stage": stage.name,
                "data": stage.data,
                "model": stage.model,
                "transfer": "given" if stage.given else stage.transfer,
                "given": stage.given,
                "at_risk": index == audit.at_risk,
                "settings": settings,
            }
        )
    return chain


def _privacy(prepared: Prepared) -> dict[int, str]:
    """Guarantees for the records of stages, in words, by the stage's number."""
    jobs = prepared.case.jobs
    packs = [*jobs.common, *jobs.packs[:1], *(pack for one in jobs.later for pack in one.packs[:1])]
    found = {len(pack.links) - 1: pack.recipe.privacy for pack in packs}
    more = "; somebody with k records has k times epsilon" if prepared.audit.threat.unit == "person" else ""
    return {index: f"{privacy}{more}" for index, privacy in found.items() if privacy is not None}


def in_words(row: DefenseRow) -> str:
    """A defense with its settings, in words."""
    return f"{row.name} ({', '.join(f'{key} {value}' for key, value in row.settings.items())})"


def supplied_summary(prepared: PreparedSupplied) -> dict[str, Any]:
    """Summary of a supplied model's audit."""
    supplied, design = prepared.supplied, prepared.case.design
    members = supplied.members
    population = len(design.population_ids)
    return {
        "schema": FORMAT,
        "dosimeter": __version__,
        "door": "model",
        "audit_key": prepared.key,
        "name": supplied.name,
        "seed": supplied.seed,
        "noun": supplied.report.noun or members.noun,
        "leading_fpr": supplied.report.leading_fpr,
        "data": {
            "name": supplied.named.get("members", "members and non-members"),
            "records": len(prepared.system.pool),
            "candidates": len(design.ids),
            "population": population,
            "classes": design.classes,
            "members_per_target": int(design.member[0].sum()),
            "most_frequent_class": _most_frequent(design),
            "persons": _distinct(members.persons, supplied.nonmembers.persons),
            "groups": _distinct(members.groups, supplied.nonmembers.groups),
        },
        "chain": [_given(prepared)],
        "threat": {
            "at_risk": "target",
            "access": str(prepared.case.access.name).lower(),
            "shadows": prepared.case.shadows,
            "targets": 1,
            "population": population,
            "views": list(prepared.case.views),
        },
    }


def _given(prepared: PreparedSupplied) -> dict[str, Any]:
    """The supplied model as the only stage of its chain."""
    supplied, adapted = prepared.supplied, prepared.system.adapted
    trained = {} if supplied.fit is None else {"fit of shadows": supplied.fit_name}
    return {
        "stage": "target",
        "data": _parts(supplied),
        "model": supplied.model_name,
        "transfer": "given",
        "given": True,
        "at_risk": True,
        "settings": {"kind": adapted.kind, "output": adapted.output, **trained},
    }


def _distinct(members: Array | None, nonmembers: Array | None) -> int | None:
    """Number of persons or groups; None if one part does not name them."""
    if members is None or nonmembers is None:
        return None
    return len(np.unique(np.concatenate([members, nonmembers])))


def _parts(supplied: Supplied) -> str:
    """Number of records in each part, with the part's name if it has one."""
    parts = {"members": supplied.members, "nonmembers": supplied.nonmembers, "population": supplied.population}
    said = []
    for part, data in parts.items():
        if data is not None:
            named = supplied.named.get(part)
            word = "non-members" if part == "nonmembers" else part
            said.append(f"{len(data):,} {word}" + (f" ({named})" if named else ""))
    return ", ".join(said)


def scores_summary(table: ScoresTable, *, key: str, seed: int, noun: str, leading_fpr: float) -> dict[str, Any]:
    """Summary of a table of scores, whose origin is unknown."""
    truth = table.truth
    attack: dict[str, Any] = {
        "mode": None, "paper": "", "control": False, "settings": {}, "status": "ok", "reason": "",
    }  # fmt: skip
    return {
        "schema": FORMAT,
        "dosimeter": __version__,
        "door": "scores",
        "audit_key": key,
        "name": table.name,
        "seed": seed,
        "noun": noun,
        "leading_fpr": leading_fpr,
        "data": {
            "name": table.name,
            "records": truth.is_member.shape[1],
            "candidates": truth.is_member.shape[1],
            "population": 0,
            "classes": None,
            "members_per_target": round(float(truth.is_member.sum(1).mean())),
            "persons": table.persons,
            "groups": None if table.groups is None else len(table.group_names),
        },
        "chain": [],
        "attacks": [{"id": name, "name": name, **attack} for name in table.attacks],
        "threat": {
            "at_risk": "unknown",
            "access": None,
            "shadows": None,
            "targets": len(truth.is_member),
            "population": 0,
            "views": [],
        },
    }
