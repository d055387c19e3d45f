"""From what an attack makes of each gradient to reconstructions, as many for every batch; and bases of searches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dosimeter.families.exchange.game import Needs
from dosimeter.families.exchange.inverting.matching import Newton
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


class MakesRecords(ABC):
    """An attack that makes records of the gradient of each batch; of its settings those are refused that no search has.

    Attributes:
        channel: what of the messages is read.
    """

    control: ClassVar[bool] = False
    signals: ClassVar[tuple[str, ...]] = ()

    channel: Literal["gradient", "update"]

    def __post_init__(self) -> None:
        _ = self.search

    @property
    def mode(self) -> str:
        """The channel, which names the attack in results."""
        return self.channel

    @property
    def needs(self) -> Needs:
        """Messages of the channel, and the last layer."""
        return Needs(self.channel, question="records", head=True)

    @property
    @abstractmethod
    def search(self) -> object:
        """The search, with its settings."""

    def run(self, game: RecordsGame, rng: np.random.Generator) -> Reconstructions:
        """Makes records of each batch; `rng` draws the starts."""
        return each_batch(game, lambda seen: self.make(seen, rng))

    @abstractmethod
    def make(self, seen: Observed, rng: np.random.Generator) -> Tensor:
        """Makes records `[m ...]` of one gradient, at most as many as the batch has."""


class SearchesByNewton(MakesRecords):
    """An attack that seeks records by L-BFGS.

    Attributes:
        rounds: calls of the optimiser.
        steps: of each call.
        attempts: starts at most.
    """

    rounds: int
    steps: int
    attempts: int

    @property
    def passes(self) -> int:
        """Gradients of a guess for each batch."""
        return self.rounds * self.steps * self.attempts

    @property
    def search(self) -> Newton:
        """The search."""
        return Newton(self.rounds, self.steps, self.attempts)
