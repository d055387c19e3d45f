"""Copies what the jobs of a case stored to the run's folder, and says of it what measuring and reporting need."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dosimeter.data.duplicates import contents
from dosimeter.data.gates import copies
from dosimeter.families.attack import NamedAttack
from dosimeter.families.membership.design.design import Design
from dosimeter.families.membership.gates.numbers import saturation
from dosimeter.families.membership.gates.supplied import gates_before
from dosimeter.families.membership.play.job import played
from dosimeter.families.membership.stored import BLIND, CANARIES, canary_evidence, evidence, save_game
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.gate import Gate
from dosimeter.jobs.arrays import save_arrays

if TYPE_CHECKING:
    from dosimeter.families.membership.case.drawn import DrawnCase
    from dosimeter.families.membership.case.stated import StatedCase


def drawn(case: DrawnCase, folder: Path) -> dict[str, Any]:
    """Arrays and entry of a threat on a chain that was trained here."""
    system, threat, design = case.system, case.threat, case.design
    observations = case.arena.answers.load()
    save_game(folder, design, observations, case.null_matrix)
    refused = case.refusals()
    _save_evidence(case, refused, folder)
    _save_canaries(case, folder)
    owners = {"persons": system.at_risk.persons, "groups": system.at_risk.groups}
    classes = system.links[-1].classes
    gates = [saturation(observations.signals, threat.access_flag), _copies(case)]
    return {
        "threat": {
            "at_risk": system.link.name,
            "access": threat.access,
            "shadows": threat.shadows,
            "targets": threat.targets,
            "population": len(case.split.population),
            "views": list(case.views),
            **({"unit": "person"} if threat.unit == "person" else {}),
            **({"knows": list(threat.knows)} if threat.knows else {}),
            **({"fold_pairs": threat.fold_pairs} if threat.fold_pairs > 1 else {}),
        },
        "data": {
            "name": system.sources[system.index],
            "records": len(system.at_risk) - (0 if case.canaries is None else len(case.canaries.rows)),
            "candidates": len(design.ids),
            "population": len(case.split.population),
            "classes": len(system.at_risk.classes),
            "members_per_target": len(case.split.pool) // 2,
            "most_frequent_class": _most_frequent(design),
            **{name: None if values is None else len(np.unique(values)) for name, values in owners.items()},
        },
        "attacks": [row.listed(refused.get(row.id, ""), row.settings_for(classes)) for row in case.attacks],
        "gates": [dataclasses.asdict(gate) for gate in gates],
    }


def stated(case: StatedCase, folder: Path) -> dict[str, Any]:
    """Arrays and entry of a threat on a supplied model."""
    system, design = case.system, case.design
    observations = case.arena.answers.load()
    save_game(folder, design, observations, case.null_matrix)
    refused = case.refusals()
    _save_evidence(case, refused, folder)
    blind = case.blind.load()
    save_arrays(folder / BLIND, dataclasses.asdict(blind))
    members, others = (system.parts[name] for name in ("members", "nonmembers"))
    population = len(design.population_ids)
    return {
        "threat": {
            "at_risk": "target",
            "access": str(case.access.name).lower(),
            "shadows": case.shadows,
            "targets": 1,
            "population": population,
            "views": list(case.views),
        },
        "data": {
            "name": system.names.get("members", "members and non-members"),
            "records": len(system.pool),
            "candidates": len(design.ids),
            "population": population,
            "classes": design.classes,
            "members_per_target": int(design.member[0].sum()),
            "most_frequent_class": _most_frequent(design),
            "persons": _distinct(members.persons, others.persons),
            "groups": _distinct(members.groups, others.groups),
        },
        "attacks": [row.listed(refused.get(row.id, "")) for row in case.attacks],
        "gates": [dataclasses.asdict(gate) for gate in gates_before(case, observations, case.entries(), blind)],
    }


def _save_evidence(case: DrawnCase | StatedCase, refused: Mapping[str, str], folder: Path) -> None:
    """Writes the evidence of every attack that was run, by its place among all."""
    for index, row in enumerate(case.attacks):
        if row.id not in refused:
            save_arrays(evidence(folder, index), dataclasses.asdict(played(case.arena, row, case.plays)))


def _save_canaries(case: DrawnCase, folder: Path) -> None:
    """Writes what the attacks said of canaries, and the truth about them, if any were planted."""
    canaries, design, arena = case.canaries, case.design, case.canary_arena
    if canaries is None or arena is None:
        return
    n = len(design.ids)
    rows = {job.row.id for job in case.canary_plays}
    for index, row in enumerate(case.attacks):
        if row.id in rows:
            save_arrays(canary_evidence(folder, index), _of_canaries(case, row, n))
    truth = {
        "kind": canaries.kind,
        "copies": canaries.copies,
        "member": canaries.member[: design.targets],
        "rehearsal_in": canaries.member[design.rehearsal_rows],
    }
    save_arrays(folder / CANARIES, truth)


def _of_canaries(case: DrawnCase, row: NamedAttack, n: int) -> dict[str, Array]:
    """Scores of canaries by one attack, which stand after `n` natural records."""
    jobs = [job for job in case.canary_plays if job.row is row]

    def scores(role: str) -> list[Array]:
        own: Sequence[Any] = [job for job in jobs if job.part.role == role]
        return [job.store.load(job.key)["scores"].numpy()[..., n:] for job in own]

    return {"scores": np.concatenate(scores("target")), "rehearsed": np.stack(scores("rehearsal"))}


def _copies(case: DrawnCase) -> Gate:
    """P9: judged records that occur more than once, or also in another stage's data."""
    system = case.system
    judged = system.at_risk.inputs[case.split.pool[case.split.candidates]]
    found = {}
    for index, (link, own) in enumerate(zip(system.links, system.data, strict=True)):
        if own is not None and index != system.index:
            content = contents(judged, own.inputs)
            found[f"stage {link.name}"] = int(np.isin(content[: len(judged)], content[len(judged) :]).sum())
    return copies(contents(judged), found)


def _most_frequent(design: Design) -> float:
    """Share of the most frequent class among the judged records."""
    return float(np.bincount(design.labels).max() / len(design.labels))


def _distinct(members: Array | None, nonmembers: Array | None) -> int | None:
    """Number of persons or groups; None if one part does not name them."""
    if members is None or nonmembers is None:
        return None
    return len(np.unique(np.concatenate([members, nonmembers])))
