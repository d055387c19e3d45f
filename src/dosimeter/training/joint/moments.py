"""Distances of a batch of features from another of which only mean and second moment are shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from dosimeter.foundation.errors import TrainingError


@dataclass(frozen=True)
class Pulls:
    """A distance, and how it changes with what the source showed and with the receiver's own features.

    Attributes:
        value: the distance.
        source: gradient by each array that was shown.
        receiver: gradient by the features of the receiver `[m d]`.
    """

    value: Float[Tensor, ""]
    source: Mapping[str, Tensor]
    receiver: Float[Tensor, "m d"]


def coral_of_moments(shown: Mapping[str, Tensor], own: Float[Tensor, "m d"]) -> Pulls:
    """CORAL, as `alignment.coral` has it, from the mean m and the second moment S of the source's batch of n records.

    Its unbiased covariance is n / (n − 1) (S − m mᵀ); S is symmetric.

    Args:
        shown: "mean" `[d]`, "second" `[d d]` and "count" `[1]`.
        own: features of a batch of at least 2.

    Raises:
        TrainingError: a batch has fewer than 2 records.
    """
    mean, second, n = shown["mean"], shown["second"], float(shown["count"])
    _check(n, own)
    factor, d = n / (n - 1), own.shape[1]
    centred, m = own - own.mean(0), len(own) - 1
    difference = factor * (second - mean[:, None] * mean[None]) - centred.T @ centred / m
    slope = difference / (2 * d**2)
    back = {"mean": -2 * factor * slope @ mean, "second": factor * slope}
    return Pulls(difference.square().sum() / (4 * d**2), back, -2 * centred @ slope / m)


def linear_mmd_of_moments(shown: Mapping[str, Tensor], own: Float[Tensor, "m d"]) -> Pulls:
    """Squared distance of the means: the biased squared maximum mean discrepancy under the linear kernel.

    Args:
        shown: "mean" `[d]`, and what else is shown, which is not used.
        own: features `[m d]`.
    """
    apart = shown["mean"] - own.mean(0)
    return Pulls(apart.square().sum(), {"mean": 2 * apart}, (-2 * apart / len(own)).expand_as(own))


def _check(n: float, own: Tensor) -> None:
    """Refuses batches without a covariance."""
    if min(n, len(own)) < 2:
        raise TrainingError(f"batch_size: must be at least 2 to align features, got {min(int(n), len(own))}: raise it")
