"""Job that asks how often the audited models stay right when every number of a record may change a little."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from dosimeter.foundation.arrays import Array
from dosimeter.foundation.keys.package_code import package_code
from dosimeter.foundation.seeds import generator
from dosimeter.jobs.arrays import arrays_hash
from dosimeter.jobs.keyed import FollowingJob
from dosimeter.models.architectures import as_float
from dosimeter.training.deployment.network import deployed
from dosimeter.training.packs import PackJob
from dosimeter.training.sensitivity.perturbations import SIZES, STEPS, classify_perturbed

MOST = 500
"""Most held-out records that are perturbed: a search takes as long as some 200 answers for each record."""
STEP_COST = 4.0
"""Work of one step of the search, an answer with its gradient and an answer, in answers."""


def sampled(rows: Int[Array, " h"], seed: int, most: int) -> Int[Array, " n"]:
    """All rows, or some of them drawn at random, the same ones for every variant.

    Args:
        rows: to draw from.
        seed: root of all randomness.
        most: how many are kept.
    """
    if len(rows) <= most:
        return rows
    chosen: Array = generator(seed, "inversion perturbed").choice(rows, most, replace=False)
    chosen.sort()
    return chosen


@dataclass(frozen=True)
class PerturbedJob(FollowingJob):
    """Job that searches a perturbation of each held-out record, for all models of a pack.

    Its entry holds `perturbed` `[t e n]`: whether none of each size was found that the model answers wrongly. It is
    empty where the model gives no gradient to follow.

    Attributes:
        pack: the models.
        rows: held-out rows of the records at risk.
    """

    pack: PackJob
    rows: Int[Array, " n"]

    @property
    def follows(self) -> PackJob:
        """Implements `FollowingJob`."""
        return self.pack

    @cached_property
    def definition(self) -> dict[str, Any]:
        """Everything that the key depends on."""
        return {
            "kind": "perturbed", "pack": self.pack.key, "rows": arrays_hash(rows=self.rows), "sizes": list(SIZES),
            "code": package_code(__name__),
        }  # fmt: skip

    @property
    def alike(self) -> object:
        """Implements `Costed`."""
        return ("perturbed", id(self.pack.links), len(self.pack.models))

    @property
    def size(self) -> int:
        """Implements `Costed`."""
        return len(SIZES) * len(self.rows) * len(self.pack.models)

    def cost(self, pace: Any) -> float:
        """Implements `Costed`."""
        return float(pace.answer(self.pack)) * self.size * STEPS * STEP_COST

    def perform(self) -> None:
        """Searches and stores."""
        data, rows = self.store.load(self.pack.data), torch.from_numpy(self.rows)
        low, high = range_of(data["inputs"])
        found = []
        for number in range(len(self.pack.models)):
            model = deployed(self.pack, number)
            if not _has_gradients(model, data["inputs"][rows[:1]], self.pack.device):
                found.append(torch.zeros(0, len(rows), dtype=torch.uint8))
                continue
            held = classify_perturbed(
                model, data["inputs"][rows], data["labels"][rows], sizes=[(high - low) * size for size in SIZES],
                limits=(low, high), device=self.pack.device,
            )  # fmt: skip
            found.append(torch.from_numpy(held.correct).to(torch.uint8))
        fewest = min(len(one) for one in found)
        self.store.save(self.key, {"perturbed": torch.stack([one[:fewest] for one in found])}, self.definition)

    def load(self) -> Tensor:
        """Whether each record stays right `[t e n]`."""
        return self.store.load(self.key)["perturbed"] == 1


def range_of(inputs: Tensor) -> tuple[float, float]:
    """Least and largest number of some records as models take them: 0 and 1 for images in bytes.

    Args:
        inputs: bytes of images, or other numbers.
    """
    if inputs.dtype == torch.uint8:
        return 0.0, 1.0
    return float(inputs.min()), float(inputs.max())


def _has_gradients(model: torch.nn.Module, record: Tensor, device: str) -> bool:
    """Returns whether answers of a model have a gradient by the record; one of the user's may compute without."""
    leaf = as_float(record).to(device).requires_grad_()
    answered: Tensor = model(leaf)
    return answered.requires_grad
