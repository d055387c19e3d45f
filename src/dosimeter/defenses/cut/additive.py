"""Independent noise on every number that is sent, after the record's features are clipped or not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dosimeter.training.cuts.place import Law


@dataclass(frozen=True)
class Additive:
    """A `Release` that clips and adds noise; it `AddsNoise`.

    Attributes:
        law: of the noise.
        scale: standard deviation of Gaussian noise, scale b of Laplace noise.
        clip: largest norm of a record's features: the Euclidean one before Gaussian noise, the sum of absolute values
            before Laplace noise; None for no clipping.
    """

    law: Law
    scale: float
    clip: float | None = None

    def without_noise(self, features: Float[Tensor, "b ..."]) -> Float[Tensor, "b ..."]:
        """Clipped features; differentiable."""
        if self.clip is None:
            return features
        order = 2 if self.law == "gaussian" else 1
        norms = torch.linalg.vector_norm(features.flatten(1), order, dim=1).clamp_min(1e-12)
        clipped: Tensor = features * (self.clip / norms).clamp_max(1.0).reshape(-1, *[1] * (features.ndim - 1))
        return clipped

    def send(self, features: Float[Tensor, "b ..."], rng: np.random.Generator) -> Float[Tensor, "b ..."]:
        """Clipped features with fresh noise."""
        shape = tuple(features.shape)
        drawn = rng.standard_normal(shape) if self.law == "gaussian" else rng.laplace(size=shape)
        return self.without_noise(features) + self.scale * torch.from_numpy(np.asarray(drawn)).to(features)


def spread_of(features: Float[Tensor, "m ..."]) -> float:
    """Root of the mean variance of a number over records: what noise is measured by where nothing is clipped."""
    return float(features.flatten(1).double().var(0, correction=0).mean().sqrt())
