"""Halves of records, or of persons, for readers where the adversary has no rehearsals.

A record is never scored by a reader that saw it, or another record of its person, under any target. So complementary
targets, which tell each other's bits, stay together too.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from dosimeter.foundation.arrays import Array
from dosimeter.statistics.intervals.cells import clusters

HALVINGS, FEW_HALVINGS, MANY = 11, 3, 100_000
"""Random halvings whose readers' probabilities are averaged; fewer from `MANY` scores on, where readers hardly differ.

One halving's readers rest on half of the records each, and another seed gives another dose."""


def halvings(
    record: Int[Array, " n"], inside: Float[Array, " n"], rng: np.random.Generator, count: int
) -> Bool[Array, "r n"]:
    """Random halves by clusters, both with the two kinds of clusters in the same proportion.

    Args:
        record: cluster of each record.
        inside: share of the targets for which each record's secret is "yes"; clusters above 1/2 on average, and the
            others, are halved apart.
        rng: generator for the draws.
        count: number of halvings.

    Returns:
        Which records are in the first half of each halving.

    >>> halvings(np.array([0, 0, 1, 1]), np.zeros(4), np.random.default_rng(0), 1).sum()
    np.int64(2)
    """
    index, k = clusters(record)
    place = np.arange(len(record)) if index is None else index
    kind = np.bincount(place, inside, k) / np.bincount(place, minlength=k) > 0.5
    found = np.zeros((count, k), bool)
    for half in found:
        for own in (np.flatnonzero(kind), np.flatnonzero(~kind)):
            # The odd one falls to either half by a coin.
            half[rng.permutation(own)[: (len(own) + int(rng.integers(2))) // 2]] = True
    return found[:, place]


def usual_count(scores: int) -> int:
    """Number of halvings for so many scores."""
    return HALVINGS if scores < MANY else FEW_HALVINGS
