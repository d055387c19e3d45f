"""Mask: random units are not sent, others for each query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dosimeter.foundation import checks


@dataclass(frozen=True)
class Mask:
    """Send each number with probability 1 − r, divided by 1 − r, and 0 in its place otherwise; drawn anew each time.

    Paper: Wang, Zhang, Bao, Zhu, Cao, Yu, "Not Just Privacy: Improving Performance of Private Deep Learning in Mobile
    Cloud", 2018, https://arxiv.org/abs/1809.03428, whose nullification it is.

    Stronger: a larger rate.
    Deviations: of features, not of records; no noise besides (add `noise`); what is sent is divided by 1 − r, so that
    the second half reads the same mean; the model is not trained on masked features.
    Cost: one random number for each number that is sent.

    Attributes:
        rate: r, above 0 and below 1.
    """

    paper: ClassVar[str] = "Wang et al., 2018, https://arxiv.org/abs/1809.03428"
    place: ClassVar[str] = "cut"
    ladder: ClassVar[tuple[dict[str, Any], ...]] = ({"rate": 0.3}, {"rate": 0.6}, {"rate": 0.9})

    rate: float = 0.5

    def __post_init__(self) -> None:
        checks.in_range("rate", self.rate, 0, 1, open_low=True, open_high=True)

    def send(self, features: Float[Tensor, "b ..."], rng: np.random.Generator) -> Float[Tensor, "b ..."]:
        """The features that are kept, scaled."""
        kept = torch.from_numpy(rng.random(tuple(features.shape)) >= self.rate).to(features.device)
        return torch.where(kept, features / (1 - self.rate), torch.zeros_like(features))
