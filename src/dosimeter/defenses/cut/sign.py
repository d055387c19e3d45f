"""Sign: one bit of each number is sent."""

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
class Sign:
    """Send which numbers are above 0, below 0 or 0; the second half reads −a, a or 0.

    Paper: Pham, Abuadbba, Gao, Phan, Chilamkurti, "Binarizing Split Learning for Data Privacy Enhancement and
    Computation Reduction", 2022, https://arxiv.org/abs/2206.04864.

    After ReLU no number is below 0, so that one bit crosses for each. The scale a is the mean absolute value of the
    numbers that are not 0, over training records, times `scale`.

    Stronger: it has no strength; a `scale` other than 1 changes what the second half reads, not what is told.
    Deviations: the model is not trained on signs.
    Cost: none.

    Attributes:
        scale: multiple of a, above 0.
    """

    paper: ClassVar[str] = "Pham et al., 2022, https://arxiv.org/abs/2206.04864"
    place: ClassVar[str] = "cut"
    ladder: ClassVar[tuple[dict[str, Any], ...]] = ({"scale": 1.0}, {"scale": 0.5}, {"scale": 2.0})

    scale: float = 1.0

    def __post_init__(self) -> None:
        checks.in_range("scale", self.scale, 0, 1e6, open_low=True)

    def fitted(self, place: CutPlace) -> Signed:
        """The signs, times the size of this model's features."""
        sizes = place.features[place.features != 0].abs()
        return Signed(self.scale * (float(sizes.double().mean()) if len(sizes) else 1.0))

    def restored(self, kept: Mapping[str, Tensor]) -> Signed:
        """The signs of a model that were stored."""
        return Signed(float(kept["size"]))


@dataclass(frozen=True)
class Signed:
    """A `Release` of signs.

    Attributes:
        size: what the second half reads in place of a number above 0.
    """

    size: float

    def send(self, features: Float[Tensor, "b ..."], rng: np.random.Generator) -> Float[Tensor, "b ..."]:
        """Signs; `rng` is not used."""
        return self.size * features.sign()
