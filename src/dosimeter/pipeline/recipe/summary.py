"""What `run.json` says of a chain that is trained here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dosimeter.pipeline.prepared import jobs_of
from dosimeter.pipeline.recipe.prepared import PreparedRecipe
from dosimeter.pipeline.recipe.wires import about_topology
from dosimeter.training.defending import DefenseRow
from dosimeter.training.joint.job import JointJob
from dosimeter.training.joint.methods import FEDERATED
from dosimeter.training.packs import PackJob
from dosimeter.training.private.accounting import Privacy


def about_recipe(prepared: PreparedRecipe) -> dict[str, Any]:
    """Noun and chain of a recipe; with a topology also what it means, and what of it is not tested."""
    noun = prepared.audit.report.noun or prepared.system.at_risk.noun
    return {"noun": noun, "chain": _chain(prepared), **about_topology(prepared.topology)}


def _chain(prepared: PreparedRecipe) -> list[dict[str, Any]]:
    """Stages of a recipe, in the order of the file; a joint stage that branches off says after which."""
    found: dict[str, dict[str, Any]] = {}
    bounds = _privacy(prepared)
    for leg in prepared.chains:
        for one in _of_leg(leg, bounds):
            known = found.setdefault(one["stage"], one)
            known["at_risk"] |= one["at_risk"]
    return [found[stage.name] for stage in prepared.audit.stages if stage.name in found]


def _of_leg(prepared: PreparedRecipe, bounds: Mapping[int, str]) -> list[dict[str, Any]]:
    """Stages of one chain."""
    audit = prepared.audit
    risky = set(map(audit.index_of, audit.threats))
    chain = []
    for index, (stage, link) in enumerate(zip(audit.stages, prepared.system.links, strict=False)):
        settings = {**link.hyperparameters.settings, "options": dict(link.options)}
        if stage.given:
            settings = {"weights": stage.weights, "options": dict(link.options)}
        elif stage.fit:
            settings = {"fit": stage.fit, "options": dict(link.options)}
        of_method = {"last-k": ("last_k", "bn_mode"), "lora": ("lora_rank", "lora_alpha")}.get(stage.transfer, ())
        settings |= {name: getattr(stage, name) for name in of_method}
        if stage.joint:
            settings["parties"] = dict(stage.parties or {})
            if stage.after is not None:
                settings["after"] = stage.after
            if stage.transfer not in FEDERATED:
                settings["alignment"] = stage.alignment
            if link.model is None:  # it starts from the stage before
                settings["frozen"] = stage.frozen
            if told := _of_parties(prepared):
                settings["privacy"] = told
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
                "at_risk": index in risky,
                "settings": settings,
            }
        )
    return chain


def _of_parties(prepared: PreparedRecipe) -> str:
    """Guarantees for the records of each party of a joint stage, in words; empty without any.

    The trainings of one audit draw other batches, so a party may have several.
    """
    found: dict[str, dict[str, None]] = {}
    for job in jobs_of(prepared.cases):
        if isinstance(job, JointJob) and job.links[-1].hyperparameters.defenses:
            for party, told in job.guarantees().items():
                found.setdefault(party, {}).update(dict.fromkeys(told))
    return "; ".join(f"{party}: {' or '.join(told)}" for party, told in found.items() if told)


def _privacy(prepared: PreparedRecipe) -> dict[int, str]:
    """Guarantees for the records of stages, in words, by the stage's number."""
    found: dict[int, list[Privacy]] = {}
    for job in jobs_of(prepared.cases):
        if isinstance(job, PackJob) and job.recipe.privacy is not None:
            found.setdefault(len(job.links) - 1, []).append(job.recipe.privacy)
    persons = any(getattr(row.threat, "unit", "record") == "person" for row in prepared.audit.threats)
    return guarantees(found, persons=persons)


def guarantees(found: Mapping[int, Sequence[Privacy]], *, persons: bool) -> dict[int, str]:
    """Guarantees in words, by the stage's number.

    Args:
        found: of each stage what its models have. Those of two threats may train on other numbers of records.
        persons: whether somebody may have several records.
    """
    more = "; somebody with k records has k times epsilon" if persons else ""
    return {index: " or ".join(dict.fromkeys(map(str, told))) + more for index, told in found.items()}


def in_words(row: DefenseRow) -> str:
    """A defense with its settings, in words."""
    return f"{row.name} ({', '.join(f'{key} {value}' for key, value in row.settings.items())})"
