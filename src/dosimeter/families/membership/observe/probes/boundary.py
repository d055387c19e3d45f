"""Distance of a record from the decision boundary, from predicted classes alone: HopSkipJump in L2, batched.

Axes: `n` records, `b` directions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dosimeter.families.membership.observe.probes.subject import Probe, Situation, Subject
from dosimeter.foundation.seeds import generator, seed_for
from dosimeter.models.access import Access
from dosimeter.models.architectures import as_float

QUERIES = (250, 1000, 4000)
"""Budgets: the most queries of a model for one record."""
STARTS = 16
"""Number of records of another predicted class; the search starts from the nearest."""
HALVINGS = 8
"""Number of step lengths that are tried at once; each is half of the one before."""
SHARE = 50
"""Divisor of the budget: this part of the queries goes to the first gradient estimate."""
NUMBERS = 2**23
"""Most numbers in moved records that are held in memory at once."""
RESOLVED = 2.0**-20
"""Smallest step of the gradient estimate, relative to the point's length: smaller ones are lost in float32 rounding."""
Labels = Callable[[Tensor], Tensor]
"""Function from records `[k ...]` to predicted classes `[k]`."""


def compute(subject: Subject, queries: int) -> dict[str, Tensor]:
    """Distance of each record from each model's boundary, in input units `[m r]`; 0 if it is misclassified.

    The random directions come from fixed seeds, one for each chunk of correctly classified records, so that they do
    not depend on membership.
    """
    records = as_float(subject.records).float()
    images = subject.records.ndim == 4
    found = []
    for model in subject.models:

        def ask(moved: Tensor, answer: Callable[[Tensor], Tensor] = model.answer) -> Tensor:
            return answer(moved).argmax(1)

        found.append(distances(ask, records, subject.labels, queries=queries, box=images))
    return {f"boundary_distance_{queries}": torch.stack(found)}


def distances(
    ask: Labels, records: Float[Tensor, "r ..."], labels: Int[Tensor, " r"], *, queries: int, box: bool
) -> Float[Tensor, " r"]:
    """Distances of all records, chunk by chunk.

    If the model predicts the record's class for every record, no point beyond the boundary is known. The distance is
    then the diagonal of the records' range.

    Args:
        ask: the model.
        records: floats.
        labels: true classes.
        queries: budget of each record, the record itself included.
        box: whether inputs stay in [0, 1].
    """
    predicted = ask(records)
    spread = records.flatten(1).amax(0) - records.flatten(1).amin(0)
    far = torch.full((len(records),), float(spread.norm()), dtype=torch.float64)
    far[predicted != labels] = 0.0
    start, rows = _starts(records, labels, predicted)
    if not len(rows):
        return far
    size = max(1, NUMBERS // (records[0].numel() * directions(queries, rounds(queries, records[0].numel()))))
    for index, part in enumerate(torch.split(torch.arange(len(rows)), size)):
        own = rows[part]
        rng = torch.Generator().manual_seed(seed_for(0, "boundary distance", index))
        search = _Search(ask, records[own], labels[own], queries, box, rng)
        far[own] = search.run(records[start[part]])
    return far


def _starts(records: Tensor, labels: Tensor, predicted: Tensor) -> tuple[Int[Tensor, " k"], Int[Tensor, " k"]]:
    """The nearest of a few records with another predicted class, for each correctly classified record; and these."""
    rng, start, rows = generator(0, "boundary starts"), [], []
    for label in torch.unique(labels):
        own = torch.nonzero((labels == label) & (predicted == label))[:, 0]
        others = torch.nonzero(predicted != label)[:, 0]
        if len(own) and len(others):
            drawn = others[torch.from_numpy(rng.integers(len(others), size=(STARTS, len(own))))]
            lengths = torch.stack([(records[one] - records[own]).flatten(1).norm(dim=1) for one in drawn])
            start.append(drawn.gather(0, lengths.argmin(0)[None])[0])
            rows.append(own)
    empty = torch.empty(0, dtype=torch.int64)
    return torch.cat([empty, *start]), torch.cat([empty, *rows])


def bisections(numbers: int) -> int:
    """Number of bisections on the way to the boundary: to a part d^(-3/2) of it, as far as float32 resolves."""
    return min(max(math.ceil(1.5 * math.log2(max(numbers, 2))), 8), 20)


def directions(queries: int, turn: int) -> int:
    """Directions of gradient estimate `turn`, counted from 1."""
    return max(1, round(queries / SHARE * math.sqrt(turn)))


def cost(queries: int, turns: int, numbers: int) -> int:
    """Number of queries of one record, itself included, after so many turns."""
    each = sum(directions(queries, turn) + HALVINGS + bisections(numbers) for turn in range(1, turns + 1))
    return 1 + bisections(numbers) + each


def rounds(queries: int, numbers: int) -> int:
    """Number of turns that the budget allows."""
    turns = 0
    while cost(queries, turns + 1, numbers) <= queries:
        turns += 1
    return turns


class _Search:
    """One chunk of correctly classified records. Each record takes every step, so all budgets are equal."""

    def __init__(self, ask: Labels, x: Tensor, labels: Tensor, queries: int, box: bool, rng: torch.Generator) -> None:
        self.ask, self.x, self.labels, self.queries, self.box, self.rng = ask, x, labels, queries, box, rng
        self.numbers = x[0].numel()

    def run(self, start: Float[Tensor, "n ..."]) -> Float[Tensor, " n"]:
        """Distances, from a point beyond the boundary for each record. Chen et al. 2020, algorithm 2."""
        point = self._nearest(start)
        for turn in range(1, rounds(self.queries, self.numbers) + 1):
            gap = self._length(point)
            direction = self._gradient(point, gap, directions(self.queries, turn))
            found = self._nearest(self._jump(point, direction, gap / math.sqrt(turn)))
            nearer = self._length(found) < gap
            point = torch.where(self._wide(nearer), found, point)
        return self._length(point).double()

    def _wide(self, values: Tensor) -> Tensor:
        """One number for each record, in a shape that multiplies records."""
        wide: Tensor = values.view(-1, *[1] * (self.x.ndim - 1))
        return wide

    def _length(self, point: Tensor) -> Float[Tensor, " n"]:
        return (point - self.x).flatten(1).square().sum(1).sqrt()

    def _beyond(self, points: Float[Tensor, "b n ..."]) -> Bool[Tensor, "b n"]:
        """Returns whether points are classified differently from their records."""
        predicted: Tensor = self.ask(points.flatten(0, 1)).view(points.shape[:2])
        return predicted != self.labels

    def _clamp(self, points: Tensor) -> Tensor:
        return points.clamp(0, 1) if self.box else points

    def _nearest(self, beyond: Float[Tensor, "n ..."]) -> Float[Tensor, "n ..."]:
        """The point next to the boundary on the line to a point beyond it, on the far side."""
        low, high = torch.zeros(len(self.x)), torch.ones(len(self.x))
        for _ in range(bisections(self.numbers)):
            middle = (low + high) / 2
            there = self._beyond(torch.lerp(self.x, beyond, self._wide(middle))[None])[0]
            low, high = torch.where(there, low, middle), torch.where(there, middle, high)
        return torch.lerp(self.x, beyond, self._wide(high))

    def _gradient(self, point: Tensor, gap: Tensor, b: int) -> Float[Tensor, "n ..."]:
        """Direction away from the record's class, estimated from `b` random directions; equations 9 and 16."""
        drawn = torch.randn(b, *self.x.shape, generator=self.rng)
        drawn /= drawn.flatten(2).norm(dim=2).view(b, -1, *[1] * (self.x.ndim - 1))
        least = torch.minimum(RESOLVED * point.flatten(1).norm(dim=1), gap / 100)
        radius = self._wide(torch.maximum(gap / self.numbers, least)).clamp(min=1e-12)
        moved = self._clamp(point + radius * drawn)
        sign = self._beyond(moved).float() * 2 - 1
        mean = sign.mean(0)
        weight = torch.where(mean.abs() < 1, sign - mean, sign)
        total = (((moved - point) / radius) * weight.view(*weight.shape, *[1] * (self.x.ndim - 1))).sum(0)
        return total / self._wide(total.flatten(1).norm(dim=1).clamp(min=1e-30))

    def _jump(self, point: Tensor, direction: Tensor, step: Tensor) -> Float[Tensor, "n ..."]:
        """The longest step along a direction that stays beyond the boundary; none if all cross it."""
        steps = step * 0.5 ** torch.arange(HALVINGS)[:, None]
        tried = self._clamp(point + steps.view(*steps.shape, *[1] * (self.x.ndim - 1)) * direction)
        there = self._beyond(tried)
        first = there.float().argmax(0)
        chosen = tried[first, torch.arange(len(self.x))]
        return torch.where(self._wide(there.any(0)), chosen, point)


def lacks(situation: Situation) -> str:
    """Reason why records cannot be moved slightly, which tokens cannot; empty if they can."""
    if situation.continuous:
        return ""
    return "needs images or rows of real numbers, which can be moved by a little, got others: leave the attack out"


PROBES = tuple(
    Probe(
        (f"boundary_distance_{queries}",), Access.LABELS, partial(compute, queries=queries), lacks,
        passes=float(queries), from_records=True, queries=queries,
    )
    for queries in QUERIES
)  # fmt: skip
