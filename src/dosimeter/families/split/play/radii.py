"""Job that computes the within-class radius of what crossed each cut, a guess that stands beside what attacks found."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from dosimeter.families.split.play.record import Recording
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.keys.package_code import package_code
from dosimeter.jobs.keyed import KeyedJob
from dosimeter.jobs.store import Store
from dosimeter.models.cuts.radius import radius


@dataclass(frozen=True)
class RadiusJob(KeyedJob):
    """Job that reads a recording and the victims' classes; no attack reads what it stores.

    Its entry holds `squared`, R_c², and `share` `[c]`, as `radius` gives them.

    Attributes:
        record: what was recorded of the model.
    """

    record: Recording

    @property
    def store(self) -> Store:
        """The store to read from and write to."""
        return self.record.store

    @cached_property
    def definition(self) -> dict[str, Any]:
        """Everything that the key depends on."""
        return {
            "kind": "radii",
            "family": "split",
            "recording": self.record.key,
            "victims": self.record.data[0],
            "code": package_code(__name__),
        }

    @property
    def place(self) -> str:
        """What is computed, in words."""
        return f"within-class radius of {self.record.place}"

    def perform(self) -> None:
        """Computes and stores."""
        labels = self.store.load(self.record.data[0])["labels"].long()
        found = [radius(self.record.load(cut)[0].flatten(1), labels) for cut in range(len(self.record.cuts))]
        arrays = {
            name: torch.tensor([getattr(one, name) for one in found], dtype=torch.float64)
            for name in ("squared", "share")
        }
        self.store.save(self.key, arrays, self.definition)

    def load(self) -> dict[str, Array]:
        """What `perform` found."""
        return {name: np.asarray(tensor.numpy()) for name, tensor in self.store.load(self.key).items()}
