"""From what an attack makes of each gradient to reconstructions: as many for every batch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from dosimeter.families.exchange.inverting.observed import Observed
from dosimeter.families.exchange.records.game import RecordsGame
from dosimeter.statistics.evidence import Reconstructions


def each_batch(game: RecordsGame, make: Callable[[Observed], Tensor]) -> Reconstructions:
    """Reconstructions of all batches of a game.

    Where an attack makes fewer than the batch has, or numbers that are not finite, or where a gradient holds nothing,
    the mean of the adversary's own records fills in: they would guess so.

    Args:
        game: the batches.
        make: gives records `[m ...]` of one gradient, at most as many as the batch has.
    """
    mean = mean_of(game)
    rows = []
    for seen in game.seen:
        rows.append(filled(mean[:0] if seen is None else make(seen).detach().cpu().float(), mean, game.size))
    return Reconstructions(game.ids, torch.stack(rows)[None].double().numpy())


def mean_of(game: RecordsGame) -> Float[Tensor, "1 ..."]:
    """The mean of the adversary's own records."""
    return game.auxiliary.inputs.float().mean(0, keepdim=True)


def filled(made: Float[Tensor, "m ..."], mean: Float[Tensor, "1 ..."], size: int) -> Float[Tensor, "b ..."]:
    """As many records as a batch has; the mean in place of what is missing or not finite.

    Args:
        made: at most so many.
        mean: what fills in.
        size: records of the batch.
    """
    own = made[:size].reshape(-1, *mean.shape[1:])
    good = torch.isfinite(own.flatten(1)).all(1).reshape(-1, *[1] * (own.ndim - 1))
    own = torch.where(good, own, mean)
    return torch.cat([own, mean.expand(size - len(own), *mean.shape[1:])])
