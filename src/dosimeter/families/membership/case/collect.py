"""What both kinds of case write to a run's folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int

from dosimeter.data.duplicates import contents
from dosimeter.data.gates import copies
from dosimeter.families.attack import NamedAttack
from dosimeter.families.membership.design.canaries import Canaries
from dosimeter.families.membership.design.design import Design
from dosimeter.families.membership.play.arena import Arena
from dosimeter.families.membership.play.job import PlayJob, played
from dosimeter.families.membership.play.play import Role, divide_folds
from dosimeter.families.membership.stored import CANARIES, canary_evidence, evidence
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.gate import Gate
from dosimeter.jobs.arrays import save_arrays
from dosimeter.training.system import TrainedSystem

ROLES: tuple[Role, ...] = ("target", "rehearsal")
CANARY_ROLES: tuple[Role, ...] = (*ROLES, "fold")
"""Parts of a play on canaries: they set no threshold and are in no null audit."""


def save_evidence(attacks: Sequence[NamedAttack], plays: Sequence[PlayJob], arena: Arena, folder: Path) -> None:
    """Writes the evidence of every attack that was run, by its place among all.

    Args:
        attacks: all attacks, in order.
        plays: the plays of those that were run, which are done.
        arena: where they played.
        folder: folder of the case.
    """
    ran = {job.row.id for job in plays}
    for index, row in enumerate(attacks):
        if row.id in ran:
            save_arrays(evidence(folder, index), dataclasses.asdict(played(arena, row, plays)))


def save_canaries(
    canaries: Canaries, attacks: Sequence[NamedAttack], plays: Sequence[PlayJob], design: Design, folder: Path
) -> None:
    """Writes what the attacks said of canaries, and the truth about them.

    Args:
        canaries: the planted records.
        attacks: all attacks, in order.
        plays: the plays on canaries of those that were run, which are done.
        design: design of the natural records, which stand before the canaries in each play.
        folder: folder of the case.
    """
    for index, row in enumerate(attacks):
        own = [job for job in plays if job.row is row]
        if own:
            n = len(design.ids)
            parts = divide_folds(design, {job.part: job.load()[..., n:] for job in own})
            scores = {role: [one for part, one in parts.items() if part.role == role] for role in ROLES}
            found = {"scores": np.concatenate(scores["target"]), "rehearsed": np.stack(scores["rehearsal"])}
            save_arrays(canary_evidence(folder, index), found)
    truth = {
        "kind": canaries.kind,
        "copies": canaries.copies,
        "member": canaries.member[: design.targets],
        "rehearsal_in": canaries.member[design.rehearsal_rows],
    }
    save_arrays(folder / CANARIES, truth)


def copies_in_chain(system: TrainedSystem, judged: Int[Array, " n"]) -> Gate:
    """P9: judged records, rows of the data at risk, that occur more than once, or also in another stage's data."""
    own, found = system.at_risk.inputs[judged], {}
    for index, (link, data) in enumerate(zip(system.links, system.data, strict=True)):
        if data is not None and index != system.index:
            content = contents(own, data.inputs)
            found[f"stage {link.name}"] = int(np.isin(content[: len(own)], content[len(own) :]).sum())
    return copies(contents(own), found)


def most_frequent(labels: Int[Array, " n"]) -> float:
    """Share of the most frequent class among the judged records."""
    return float(np.bincount(labels).max() / len(labels))


def count_distinct(members: Array | None, nonmembers: Array | None) -> int | None:
    """Number of persons or groups; None if one part does not name them."""
    if members is None or nonmembers is None:
        return None
    return len(np.unique(np.concatenate([members, nonmembers])))
