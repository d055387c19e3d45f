"""Inverting gradients: seek records by the angle between gradients, with a penalty on the variation of pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from torch import Tensor

from dosimeter.families.exchange.attacks.rebuilding.making import MakesRecords
from dosimeter.families.exchange.inverting.matching import Signs, inverting_gradients
from dosimeter.families.exchange.inverting.observed import Observed


@dataclass(frozen=True)
class InvertingGradients(MakesRecords):
    """Seek records by Adam on signs, so that their gradient points where the one points that was seen.

    Paper: Geiping, Bauermeister, Dröge, Moeller, "Inverting Gradients", NeurIPS 2020, https://arxiv.org/abs/2003.14053,
    equation 4.
    Threat model: the gradient of the whole model and the model, its last layer too.
    Deviations: classes are inferred.
    Cost: `iterations * attempts` gradients of each batch, each of them differentiated.

    Attributes:
        channel: what of the messages is read.
        iterations: steps of Adam.
        lr: its rate, falling to a tenth after 3, 5 and 7 eighths of the steps.
        variation: weight of the total variation of pictures.
        attempts: starts.
    """

    paper: ClassVar[str] = "Geiping et al., NeurIPS 2020, https://arxiv.org/abs/2003.14053"

    channel: Literal["gradient", "update"] = "gradient"
    iterations: int = 400
    lr: float = 0.1
    variation: float = 1e-4
    attempts: int = 1

    @property
    def passes(self) -> int:
        """Gradients of a guess for each batch."""
        return self.iterations * self.attempts

    @property
    def search(self) -> Signs:
        """The search."""
        return Signs(steps=self.iterations, lr=self.lr, variation=self.variation, attempts=self.attempts)

    def make(self, seen: Observed, rng: np.random.Generator) -> Tensor:
        """Implements `MakesRecords`."""
        return inverting_gradients(seen, rng, search=self.search).records
