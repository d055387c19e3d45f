"""What the victim of a recorded training knows of its own batches: the truth by which guesses are judged."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import DataError
from dosimeter.foundation.wording import describe
from dosimeter.jobs.store import writing

TRUTH = "truth.safetensors"
"""Name of the file, which stands beside the steps of a transcript."""
MOST = 10_000_000
"""Most records of a batch."""
UNKNOWN = -1
"""Number of records with the property where it is not known."""


@dataclass(frozen=True)
class Truth:
    """What was in the victim's batch at each step, or in all batches of a round.

    Attributes:
        having: records with the property, `UNKNOWN` where that is not known `[n]`.
        classes: records of each class `[n c]`.
    """

    having: Int[Array, " n"]
    classes: Int[Array, "n c"]

    @property
    def sizes(self) -> Int[Array, " n"]:
        """Records of each step."""
        found: Array = self.classes.sum(1)
        return found


def write_truth(folder: Path | str, having: Any, classes: Any) -> None:
    """Writes what the victim knows of its batches beside a transcript; no message holds it.

    Args:
        folder: of the transcript.
        having: of each step, the records of its batch that have the property, -1 where that is not known `[n]`.
        classes: of each step, how many records of its batch are of each class `[n c]`.

    Raises:
        DataError: the numbers cannot be of batches.
        StoreError: the file cannot be written.
    """
    found = _checked(np.asarray(having), np.asarray(classes), "truth")
    path = Path(folder) / TRUTH
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".draft")
        arrays = {"having": found.having, "classes": found.classes}
        save_file({name: torch.from_numpy(np.ascontiguousarray(one)) for name, one in arrays.items()}, draft)
        draft.replace(path)


def read_truth(folder: Path) -> Truth:
    """Reads what `write_truth` wrote.

    Raises:
        DataError: there is none, or it is damaged.
    """
    path = folder / TRUTH
    if not path.is_file():
        raise DataError(
            f"transcript: {folder} must hold {TRUTH}, got none: write what the victim knows of its batches with "
            "`write_truth`, without which no guess can be judged"
        )
    try:
        arrays = load_file(path)
        having, classes = arrays["having"].numpy(), arrays["classes"].numpy()
    except (KeyError, OSError, SafetensorError) as error:
        raise DataError(
            f"transcript: {path} must hold the arrays 'having' and 'classes', got {describe(error)}: write it with "
            "`write_truth`"
        ) from error
    return _checked(having, classes, f"transcript: {path.name}")


def _checked(having: Array, classes: Array, place: str) -> Truth:
    """The truth, if the numbers can be of batches.

    Raises:
        DataError: they cannot.
    """
    problem = ""
    if having.ndim != 1 or classes.ndim != 2 or len(having) != len(classes) or not len(having):
        problem = f"have the shapes [n] and [n classes], got {having.shape} and {classes.shape}"
    elif having.dtype.kind not in "iu" or classes.dtype.kind not in "iu":
        problem = f"be whole numbers, got {having.dtype} and {classes.dtype}"
    elif (classes < 0).any() or (having < UNKNOWN).any():
        problem = "be counts of 0 or more (-1 in `having` where it is not known), got fewer"
    elif max(int(having.max()), int(classes.max(initial=0))) > MOST:
        problem = f"be counts of at most {MOST:,}, got {max(int(having.max()), int(classes.max())):,}"
    elif (having > (sizes := classes.sum(1))).any():
        step = int(np.argmax(having > sizes))
        problem = f"count no more records with the property than the batch has, got {having[step]} of {sizes[step]}"
        problem += f" in step {step}"
    if problem:
        raise DataError(f"{place}: `having` and `classes` must {problem}: count the records of each batch")
    return Truth(having.astype(np.int64), classes.astype(np.int64))
