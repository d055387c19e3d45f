"""SELENA: a model learns from the answers of models that did not train on the record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool

from dosimeter.foundation import checks


@dataclass(frozen=True)
class SELENA:
    """Train k sub-models, each record left out of l of them; train the released model on the mean answers of those l.

    Paper: Tang, Mahloujifar, Song, Shejwalkar, Nasr, Houmansadr, Mittal, "Mitigating Membership Inference Attacks by
    Self-Distillation Through a Novel Ensemble Architecture", 2022, https://arxiv.org/abs/2110.08324, algorithms 1 and
    2: Split-AI, then self-distillation on the same records with the mean probabilities of the sub-models that did not
    train on them as labels.

    Stronger: a larger l beside the same k: each sub-model sees a share 1 − l/k of the records.
    Deviations: exclusions are drawn in blocks of k records, so that every sub-model trains on equally many records (a
    remainder of fewer than k records makes some of them one record smaller; the surplus is left out). The distilled
    model is trained by cross-entropy with soft labels, with the stage's own recipe.
    Cost: 1 + k − l trainings.

    Attributes:
        submodels: k, from 2 to 1000.
        out: l, from 1 to k − 1.
    """

    paper: ClassVar[str] = "Tang et al., 2022, https://arxiv.org/abs/2110.08324"
    place: ClassVar[str] = "training"
    ladder: ClassVar[tuple[dict[str, Any], ...]] = (
        {"submodels": 10, "out": 2}, {"submodels": 10, "out": 4}, {"submodels": 10, "out": 8},
    )  # fmt: skip

    submodels: int = 25
    out: int = 10

    def __post_init__(self) -> None:
        checks.in_range("submodels", self.submodels, 2, 1000)
        checks.in_range("out", self.out, 1, self.submodels - 1)

    @property
    def parts(self) -> int:
        """Number of sub-models."""
        return self.submodels

    @property
    def cost(self) -> float:
        """Number of records that are trained on, as a multiple of one training."""
        return 1.0 + self.submodels - self.out

    def divide(self, n: int, rng: np.random.Generator) -> Bool[np.ndarray, "k n"]:
        """Mask `[k n]` of the sub-models that train on each record; `out` of them leave each record out."""
        k = self.submodels
        trains = np.ones((k, n), dtype=bool)
        records = rng.permutation(n)
        for start in range(0, n, k):
            block, models = records[start : start + k], rng.permutation(k)
            for step in range(self.out):
                trains[models[(np.arange(len(block)) + step) % k], block] = False
        return trains
