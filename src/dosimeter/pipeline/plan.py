"""The plan of a run, as a reader sees it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dosimeter.config.threat_rows import ThreatRow
from dosimeter.families.family import Case, LeavesOutDefaults
from dosimeter.families.resources import UsesResources


@dataclass(frozen=True)
class StagePlan:
    """One stage in the plan.

    Attributes:
        name: name of the stage.
        how: "given", or transfer method and model.
        data: name of its training data.
        models: number of models of this stage.
        cached: number of them that are in the store already.
        reason: why other cached models cannot be used, or empty.
    """

    name: str
    how: str
    data: str
    models: int
    cached: int
    reason: str


@dataclass(frozen=True)
class AttackPlan:
    """One attack in the plan.

    Attributes:
        id: its id.
        needs: its needs, in words.
        refused: why it cannot run, or empty.
        threat: id of the threat that it serves.
        uses: resources that it will use for one target, in words; empty if it is refused or its family does not say.
    """

    id: str
    needs: str
    refused: str
    threat: str
    uses: str = ""


@dataclass(frozen=True)
class Plan:
    """The plan of `run`.

    Attributes:
        key: the audit's key.
        stages: stages of the chain.
        attacks: with refusals.
        seconds: estimated for what is missing, None if a user's `fit` is the only clock.
        memory: estimated peak of one process, bytes.
        disk: estimated new files, bytes.
        free: free space where the store is, bytes.
        hashed: content of the keys of the stage at risk.
        notes: remarks for the reader.
    """

    key: str
    stages: tuple[StagePlan, ...]
    attacks: tuple[AttackPlan, ...]
    seconds: float | None
    memory: int
    disk: int
    free: int
    hashed: dict[str, Any]
    notes: tuple[str, ...]


def attack_plans(threats: tuple[ThreatRow, ...], cases: Mapping[str, Case]) -> tuple[AttackPlan, ...]:
    """The attacks of all threats, in order."""
    found = []
    for row, case in zip(threats, cases.values(), strict=True):
        refused, used = case.refusals(), case.resources() if isinstance(case, UsesResources) else {}
        uses = {name: one.in_words for name, one in used.items()}
        shown = case.shown_attacks if isinstance(case, LeavesOutDefaults) else row.attacks
        found += [
            AttackPlan(one.id, one.attack.needs.in_words, refused.get(one.id, ""), row.id, uses.get(one.id, ""))
            for one in shown
        ]
    return tuple(found)


def case_notes(threats: tuple[ThreatRow, ...], cases: Mapping[str, Case]) -> list[str]:
    """Remarks about each threat; where there are several, each with the threat's id."""
    told = [(row.id, note) for row, case in zip(threats, cases.values(), strict=True) for note in case.notes()]
    return list(dict.fromkeys(note if len(threats) == 1 else f"threat {name}: {note}" for name, note in told))


def free_space(path: Path) -> int:
    """Free bytes where a folder is, or will be."""
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free
