"""Batches of the adversary's own records, as the victim's batches of either side would be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from dosimeter.families.exchange.game import ExchangeGame
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import DataError


@dataclass(frozen=True)
class Drawn:
    """Batches of one step; of "fedavg" those of one round, one after another.

    Attributes:
        inputs: `[k b ...]`.
        labels: `[k b]`.
        sides: of each batch, 1 for the first side of the mixture `[k]`.
    """

    inputs: Tensor
    labels: Int[Tensor, "k b"]
    sides: Int[Array, " k"]


def drawn(game: ExchangeGame, per_side: int, rng: np.random.Generator) -> Drawn:
    """Batches of both sides, as many of each.

    Args:
        game: whose auxiliary records are drawn.
        per_side: batches of each side.
        rng: generator of the draws.

    Raises:
        DataError: too few auxiliary records with the property, or without.
    """
    has, rows, sides = game.auxiliary.has, [], []
    local = game.seen.agreement.local_steps
    pools = np.flatnonzero(has), np.flatnonzero(~has)
    for side, share in ((1, game.mixture[0]), (0, game.mixture[1])):
        count = round(share * game.batch)
        for pool, own in zip(pools, (count, game.batch - count), strict=True):
            if len(pool) < own:
                raise DataError(
                    f"auxiliary: must hold {own} records of a kind to fill a batch of {game.batch}, got {len(pool)}: "
                    "give more"
                )
        for _ in range(per_side):
            parts = [(pools[0], count), (pools[1], game.batch - count)] * local
            rows.append(np.concatenate([rng.choice(pool, own, replace=False) for pool, own in parts]))
            sides.append(side)
    return _taken(game, np.stack(rows), np.array(sides))


def any_batches(game: ExchangeGame, count: int, rng: np.random.Generator) -> Drawn:
    """Batches that do not depend on the property."""
    size, local = len(game.auxiliary.has), game.seen.agreement.local_steps
    rows = np.stack([rng.choice(size, game.batch, replace=size < game.batch) for _ in range(count * local)])
    rows = rows.reshape(count, -1)
    return _taken(game, rows, np.zeros(count, np.int64))


def _taken(game: ExchangeGame, rows: Int[Array, "k b"], sides: Int[Array, " k"]) -> Drawn:
    """Auxiliary records by row."""
    taken = torch.from_numpy(rows)
    return Drawn(game.auxiliary.inputs[taken], game.auxiliary.labels[taken], sides)
