"""Answers with few decimals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from dosimeter.foundation import checks


@dataclass(frozen=True)
class Rounding:
    """Answer with probabilities that are rounded to d decimals.

    Paper: Shokri, Stronati, Song, Shmatikov, "Membership Inference Attacks Against Machine Learning Models", 2017,
    https://arxiv.org/abs/1610.05820, section VIII ("coarsen precision of the prediction vector").

    The class that is predicted is always known: it shows at least one unit of the last decimal, and a thousandth of a
    unit more than others that round to the same. What is missing from a sum of 1 is shared by all classes in equal
    parts; what is too much is divided out. That is how an adversary would read such an answer, and it tells no more.

    Stronger: fewer decimals.
    Deviations: none.
    Cost: none.

    Attributes:
        decimals: d, from 1 to 12.
    """

    paper: ClassVar[str] = "Shokri et al., 2017, https://arxiv.org/abs/1610.05820"
    place: ClassVar[str] = "outputs"
    ladder: ClassVar[tuple[dict[str, Any], ...]] = ({"decimals": 3}, {"decimals": 2}, {"decimals": 1})

    decimals: int = 2

    def __post_init__(self) -> None:
        checks.in_range("decimals", self.decimals, 1, 12)

    def release(
        self, probabilities: Float[Tensor, "r c"], noise: Callable[[], Float[Tensor, "r c"]]
    ) -> Float[Tensor, "r c"]:
        """The rounded probabilities, corrected to a sum of 1; `noise` is not read."""
        predicted, unit = probabilities.argmax(1, keepdim=True), 10.0**-self.decimals
        rounded = probabilities.double().round(decimals=self.decimals)
        top = rounded.gather(1, predicted).clamp(min=unit) + unit / 1000
        shown = rounded.scatter(1, predicted, top)
        missing = 1 - shown.sum(1, keepdim=True)
        return torch.where(missing > 0, shown + missing / shown.shape[1], shown / (1 - missing))
