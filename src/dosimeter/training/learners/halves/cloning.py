"""Inputs and a copy of the first half, sought together so that the copy makes the features that were seen."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from dosimeter.training.learners.stepping import adam

BATCH = 256
"""Records that run together."""
FADING = 0.01
"""Rate of the inputs in the last round, as a share of that in the first one."""


@dataclass(frozen=True)
class Turns:
    """How inputs and weights take turns.

    Attributes:
        rounds: turns of both.
        steps: of Adam in each turn, for the inputs and then for the weights.
        lr: learning rate of the inputs, which falls along a cosine.
        weights_lr: learning rate of the weights.
    """

    rounds: int
    steps: int
    lr: float
    weights_lr: float


@dataclass(frozen=True)
class Sought:
    """What is sought.

    Attributes:
        seen: features `[n ...]`.
        penalty: how unusual some points are `[b]`.
    """

    seen: Float[Tensor, "n ..."]
    penalty: Callable[[Tensor], Tensor]

    @cached_property
    def scale(self) -> float:
        """Variance of the features, 1 where they do not vary."""
        return float(self.seen.flatten(1).double().var(0, correction=0).mean()) or 1.0

    def losses(self, copy: nn.Module, points: Tensor, seen: Tensor) -> Float[Tensor, " b"]:
        """`|f(x) - z|^2 / var(z) + penalty(x)` of each point, the mean over numbers."""
        apart: Tensor = (copy(points) - seen).flatten(1).pow(2).mean(1)
        return apart / self.scale + self.penalty(points)

    def gradients(self, copy: nn.Module, points: Tensor) -> tuple[Float[Tensor, "n ..."], float]:
        """By points, each by itself; and the mean loss."""
        found, total = [], 0.0
        for some, seen in zip(torch.split(points.detach(), BATCH), torch.split(self.seen, BATCH), strict=True):
            own = some.clone().requires_grad_(True)
            loss = self.losses(copy, own, seen).sum()
            found.append(torch.autograd.grad(loss, own)[0])
            total += loss.item()
        return torch.cat(found), total / len(points)


def seek_both(
    sought: Sought, copies: Sequence[nn.Module], start: Float[Tensor, ...], turns: Turns, rng: np.random.Generator
) -> Float[Tensor, "n ..."]:
    """Points in [0, 1] of which a copy, whose weights follow them, makes the features that were seen.

    Coordinate descent: Erdoğan, Küpçü, Çiçek, WPES 2022, https://arxiv.org/abs/2108.09033, algorithm 1. Each copy
    begins with a quarter of the rounds, since from some weights the search ends in negatives. The one with the least
    loss goes on, and serves all records.

    Args:
        sought: features and penalty.
        copies: from points to features, with other weights each.
        start: where each point starts `[k ...]`.
        turns: how often and how far.
        rng: draws the records of each step of the weights.
    """
    first = max(1, turns.rounds // 4)
    begun = start.expand(len(sought.seen), *start.shape)
    tried = [(copy, _search(sought, copy, begun, replace(turns, rounds=first), rng)) for copy in copies]
    copy, (points, _) = min(tried, key=lambda one: one[1][1])
    if turns.rounds == first:
        return points
    return _search(sought, copy, points, replace(turns, rounds=turns.rounds - first), rng)[0]


def _search(
    sought: Sought, copy: nn.Module, start: Tensor, turns: Turns, rng: np.random.Generator
) -> tuple[Float[Tensor, "n ..."], float]:
    """Points and the loss of one copy."""
    points = start.clone().requires_grad_(True)
    weights = [one for one in copy.parameters() if one.requires_grad]
    seeking, copying = adam([points], turns.lr), adam(weights, turns.weights_lr) if weights else None
    batches = _batches(len(points), rng)
    for turn in range(turns.rounds):
        for group in seeking.param_groups:
            group["lr"] = turns.lr * (FADING + (1 - FADING) * (1 + math.cos(math.pi * turn / turns.rounds)) / 2)
        for _ in range(turns.steps):
            points.grad, _ = sought.gradients(copy, points)
            seeking.step()
            with torch.no_grad():
                points.clamp_(0.0, 1.0)
        for _ in range(turns.steps if copying is not None else 0):
            rows = next(batches)
            loss = (copy(points.detach()[rows]) - sought.seen[rows]).pow(2).mean() / sought.scale
            for one, gradient in zip(weights, torch.autograd.grad(loss, weights, allow_unused=True), strict=True):
                one.grad = gradient
            assert copying is not None
            copying.step()
    return points.detach(), sought.gradients(copy, points)[1]


def _batches(n: int, rng: np.random.Generator) -> Iterator[Tensor]:
    """Rows of the steps of the weights, without end: all of them if they are few."""
    while True:
        order = torch.from_numpy(rng.permutation(n))
        yield from torch.split(order, BATCH)
