"""Sparsify: the largest numbers of a record are sent, and 0 in place of the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dosimeter.foundation import checks


@dataclass(frozen=True)
class Sparsify:
    """Send the share of a record's numbers that is largest in size.

    Paper: Zheng et al., "Reducing Communication for Split Learning by Randomized Top-k Sparsification", 2023,
    https://arxiv.org/abs/2305.18469, whose top-k without randomness it is.

    Stronger: a smaller share.
    Deviations: nothing is random; numbers of equal size are sent in the order in which they stand.
    Cost: a sort for each record.

    Attributes:
        keep: share that is sent, above 0 and below 1; at least one number.
    """

    paper: ClassVar[str] = "Zheng et al., 2023, https://arxiv.org/abs/2305.18469"
    place: ClassVar[str] = "cut"
    ladder: ClassVar[tuple[dict[str, Any], ...]] = ({"keep": 0.5}, {"keep": 0.2}, {"keep": 0.1})

    keep: float = 0.2

    def __post_init__(self) -> None:
        checks.in_range("keep", self.keep, 0, 1, open_low=True, open_high=True)

    def send(self, features: Float[Tensor, "b ..."], rng: np.random.Generator) -> Float[Tensor, "b ..."]:
        """Features without the smaller numbers; `rng` is not used."""
        flat = features.flatten(1)
        count = max(1, round(self.keep * flat.shape[1]))
        order = flat.abs().sort(dim=1, descending=True, stable=True).indices[:, :count]
        sent = torch.zeros_like(flat).scatter(1, order, flat.gather(1, order))
        return sent.reshape(features.shape)
