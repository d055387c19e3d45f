"""Distances of two batches of features, with their gradients in closed form, so that no graph crosses a border."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from dosimeter.foundation.errors import TrainingError

WIDTHS = tuple(2.0**power for power in range(-3, 2))
"""Factors of the five kernels' squared widths, those of https://github.com/thuml/Transfer-Learning-Library."""


@dataclass(frozen=True)
class Distance:
    """A distance of two batches, and how it changes with them.

    Attributes:
        value: the distance.
        source: gradient by the features of the source `[n d]`.
        receiver: gradient by the features of the receiver `[m d]`.
    """

    value: Float[Tensor, ""]
    source: Float[Tensor, "n d"]
    receiver: Float[Tensor, "m d"]


def coral(source: Float[Tensor, "n d"], receiver: Float[Tensor, "m _"]) -> Distance:
    """Squared Frobenius distance of the unbiased covariances, divided by 4 d².

    Sun and Saenko, 2016, https://arxiv.org/abs/1607.01719, equation 1.

    Args:
        source: features of a batch of at least 2.
        receiver: the same.

    Raises:
        TrainingError: widths differ, or a batch has fewer than 2 records.
    """
    check_batches(source, receiver)
    d = source.shape[1]
    left, right = source - source.mean(0), receiver - receiver.mean(0)
    n, m = len(left) - 1, len(right) - 1
    difference = left.T @ left / n - right.T @ right / m
    return Distance(
        difference.square().sum() / (4 * d**2), left @ difference / (d**2 * n), -right @ difference / (d**2 * m)
    )


def spread(source: Float[Tensor, "n d"], receiver: Float[Tensor, "m d"]) -> float:
    """Mean squared distance of two different records of both batches together, the unit of the kernels' widths."""
    both = torch.cat([source, receiver])
    return float(_squares(both).sum() / (len(both) * (len(both) - 1)))


def mmd(
    source: Float[Tensor, "n d"], receiver: Float[Tensor, "m _"], *, width: float | None = None, unbiased: bool = True
) -> Distance:
    """Squared maximum mean discrepancy under the sum of five Gaussian kernels exp(−‖a − b‖² / (2 α w)), α in `WIDTHS`.

    Gretton et al., 2012, https://jmlr.org/papers/v13/gretton12a.html, unbiased and biased statistic; several kernels as
    in Long et al., 2015, https://arxiv.org/abs/1502.02791.

    Args:
        source: features of a batch of at least 2.
        receiver: the same.
        width: w; `spread` of both if not given. The gradient takes it as fixed.
        unbiased: means within a batch leave out the pair of a record with itself. Then the mean over batches of one
            distribution is 0, and the value of a batch with itself is not; biased, the reverse.

    Raises:
        TrainingError: widths differ, a batch has fewer than 2 records, or all records have the same features.
    """
    check_batches(source, receiver)
    width = spread(source, receiver) if width is None else width
    if width <= 0:
        raise TrainingError(
            "features: must differ between records for transfer 'mmd', got the same for all of a batch: lower lr or "
            "the weight of the alignment"
        )
    n, m = len(source), len(receiver)
    both = torch.cat([source, receiver])
    weights = both.new_full((n + m, n + m), -1 / (n * m))
    weights[:n, :n], weights[n:, n:] = 1 / (n * (n - unbiased)), 1 / (m * (m - unbiased))
    if unbiased:
        weights.fill_diagonal_(0)
    squares = _squares(both)
    value, pull = both.new_zeros(()), torch.zeros_like(squares)
    for factor in WIDTHS:
        kernel = weights * torch.exp(-squares / (2 * factor * width))
        value = value + kernel.sum()
        pull -= 2 * kernel / (factor * width)  # each pair stands twice in the sum
    gradient = pull.sum(1, keepdim=True) * both - pull @ both
    return Distance(value, gradient[:n], gradient[n:])


def _squares(rows: Float[Tensor, "n d"]) -> Float[Tensor, "n n"]:
    """Squared distances of all pairs, by differences: products cancel where records lie close together."""
    return (rows[:, None] - rows[None]).square().sum(2)


def check_batches(source: Tensor, receiver: Tensor) -> None:
    """Refuses batches that have no distance."""
    if source.shape[1] != receiver.shape[1]:
        raise TrainingError(
            f"features: source and receiver must have the same width, got {source.shape[1]} and {receiver.shape[1]}: "
            "give both the same trunk"
        )
    if min(len(source), len(receiver)) < 2:
        raise TrainingError(
            f"batch_size: must be at least 2 to align features, got {min(len(source), len(receiver))}: raise it"
        )
