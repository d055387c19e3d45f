"""Answers that show the probabilities of the highest classes only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from jaxtyping import Float
from torch import Tensor

from dosimeter.foundation import checks


@dataclass(frozen=True)
class TopK:
    """Answer with the probabilities of the k highest classes.

    Paper: Shokri, Stronati, Song, Shmatikov, "Membership Inference Attacks Against Machine Learning Models", 2017,
    https://arxiv.org/abs/1610.05820, section VIII ("restrict the prediction vector to top k classes").

    The other classes share what is left in equal parts, none more than the k-th class: that is how an adversary would
    read such an answer.

    Stronger: a smaller k; with as many classes as k or fewer, nothing changes.
    Deviations: none.
    Cost: none.

    Attributes:
        k: classes that are shown, from 1 on.
    """

    paper: ClassVar[str] = "Shokri et al., 2017, https://arxiv.org/abs/1610.05820"
    place: ClassVar[str] = "outputs"
    ladder: ClassVar[tuple[dict[str, Any], ...]] = ({"k": 5}, {"k": 3}, {"k": 1})

    k: int = 3

    def __post_init__(self) -> None:
        checks.in_range("k", self.k, 1, 100_000)

    def release(
        self, probabilities: Float[Tensor, "r c"], noise: Callable[[], Float[Tensor, "r c"]]
    ) -> Float[Tensor, "r c"]:
        """The highest classes' probabilities, and equal shares of the rest; `noise` is not read."""
        hidden = probabilities.shape[1] - self.k
        if hidden <= 0:
            return probabilities
        highest, classes = probabilities.topk(self.k, 1)
        left = ((1 - highest.sum(1, keepdim=True)).clamp(min=0) / hidden).minimum(highest[:, -1:])
        return left.expand_as(probabilities).scatter(1, classes, highest)
