"""Halves of a pool that divide no person: whole persons are drawn, and both halves have equally many records."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int

from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import ConfigError

TRIES = 200
"""Most draws until one comes out even."""
EXCHANGED = 500
"""Persons of each half among whom an exchange is searched."""


def person_half(person: Int[Array, " p"], rng: np.random.Generator) -> Bool[Array, " p"]:
    """One half of the records, made of whole persons; each person is in it with probability 1/2.

    Persons of similar size are paired at random, and a coin separates each pair. The remaining difference is removed by
    moving or exchanging persons; the draw is repeated until that succeeds. A last coin exchanges both halves, so that
    these moves favour no person.

    Args:
        person: whose record it is, 0 to u - 1; an even number of records.
        rng: generator for the draws.

    Raises:
        ConfigError: no draw came out even.

    >>> half = person_half(np.array([0, 0, 0, 1, 2, 3, 3, 3]), np.random.default_rng(0))
    >>> int(half.sum()), bool(half[0] == half[2])
    (4, True)
    """
    size = np.bincount(person)
    best = len(person)
    for _ in range(TRIES):
        order = np.lexsort((rng.permutation(len(size)), size))
        chosen = np.zeros(len(size), bool)
        pairs = order[len(size) % 2 :].reshape(-1, 2)
        chosen[np.where(rng.integers(0, 2, len(pairs)) > 0, pairs[:, 0], pairs[:, 1])] = True
        # With an odd number of persons the one with the fewest records has no partner.
        chosen[order[: len(size) % 2]] = rng.integers(0, 2) > 0
        left = _level(chosen, size, rng)
        if not left:
            return np.asarray((chosen ^ bool(rng.integers(0, 2)))[person])
        best = min(best, 2 * left)
    raise ConfigError(
        f"threat.unit: whole persons must fill halves of equal size, got {len(size)} persons whose best halves differ "
        f"by {best} records: use unit = 'record', or leave out the persons with most records"
    )


def halvable(size: Int[Array, " u"]) -> bool:
    """Returns whether persons with so many records can fill two equal halves.

    >>> halvable(np.array([3, 3, 3, 3])), halvable(np.array([3, 3, 3, 3, 2])), halvable(np.array([3, 2, 1]))
    (True, False, True)
    """
    half, odd = divmod(int(size.sum()), 2)
    reached, kept = 1, (1 << half + 1) - 1  # bit s: some of them have s records together
    for one, count in zip(*(part.tolist() for part in np.unique(size, return_counts=True)), strict=True):
        # Binary splitting: groups of 1, 2, 4, ... persons of equal size give every number of them in few steps.
        times = 1
        while count:
            times = min(times, count)
            reached |= reached << one * times & kept
            count, times = count - times, 2 * times
    return not odd and bool(reached >> half & 1)


def _level(chosen: Array, size: Array, rng: np.random.Generator) -> int:
    """Moves persons from the larger half, or exchanges two, while that helps; returns the remaining difference."""
    while surplus := (int(size[chosen].sum()) - int(size[~chosen].sum())) // 2:
        more = chosen if surplus > 0 else ~chosen
        left = abs(surplus)
        moved = rng.permutation(np.flatnonzero(more & (size <= left)))
        if len(moved):
            chosen[moved[0]] ^= True
            continue
        here, there = (rng.permutation(np.flatnonzero(side))[:EXCHANGED] for side in (more, ~more))
        gain = size[here][:, None] - size[there]
        fitting = np.argwhere((gain > 0) & (gain <= left))
        if not len(fitting):
            return left
        one, other = fitting[0]
        chosen[[here[one], there[other]]] ^= True
    return 0
