"""Quantise: few bits of each number are sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float
from torch import Tensor

from dosimeter.foundation import checks
from dosimeter.training.cuts.place import CutPlace


@dataclass(frozen=True)
class Quantise:
    """Send the nearest of 2^bits levels, equally far apart, between the least and the largest number.

    Paper: Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference",
    2018, https://arxiv.org/abs/1712.05877.

    The range is that of the features of training records; numbers outside become its ends.

    Stronger: fewer bits.
    Deviations: one range for all numbers; the model is not trained on levels.
    Cost: none.

    Attributes:
        bits: of each number, from 1 to 16.
    """

    paper: ClassVar[str] = "Jacob et al., 2018, https://arxiv.org/abs/1712.05877"
    place: ClassVar[str] = "cut"
    ladder: ClassVar[tuple[dict[str, Any], ...]] = ({"bits": 8}, {"bits": 4}, {"bits": 2})

    bits: int = 4

    def __post_init__(self) -> None:
        checks.in_range("bits", self.bits, 1, 16)

    def fitted(self, place: CutPlace) -> Levels:
        """The levels of this model's features."""
        low, high = float(place.features.min()), float(place.features.max())
        return Levels(low, (high - low) / (2**self.bits - 1) or 1.0, 2**self.bits - 1)

    def restored(self, kept: Mapping[str, Tensor]) -> Levels:
        """The levels of a model that were stored."""
        return Levels(float(kept["low"]), float(kept["step"]), 2**self.bits - 1)


@dataclass(frozen=True)
class Levels:
    """A `Release` of levels.

    Attributes:
        low: the lowest one.
        step: between two.
        last: number of the highest one, from 0 on.
    """

    low: float
    step: float
    last: int

    def send(self, features: Float[Tensor, "b ..."], rng: np.random.Generator) -> Float[Tensor, "b ..."]:
        """The nearest levels; `rng` is not used."""
        return self.low + self.step * ((features - self.low) / self.step).round().clamp(0, self.last)
