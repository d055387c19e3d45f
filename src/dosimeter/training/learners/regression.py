"""Ridge regression from features to records: closed form, so it cannot be trained too little."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

TINY = 1e-9
"""Least spread of a feature that is divided by, as a share of the largest spread."""


@dataclass(frozen=True)
class Ridge:
    """A fitted regression.

    Attributes:
        centre: subtracted from features `[d]`.
        scale: features are divided by it `[d]`.
        weight: `[d k]`.
        bias: mean record `[k]`.
        penalty: that was chosen.
    """

    centre: Float[Tensor, " d"]
    scale: Float[Tensor, " d"]
    weight: Float[Tensor, "d k"]
    bias: Float[Tensor, " k"]
    penalty: float

    def predict(self, features: Float[Tensor, "n ..."]) -> Float[Tensor, "n k"]:
        """Records, flattened.

        Args:
            features: of the same kind as those it was fitted on.
        """
        scaled = (features.flatten(1).double() - self.centre) / self.scale
        return scaled @ self.weight + self.bias


def fit_ridge(features: Float[Tensor, "n ..."], records: Float[Tensor, "n ..."], penalties: Sequence[float]) -> Ridge:
    """Fits records from features; the penalty with the least leave-one-out error is chosen.

    Minimises `|Y - Z W|^2 + n p |W|^2` for standardised features Z. The leave-one-out error is exact, by the diagonal
    of the hat matrix (Golub, Heath, Wahba, Technometrics 1979).

    Args:
        features: of the adversary's records.
        records: these records.
        penalties: to choose among, positive.

    Raises:
        ValueError: fewer than three records, or no penalty.
    """
    z, y = features.flatten(1).double(), records.flatten(1).double()
    n = len(z)
    if n < 3 or not penalties or min(penalties) <= 0:
        raise ValueError(f"needs three records and a positive penalty, got {n} and {list(penalties)}")
    centre, bias = z.mean(0), y.mean(0)
    spread = z.std(0, correction=0)
    scale = torch.where(spread > TINY * spread.max().clamp_min(1e-300), spread, torch.ones_like(spread))
    z, target = (z - centre) / scale, y - bias
    sizes, left, right = _decomposed(z)
    rotated = left.T @ target
    best = (float("inf"), penalties[0])
    for penalty in penalties:
        kept = sizes**2 / (sizes**2 + n * penalty)
        residual = target - left @ (kept[:, None] * rotated)
        # The mean of the targets is fitted too: 1/n of the hat matrix.
        leverage = (left**2 @ kept + 1 / n).clamp_max(1 - 1e-6)
        error = float(((residual / (1 - leverage)[:, None]) ** 2).mean())
        best = min(best, (error, penalty))
    weight = right @ (rotated * (sizes / (sizes**2 + n * best[1]))[:, None])
    return Ridge(centre, scale, weight, bias, best[1])


def _decomposed(z: Float[Tensor, "n d"]) -> tuple[Float[Tensor, " r"], Float[Tensor, "n r"], Float[Tensor, "d r"]]:
    """Singular values and vectors, by the smaller one of both Gram matrices: much faster where one side is small."""
    n, d = z.shape
    values, vectors = torch.linalg.eigh(z @ z.T if n <= d else z.T @ z)
    kept = values > TINY * values[-1].clamp_min(1e-300)
    sizes, own = values[kept].sqrt(), vectors[:, kept]
    return (sizes, own, z.T @ own / sizes) if n <= d else (sizes, z @ own / sizes, own)
