"""A prior of records from principal components: what records of a kind look like, in a few numbers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Principal:
    """Records as `mean + latent @ directions`, cut to the range of those it was fitted on.

    A latent of independent standard normal numbers gives records with the mean and, within the span of the directions,
    the covariance of those it was fitted on: probabilistic principal components (Tipping and Bishop, Journal of the
    Royal Statistical Society B 1999) without the noise.

    Attributes:
        mean: `[d]`, flattened.
        directions: orthogonal, each as long as the spread along it `[k d]`.
        shape: shape of one record.
        low: least value of a record.
        high: largest value.
    """

    mean: Float[Tensor, " d"]
    directions: Float[Tensor, "k d"]
    shape: tuple[int, ...]
    low: float
    high: float

    @property
    def latent(self) -> int:
        """Numbers of a latent."""
        return len(self.directions)

    def decode(self, latent: Float[Tensor, "b k"]) -> Float[Tensor, "b ..."]:
        """Implements `Prior`."""
        flat = (self.mean + latent @ self.directions).clamp(self.low, self.high)
        return flat.reshape(len(latent), *self.shape)

    def unlikely(self, latent: Float[Tensor, "b k"], records: Float[Tensor, "b ..."]) -> Float[Tensor, " b"]:
        """Implements `Prior`: half of the squared latent, which is minus the logarithm of its density."""
        return (latent**2).sum(1) / 2

    def to(self, device: str) -> Principal:
        """Implements `Prior`."""
        return Principal(self.mean.to(device), self.directions.to(device), self.shape, self.low, self.high)


def fit_prior(records: Float[Tensor, "p ..."], latent: int) -> Principal:
    """Fits a prior on records of other subjects than those that are attacked.

    Args:
        records: in the range that models take, two at least.
        latent: numbers of a latent; fewer if the records do not span so many.

    Raises:
        ValueError: fewer than two records, or all the same.
    """
    flat = records.flatten(1).double()
    if len(flat) < 2:
        raise ValueError(f"records must be two or more, got {len(flat)}")
    mean = flat.mean(0)
    # The Gram matrix is as small as the records are few; its vectors give those of the covariance.
    values, vectors = torch.linalg.eigh((flat - mean) @ (flat - mean).T)
    spread = (values.clamp_min(0) / (len(flat) - 1)).sqrt()
    kept = [i for i in range(len(flat) - 1, -1, -1) if values[i] > 1e-9 * values[-1]][:latent]
    if not kept or not float(values[-1]) > 0:
        raise ValueError("records must differ from each other, got equal ones")
    axes = (vectors[:, kept].T @ (flat - mean)) / values[kept].sqrt()[:, None]
    directions = spread[kept][:, None] * axes
    low, high = float(flat.min()), float(flat.max())
    return Principal(mean.float(), directions.float(), tuple(records.shape[1:]), low, high)
