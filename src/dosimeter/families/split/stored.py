"""Arrays that a run stores for the measurement: places, writing and reading."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dosimeter.families.family import CaseFolder
from dosimeter.families.pictures import shrink
from dosimeter.foundation.arrays import Array
from dosimeter.jobs.arrays import read_arrays, undamaged

MODEL = "model.safetensors"
"""Name of the file with the weights of the first deployed model, in the folder of a threat."""
KEPT = "releases.safetensors"
"""Name of the file with what the defenses of the cut took from that model, in the folder of a threat."""
SHOWN = 12
"""Most victims whose pictures a report shows."""


def truth_file(folder: Path) -> Path:
    """File for whose the victims are, the lineup, and the values of their attributes."""
    return folder / "truth" / "truth.npz"


def pictures_file(folder: Path) -> Path:
    """File for some victims' inputs, if they are to be shown."""
    return folder / "truth" / "pictures.npz"


def in_training_file(folder: Path) -> Path:
    """File for what the adversaries of the training said of the victims, where there were any."""
    return folder / "evidence" / "in_training.npz"


def small_pictures(records: Array) -> dict[str, Array]:
    """Records as small pictures in bytes `[n h w channels]`; of other than 1 or 3 channels the first one.

    Args:
        records: `[n channels h w]`, bytes, or numbers in [0, 1].
    """
    if records.shape[1] not in (1, 3):
        records = records[:, :1]
    return {"pictures": shrink(records)}


@dataclass(frozen=True)
class Left:
    """What a run left of one threat.

    Attributes:
        summary: `run.json`.
        truth: arrays of the truth.
        evidence: arrays by attack that was run.
        faces: some victims' inputs, if pictures are to be shown.
        in_training: what the adversaries of the training said; empty without any.
    """

    summary: Mapping[str, Any]
    truth: Mapping[str, Array]
    evidence: Mapping[str, Mapping[str, Array]]
    faces: Array | None
    in_training: Mapping[str, Array] = field(default_factory=dict)

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
        real = pictures_file(folder.path)
        asked = in_training_file(folder.path)
        in_training = read_arrays(asked) if asked.is_file() else {}
        faces = read_arrays(real).get("pictures") if real.is_file() else None
        n = int(folder.summary["data"]["records"])
        wrong = [
            name
            for arrays in evidence.values()
            for name, one in arrays.items()
            if name.startswith(("guesses", "mse")) and one.shape[2] != n
        ]
        if wrong or len(truth["person"]) != n:
            raise ValueError("evidence must be about the victims of the run")
    return Left(folder.summary, truth, evidence, faces, in_training)
