"""Dropout on the input of the last layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from dosimeter.foundation import checks


@dataclass(frozen=True)
class Dropout:
    """While training, set each feature that the last layer reads to 0 with probability p; divide the rest by 1 − p.

    Paper: Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, "Dropout: A Simple Way to Prevent Neural Networks
    from Overfitting", 2014, https://jmlr.org/papers/v15/srivastava14a.html; against membership inference: Salem et al.,
    "ML-Leaks", 2019, https://arxiv.org/abs/1806.01246, section VII-A.

    Stronger: a larger rate.
    Deviations: only before the last layer; where heads standardise their features, after that.
    Cost: that of one training, and one random number per record and feature.

    Attributes:
        rate: p, above 0 and below 1.
    """

    paper: ClassVar[str] = "Salem et al., 2019, https://arxiv.org/abs/1806.01246"
    place: ClassVar[str] = "model"
    ladder: ClassVar[tuple[dict[str, Any], ...]] = ({"rate": 0.3}, {"rate": 0.6}, {"rate": 0.9})

    rate: float = 0.5

    def __post_init__(self) -> None:
        checks.in_range("rate", self.rate, 0, 1, open_low=True, open_high=True)

    def hide(self, features: Float[Tensor, "*b d"], uniform: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
        """The features that are kept, scaled."""
        return torch.where(uniform < self.rate, 0.0, features / (1 - self.rate))
