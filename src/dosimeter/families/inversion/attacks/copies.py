"""Copies of a record over which a gradient is averaged, so that a defense cannot hide by making gradients rough."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dosimeter.families.inversion.attacks.views import AROUND, seen
from dosimeter.families.inversion.game import InversionGame

Copied = Literal["noise", "views"]
"""Copies with noise in their numbers, or crops that are resized, turned and mirrored."""


@dataclass(frozen=True)
class Copies:
    """How records are copied.

    Attributes:
        count: copies; 1 is the record itself.
        by: what differs between copies.
        noise: standard deviation of the noise, as a share of the records' range.
    """

    count: int
    by: Copied
    noise: float

    def mean(
        self,
        loss: Callable[[Tensor], Float[Tensor, " b"]],
        records: Float[Tensor, "b ..."],
        game: InversionGame,
        rng: np.random.Generator,
    ) -> Float[Tensor, " b"]:
        """The mean loss of the copies of each record; its gradient is the mean of the copies' gradients.

        Args:
            loss: of records.
            records: that are copied.
            game: whose prior knows the range.
            rng: draws the copies.
        """
        if self.count == 1:
            return loss(records)
        return torch.stack([loss(self._one(records, game, rng)) for _ in range(self.count)]).mean(0)

    def _one(self, records: Tensor, game: InversionGame, rng: np.random.Generator) -> Tensor:
        """One copy."""
        if self.by == "views":
            return seen(records, AROUND.draw(rng))
        noise = torch.from_numpy(rng.standard_normal(tuple(records.shape), dtype=np.float32)).to(records.device)
        return records + self.noise * (game.prior.high - game.prior.low) * noise
