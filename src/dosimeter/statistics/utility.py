"""Utility of a model, with the same kind of intervals as its leakage."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int

from dosimeter.foundation.arrays import Array
from dosimeter.statistics.estimate import Estimate
from dosimeter.statistics.intervals.crossed import rate_interval


def accuracy(
    correct: Bool[Array, "t n"],
    counted: Bool[Array, "t n"],
    *,
    record: Int[Array, " n"],
    rng: np.random.Generator,
    level: float = 0.95,
) -> Estimate:
    """Share of counted predictions that are correct, pooled over targets.

    Args:
        correct: whether a target's prediction for a record is correct.
        counted: which predictions belong to the split (members, non-members, or test records).
        record: cluster of each record.
        rng: generator for the bootstrap over targets and records.
        level: two-sided confidence level.

    Returns:
        The estimate. A split is not divided by membership, so `n_members` holds the predictions counted, summed over
        targets, and `n_nonmembers` the distinct record clusters among them.

    Raises:
        ValueError: shapes do not fit or nothing is counted.

    >>> right = np.array([[True, True, False, True]])
    >>> counted, record = np.ones((1, 4), bool), np.arange(4)
    >>> accuracy(right, counted, record=record, rng=np.random.default_rng(0)).value
    0.75
    """
    value, low, high, method = rate_interval(correct, counted, record=record, rng=rng, level=level)
    distinct = len(np.unique(record[counted.any(0)]))
    return Estimate(value, low, high, level, method, int(counted.sum()), distinct, len(correct))
