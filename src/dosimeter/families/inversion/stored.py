"""Arrays that a run stores for the measurement: places, writing and reading."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from dosimeter.families.family import CaseFolder
from dosimeter.families.pictures import shrink
from dosimeter.foundation.arrays import Array
from dosimeter.jobs.arrays import read_arrays, undamaged


def truth_file(folder: Path) -> Path:
    """File for who is who, which record served what, and how well models and judges do."""
    return folder / "truth" / "truth.npz"


def information_file(folder: Path) -> Path:
    """File for the squared gradients of losses by layer."""
    return folder / "evidence" / "layers.npz"


def small_pictures(records: Array) -> dict[str, Array]:
    """Records as small pictures in bytes `[n h w channels]`; nothing if they are no pictures.

    Args:
        records: `[n channels h w]`, bytes, or numbers in [0, 1].
    """
    if records.ndim != 4 or records.shape[1] not in (1, 3):
        return {}
    return {"pictures": shrink(records)}


@dataclass(frozen=True)
class Left:
    """What a run left of one threat.

    Attributes:
        summary: `run.json`.
        truth: arrays of the truth.
        evidence: arrays by attack that was run.
        faces: a real picture of each identity, if pictures are to be shown.
        information: squared gradients by layer, if the audit asks for them.
    """

    summary: Mapping[str, Any]
    truth: Mapping[str, Array]
    evidence: Mapping[str, Mapping[str, Array]]
    faces: Array | None
    information: Mapping[str, Array] | None = None

    @property
    def controls(self) -> frozenset[str]:
        """Attacks that must be at chance."""
        return frozenset(one["id"] for one in self.summary["attacks"] if one["control"])

    def lineup(self, attack: str, *, null: bool = False) -> Float[Array, "t n v"]:
        """Similarity of what an attack trusts most to each identity, by the lineup.

        Args:
            attack: its id.
            null: on the model that learned exchanged names.
        """
        found: Array = self.evidence[attack]["null_lineup" if null else "lineup"][:, :, 0]
        return found

    def classifier(self, attack: str) -> Float[Array, "t n v"]:
        """The same by the classifier."""
        found: Array = self.evidence[attack]["classifier"][:, :, 0]
        return found

    def distances(self, attack: str) -> Mapping[str, Float[Array, "t n v"]]:
        """By metric, how far what an attack trusts most lies from each identity in the lineup's space.

        Args:
            attack: its id.
        """
        found = {"feature_distance": np.sqrt(-2 * np.minimum(self.lineup(attack), 0.0))}
        if "nearest" in self.evidence[attack]:  # older runs have none
            found["knn_distance"] = self.evidence[attack]["nearest"][:, :, 0]
        return found


def read_left(folder: CaseFolder) -> Left:
    """What a run left of one threat.

    Raises:
        StoreError: an array is missing or damaged.
    """
    with undamaged(folder.path):
        truth = read_arrays(truth_file(folder.path))
        evidence = folder.evidence()
        real = truth_file(folder.path).with_name("pictures.npz")
        faces = read_arrays(real).get("pictures") if real.is_file() else None
        layers = information_file(folder.path)
        information = read_arrays(layers) if layers.is_file() else None
        n = int(folder.summary["data"]["identities"])
        if any(arrays["lineup"].shape[1::2] != (n, n) for arrays in evidence.values()):
            raise ValueError("evidence must be about the identities of the run")
    return Left(folder.summary, truth, evidence, faces, information)
