"""What both kinds of case write to a run's folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int

from dosimeter.families.attack import NamedAttack
from dosimeter.families.membership.play.arena import Arena
from dosimeter.families.membership.play.job import PlayJob, played
from dosimeter.families.membership.stored import evidence
from dosimeter.foundation.arrays import Array
from dosimeter.jobs.arrays import save_arrays


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


def most_frequent(labels: Int[Array, " n"]) -> float:
    """Share of the most frequent class among the judged records."""
    return float(np.bincount(labels).max() / len(labels))


def count_distinct(members: Array | None, nonmembers: Array | None) -> int | None:
    """Number of persons or groups; None if one part does not name them."""
    if members is None or nonmembers is None:
        return None
    return len(np.unique(np.concatenate([members, nonmembers])))
