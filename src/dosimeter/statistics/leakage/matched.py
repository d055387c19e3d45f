"""Reconstructions in no order against the true records: the best pairs, what each is worth, and how many are there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment

from dosimeter.foundation.arrays import Array
from dosimeter.foundation.checks import finite
from dosimeter.statistics.leakage.pixels import psnr

RECOVERED = 1e-3
"""Mean squared error below which a record of numbers in [0, 1] counts as recovered."""


@dataclass(frozen=True)
class Matched:
    """The true records of a batch with what was made of each.

    Attributes:
        error: mean squared error of each true record; infinite where there are too few reconstructions.
        made: which reconstruction belongs to it, -1 for none.
    """

    error: Float[Array, " b"]
    made: Int[Array, " b"]

    @property
    def psnr(self) -> Float[Array, " b"]:
        """Of each true record in dB, for numbers in [0, 1]; minus infinity where nothing was made."""
        with np.errstate(divide="ignore"):
            return np.where(np.isfinite(self.error), psnr(self.error), -np.inf)

    @property
    def recovered(self) -> float:
        """Share of the records with an error below `RECOVERED`."""
        return float((self.error < RECOVERED).mean())


def matched(made: Float[Array, "m ..."], true: Float[Array, "b ..."]) -> Matched:
    """Pairs reconstructions with true records so that the sum of the errors is least (Hungarian method).

    The truth chooses the pairs: a batch has no order. Where there are more reconstructions than records, it chooses
    those as well, so give as many as the batch has to judge an attack, and all to see what its list contains.

    Args:
        made: reconstructions.
        true: records.

    Raises:
        ValueError: no records, shapes differ, or an entry is not finite.

    >>> matched(np.array([[0.0], [1.0]]), np.array([[1.0], [0.5]])).error.tolist()
    [0.0, 0.25]
    """
    if not len(true) or made.shape[1:] != true.shape[1:]:
        raise ValueError(f"reconstructions must have the shape of the records, got {made.shape} and {true.shape}")
    finite("reconstructions", made)
    finite("records", true)
    a, b = made.astype(np.float64), true.astype(np.float64)
    own = tuple(range(1, a.ndim))
    apart = np.stack([((a - one) ** 2).mean(axis=own) for one in b])
    rows, columns = linear_sum_assignment(apart)
    error, place = np.full(len(b), np.inf), np.full(len(b), -1)
    error[rows], place[rows] = apart[rows, columns], columns
    return Matched(error, place)


def mean_baseline(known: Float[Array, "n ..."], true: Float[Array, "b ..."]) -> Matched:
    """What the mean of an adversary's own records is worth as the reconstruction of every record.

    Args:
        known: their own records.
        true: records of the batch.
    """
    return matched(np.repeat(known.mean(0, keepdims=True), len(true), axis=0), true)
