"""Search for records whose features are those that were seen; of all victims at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dosimeter.families.split.game import FirstHalf, SplitGame
from dosimeter.foundation.errors import AccessError
from dosimeter.training.learners.stepping import adam

BATCH = 256
"""Records that are sought together."""
COMPETING = 32
"""Most auxiliary records on which the weights of a penalty compete."""
FADING = 0.01
"""Rate of the last step, as a share of the first one."""


@dataclass(frozen=True)
class Search:
    """What is searched, and how.

    Attributes:
        half: the first half.
        decode: from points of the search to records.
        penalty: how unusual some records are, from their points and themselves; about 1 for usual ones.
        start: where each search starts `[k ...]`.
        box: least and largest number of a point, if there are any.
        spread: of each number of a record, by which errors are divided.
        scale: variance of the features, by which their squared error is divided.
        steps: of Adam.
        lr: its learning rate, which falls to a hundredth of it along a cosine.
        samples: answers over which each gradient is averaged where defenses of the cut are random.
    """

    half: FirstHalf
    decode: Callable[[Tensor], Tensor]
    penalty: Callable[[Tensor, Tensor], Tensor]
    start: Float[Tensor, ...]
    box: tuple[float, float] | None
    spread: Float[Tensor, ...]
    scale: float
    steps: int
    lr: float
    samples: int

    def run(
        self, seen: Float[Tensor, "n ..."], weights: Float[Tensor, " n"], rng: np.random.Generator
    ) -> Float[Tensor, "n ..."]:
        """Records whose features are near to those that were seen.

        Minimises `|f(x) - z|^2 / scale + weight * penalty(x)` for each record by itself, the mean over numbers.

        Args:
            seen: features.
            weights: of the penalty, for each record.
            rng: from which defenses of the cut draw.
        """
        parts = zip(torch.split(seen, BATCH), torch.split(weights, BATCH), strict=True)
        return torch.cat([self._batch(some, own, rng) for some, own in parts])

    def _batch(self, seen: Tensor, weights: Tensor, rng: np.random.Generator) -> Tensor:
        """One batch of `run`."""
        point = self.start.expand(len(seen), *self.start.shape).clone().requires_grad_(True)
        optimiser = adam([point], self.lr)
        draws = self.samples if self.half.random else 1
        for step in range(self.steps):
            for group in optimiser.param_groups:
                group["lr"] = self.lr * (FADING + (1 - FADING) * (1 + math.cos(math.pi * step / self.steps)) / 2)
            records = self.decode(point)
            apart = sum((self.half.sent(records, rng) - seen).flatten(1).pow(2).mean(1) for _ in range(draws)) / draws
            loss = (apart / self.scale + weights * self.penalty(point, records)).sum()
            (point.grad,) = torch.autograd.grad(loss, point)
            optimiser.step()
            if self.box is not None:
                with torch.no_grad():
                    point.clamp_(*self.box)
        with torch.no_grad():
            return self.decode(point)

    def chosen(self, game: SplitGame, rows: Tensor, weights: Sequence[float], rng: np.random.Generator) -> float:
        """The weight of the penalty with which auxiliary records come back best.

        Args:
            game: whose auxiliary records are used.
            rows: auxiliary records on which weights compete.
            weights: to choose among.
            rng: as in `run`.
        """
        if len(weights) == 1:
            return weights[0]
        known, true = game.auxiliary.seen[rows], game.auxiliary.inputs[rows].float()
        tried = torch.tensor(weights, dtype=known.dtype, device=known.device).repeat_interleave(len(rows))
        found = self.run(known.repeat(len(weights), *[1] * (known.ndim - 1)), tried, rng)
        apart = (found.reshape(len(weights), *true.shape) - true) / self.spread
        return weights[int(apart.pow(2).flatten(1).mean(1).argmin())]


def opened(game: SplitGame) -> FirstHalf:
    """The first half of a game.

    Raises:
        AccessError: the game does not have it.
    """
    if game.half is None:
        raise AccessError("needs the weights of the first half, and the game has none: set knows = 'weights'")
    return game.half


def competing(game: SplitGame) -> Tensor:
    """Auxiliary records on which settings compete, a quarter of them at most: the same ones for every cut."""
    n = len(game.auxiliary.inputs)
    rows = np.linspace(0, n - 1, max(1, min(COMPETING, n // 4))).astype(np.int64)
    return torch.from_numpy(rows).to(game.device)


def variance_of(seen: Float[Tensor, "n ..."]) -> float:
    """Mean variance of features, 1 where they do not vary."""
    found = float(seen.flatten(1).double().var(0, correction=0).mean())
    return found if found > 0 else 1.0


def spreads(records: Float[Tensor, "n ..."], *, pictures: bool) -> Float[Tensor, ...]:
    """By what errors of records are divided: 1 in pictures, each number's deviation in others."""
    if pictures:
        return torch.ones((), device=records.device)
    found = records.std(0, correction=0)
    return torch.where(found > 0, found, torch.ones_like(found))


def are_pictures(records: Float[Tensor, "n ..."]) -> bool:
    """Returns whether records are pictures, channels by height by width, with numbers in [0, 1]."""
    return records.ndim == 4 and bool(records.min() >= 0) and bool(records.max() <= 1)


def variation(records: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
    """Total variation: the mean squared difference of neighbouring pixels, down and across.

    >>> variation(torch.tensor([[[[0.0, 1.0], [0.0, 1.0]]]]))
    tensor([1.])
    """
    found = torch.zeros(len(records), device=records.device)
    for along in (2, 3):
        if records.shape[along] > 1:
            found = found + records.diff(dim=along).pow(2).flatten(1).mean(1)
    return found


def checked_search(attack: object, weights: Sequence[float]) -> None:
    """Refuses wrong settings of a search.

    Raises:
        ValueError: steps, lr or samples are not positive, or weights are none or negative.
    """
    for name in ("steps", "lr", "samples"):
        if not getattr(attack, name) > 0:
            raise ValueError(f"{name} must be positive, got {getattr(attack, name)}")
    if not weights or not min(weights) >= 0:
        raise ValueError(f"weights must be numbers from 0 on, got {list(weights)}")
