"""Batches that differ in their records and not in their classes, so that classes tell nothing of which is which."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import DataError


def alike_batches(
    labels: Int[Array, " r"], batches: int, size: int, rng: np.random.Generator, place: str
) -> tuple[Int[Array, "n b"], Int[Array, " n"]]:
    """Rows of batches that share no record, with the same class at the same place of each; and rows of others.

    So the batches may change places if what crosses depends on their classes alone.

    Args:
        labels: class of each record.
        batches: their number.
        size: records of a batch.
        rng: generator of the draws.
        place: of the records, for messages.

    Returns:
        The batches, and for each a record of one class that is in none of them.

    Raises:
        DataError: there are too few records of equal classes.

    >>> rows, others = alike_batches(np.array([0, 1] * 4), 2, 2, np.random.default_rng(0), "records")
    >>> rows.shape, others.shape
    ((2, 2), (2,))
    """
    order = rng.permutation(len(labels))
    by_class = [order[labels[order] == one] for one in np.unique(labels)]
    able = np.repeat(np.arange(len(by_class)), [len(one) // batches for one in by_class])
    if len(able) <= size:
        raise DataError(
            f"threat.batches: {place} must hold {batches} batches of {size} with equal classes, which share no record, "
            f"and a record more for each, got {len(labels)} records, enough for {max(0, len(able) - 1)} in a batch: "
            "lower batches or batch_size, or choose more records"
        )
    chosen = rng.choice(able, size + 1, replace=False)
    columns = np.empty((size + 1, batches), np.int64)
    for one, rows in enumerate(by_class):
        places = np.flatnonzero(chosen == one)
        columns[places] = rows[: len(places) * batches].reshape(len(places), batches)
    return columns[:size].T.copy(), columns[size]
