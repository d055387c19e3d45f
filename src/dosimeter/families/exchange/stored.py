"""Arrays that a run stores for the measurement: places, writing and reading."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dosimeter.families.family import CaseFolder
from dosimeter.families.family import evidence_file as evidence_file
from dosimeter.foundation.arrays import Array
from dosimeter.jobs.arrays import read_arrays, undamaged


def truth_file(folder: Path) -> Path:
    """File for the coins, and for whether models answer rightly."""
    return folder / "truth" / "truth.npz"


@dataclass(frozen=True)
class Left:
    """What a run left of one threat.

    Attributes:
        summary: `run.json`.
        truth: arrays of the truth: `coins` `[m t n]` for each mixture, run and step, `null_coins` `[t n]`, and `joint`
            and `alone` `[t r]`, whether answers for test records are right.
        evidence: arrays by attack that was run: `guesses` `[m t n 2]` and `null_guesses` `[t n 2]`.
    """

    summary: Mapping[str, Any]
    truth: Mapping[str, Array]
    evidence: Mapping[str, Mapping[str, Array]]

    def attack(self, name: str) -> Mapping[str, Any]:
        """What the summary says of an attack."""
        return next(one for one in self.summary["attacks"] if one["id"] == name)


def read_left(folder: CaseFolder) -> Left:
    """What a run left of one threat.

    Raises:
        StoreError: an array is missing or damaged.
    """
    with undamaged(folder.path):
        truth = read_arrays(truth_file(folder.path))
        evidence = folder.evidence()
        if any(one["guesses"].shape[:3] != truth["coins"].shape for one in evidence.values()):
            raise ValueError("evidence must be about the steps of the run")
    return Left(folder.summary, truth, evidence)
