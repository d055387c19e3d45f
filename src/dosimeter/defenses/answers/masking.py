"""Answers that show the order of the highest classes and no confidences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from dosimeter.foundation import checks


@dataclass(frozen=True)
class Masking:
    """Answer with the k highest classes in their order, without probabilities; k = 1 gives the label alone.

    Paper: Jia, Salem, Backes, Zhang, Gong, "MemGuard: Defending against Black-Box Membership Inference Attacks via
    Adversarial Examples", 2019, https://arxiv.org/abs/1909.10594, keeps the label and noises the rest; Choquette-Choo,
    Tramer, Carlini, Papernot, "Label-Only Membership Inference Attacks", 2021, https://arxiv.org/abs/2007.14321, call
    it confidence masking and show what it leaves.

    Rank i of those shown gets 2/3^i, the other classes share the rest: the same numbers in every answer. Random ones in
    the same order would tell an adversary as much, and could be averaged.

    Stronger: fewer ranks.
    Deviations: MemGuard's noise is optimised against one classifier; here nothing but ranks is left.
    Cost: none.

    Attributes:
        ranks: k, from 1 on.
    """

    paper: ClassVar[str] = "Choquette-Choo et al., 2021, https://arxiv.org/abs/2007.14321"
    place: ClassVar[str] = "outputs"
    ladder: ClassVar[tuple[dict[str, Any], ...]] = ({"ranks": 5}, {"ranks": 2}, {"ranks": 1})

    ranks: int = 1

    def __post_init__(self) -> None:
        checks.in_range("ranks", self.ranks, 1, 1000)

    def release(
        self, probabilities: Float[Tensor, "r c"], noise: Callable[[], Float[Tensor, "r c"]]
    ) -> Float[Tensor, "r c"]:
        """The same numbers in every answer, in the order of the shown classes; `noise` is not read."""
        k = min(self.ranks, probabilities.shape[1] - 1)
        if self.ranks == 1:
            return torch.zeros_like(probabilities).scatter(1, probabilities.argmax(1, keepdim=True), 1.0)
        order = probabilities.argsort(dim=1, descending=True, stable=True)[:, :k]
        shown = 2 / 3 ** torch.arange(1, k + 1, dtype=probabilities.dtype, device=probabilities.device)
        rest = (1 - shown.sum()) / (probabilities.shape[1] - k)
        return rest.expand_as(probabilities).clone().scatter(1, order, shown.expand(len(order), -1))
