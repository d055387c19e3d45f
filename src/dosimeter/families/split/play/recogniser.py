"""Job of a classifier that says which class a record shows; the audited model has no part in it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from dosimeter.data import Dataset
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.keys.package_code import package_code
from dosimeter.jobs.keyed import KeyedJob
from dosimeter.jobs.store import Store
from dosimeter.models.architectures import as_float
from dosimeter.training.learners.judges import fit_classifier

PRODUCT = 3e-10
"""Seconds of a multiplication in a matrix product on one core of 2024."""


@dataclass(frozen=True)
class RecogniserJob(KeyedJob):
    """Job that fits a classifier of the task's classes on the auxiliary records.

    Linear discriminant analysis on principal components: it cannot be trained too little. Its entry holds `weight`
    `[v d]`, `bias` `[v]` and `classes` `[v]`.

    Attributes:
        store: store to write to.
        data: key of the auxiliary records.
        shape: `[p d]`, their number and size.
    """

    store: Store
    data: str
    shape: tuple[int, int]

    @cached_property
    def definition(self) -> dict[str, Any]:
        """Everything that the key depends on."""
        return {"kind": "recogniser", "family": "split", "data": self.data, "code": package_code(__name__)}

    @property
    def place(self) -> str:
        """What it makes, in words."""
        return "classifier of the auxiliary records"

    @property
    def alike(self) -> object:
        """Implements `Costed`."""
        return self.key

    @property
    def size(self) -> int:
        """Implements `Costed`."""
        return 8 * 16 * self.shape[1]

    def cost(self, pace: Any) -> float:
        """Implements `Costed`."""
        return PRODUCT * 10 * float(min(self.shape)) ** 2 * max(self.shape)

    def perform(self) -> None:
        """Fits and stores."""
        own = self.store.load(self.data)
        records = as_float(own["inputs"]).double().flatten(1).numpy()
        classes, labels = np.unique(own["labels"].numpy(), return_inverse=True)
        found = fit_classifier(records, labels)
        parts = {"weight": found.weight, "bias": found.bias, "classes": classes}
        tensors = {name: torch.from_numpy(np.ascontiguousarray(one)) for name, one in parts.items()}
        self.store.save(self.key, tensors, self.definition)

    def classes_of(self, records: Array) -> Array:
        """The class that each of some records shows `[n]`.

        Args:
            records: `[n ...]`, as models take them.
        """
        own = {name: one.numpy() for name, one in self.store.load(self.key).items()}
        scores = records.reshape(len(records), -1).astype(np.float64) @ own["weight"].T + own["bias"]
        found: Array = own["classes"][scores.argmax(1)]
        return found


def recognisable(victims: Dataset, auxiliary: Dataset) -> bool:
    """Returns whether a classifier of the auxiliary records can say of victims' records which class they show.

    Args:
        victims: whose inputs are sought.
        auxiliary: the adversary's records.
    """
    plain = all(not one.tokens and one.inputs.dtype.kind in "fu" for one in (victims, auxiliary))
    counts = np.bincount(auxiliary.labels)
    counts = counts[counts > 0]
    return plain and victims.classes == auxiliary.classes and len(counts) > 1 and len(auxiliary) > 2 * len(counts)
