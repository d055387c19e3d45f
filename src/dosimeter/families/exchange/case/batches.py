"""Which records each party trains on at each step: the victim's batches by a coin, the others' in random order."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int

from dosimeter.families.exchange.case.people import count_of
from dosimeter.foundation.arrays import Array


def coins_of(steps: int, rng: np.random.Generator) -> Bool[Array, " n"]:
    """A fair coin for each step; true stands for the first side of a mixture, with the larger share.

    Coins of which all are alike are thrown again, since then nothing could be judged.
    """
    while True:
        coins = rng.integers(2, size=steps).astype(bool)
        if 2 <= coins.sum() <= steps - 2:
            return coins


def mixed(
    coins: Bool[Array, " n"], has: Bool[Array, " r"], mixture: tuple[float, float], size: int, rng: np.random.Generator
) -> Int[Array, "n b"]:
    """Batches of which the coin decides how many records have the property.

    Records within a batch are distinct; each batch is drawn anew from all records.

    Args:
        coins: of each step.
        has: whether each record has the property.
        mixture: its share in a batch, of both sides.
        size: records of a batch.
        rng: generator of the draws.
    """
    pools = np.flatnonzero(has), np.flatnonzero(~has)
    found = np.empty((len(coins), size), np.int64)
    for step, coin in enumerate(coins):
        count = count_of(mixture[0] if coin else mixture[1], size)
        drawn = [rng.choice(pool, own, replace=False) for pool, own in zip(pools, (count, size - count), strict=True)]
        found[step] = rng.permutation(np.concatenate(drawn))
    return found


def shuffled(steps: int, records: int, size: int, rng: np.random.Generator) -> Int[Array, "n b"]:
    """Batches in random order of all records, epoch after epoch; what is left of an epoch is left out.

    Args:
        steps: number of batches.
        records: number of records, at least `size`.
        size: records of a batch.
        rng: generator of the order.
    """
    each = records // size
    epochs = [rng.permutation(records)[: each * size].reshape(each, size) for _ in range(-(-steps // each))]
    return np.concatenate(epochs)[:steps]
