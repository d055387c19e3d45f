"""MixUp: organisations train on mixtures of two records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dosimeter.foundation import checks


@dataclass(frozen=True)
class MixUp:
    """Train on λ times a record plus 1 − λ times another of its batch, with labels mixed alike; λ from Beta(α, α).

    Paper: Zhang, Cisse, Dauphin, Lopez-Paz, "mixup: Beyond Empirical Risk Minimization", 2017,
    https://arxiv.org/abs/1710.09412, equation 1.

    Gradients and features that cross are those of mixtures. Each record is in two of them.

    Stronger: a larger α, for mixtures are then nearer to halves.
    Deviations: one λ for each pair, not for each batch.
    Cost: none.

    Attributes:
        alpha: α, above 0.
    """

    paper: ClassVar[str] = "Zhang et al., 2017, https://arxiv.org/abs/1710.09412"
    place: ClassVar[str] = "joint"
    ladder: ClassVar[tuple[dict[str, Any], ...]] = ({"alpha": 0.2}, {"alpha": 1.0}, {"alpha": 8.0})

    alpha: float = 1.0

    def __post_init__(self) -> None:
        checks.in_range("alpha", self.alpha, 0, 1e3, open_low=True)

    def mix(
        self, inputs: Float[Tensor, "b ..."], targets: Float[Tensor, "b c"], rng: np.random.Generator
    ) -> tuple[Float[Tensor, "b ..."], Float[Tensor, "b c"]]:
        """Mixed records and their mixed targets."""
        partner = torch.from_numpy(rng.permutation(len(inputs))).to(inputs.device)
        share = torch.from_numpy(rng.beta(self.alpha, self.alpha, len(inputs))).to(inputs)
        wide = share.reshape(-1, *[1] * (inputs.ndim - 1))
        return (
            wide * inputs + (1 - wide) * inputs[partner],
            share[:, None] * targets + (1 - share[:, None]) * targets[partner],
        )
