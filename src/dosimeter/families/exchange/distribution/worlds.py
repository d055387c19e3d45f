"""Which records a training of each world has: equally many of every class, and another share with the property.

Classes are held fixed, as in the experiments of Suri and Evans (PETS 2022, https://arxiv.org/abs/2109.06024): a model
is meant to tell how often each class occurs, and a property that goes with classes would be told by that alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from dosimeter.families.exchange.case.people import count_of
from dosimeter.foundation.arrays import Array


@dataclass(frozen=True)
class Pool:
    """Records of one owner, from which trainings are drawn.

    Attributes:
        has: whether each record of the owner has the property `[r]`.
        labels: their classes `[r]`.
        rows: those that belong to the pool.
    """

    has: Bool[Array, " r"]
    labels: Int[Array, " r"]
    rows: Int[Array, " p"]

    def cell(self, kind: int, has: bool) -> Int[Array, " q"]:
        """Rows of one class with the property, or without."""
        found: Array = self.rows[(self.labels[self.rows] == kind) & (self.has[self.rows] == has)]
        return found

    def most(self, shares: Sequence[float], classes: int) -> Int[Array, " c"]:
        """Of each class the most records that can be had with each of the shares.

        Args:
            shares: of records with the property.
            classes: their number.
        """
        return np.array([self._most(kind, shares) for kind in range(classes)])

    def _most(self, kind: int, shares: Sequence[float]) -> int:
        """Of one class."""
        having, lacking = (len(self.cell(kind, one)) for one in (True, False))
        for count in range(having + lacking, 0, -1):
            wanted = [count_of(share, count) for share in shares]
            if max(wanted) <= having and count - min(wanted) <= lacking:
                return count
        return 0

    def draw(self, counts: Int[Array, " c"], share: float | None, rng: np.random.Generator) -> Int[Array, " m"]:
        """Rows of one training, in random order.

        Args:
            counts: records of each class.
            share: of those with the property; of None they come as they are.
            rng: generator of the draw.
        """
        found = []
        for kind, count in enumerate(counts.tolist()):
            if share is None:
                cells = [(np.concatenate([self.cell(kind, one) for one in (True, False)]), count)]
            else:
                with_it = count_of(share, count)
                cells = [(self.cell(kind, True), with_it), (self.cell(kind, False), count - with_it)]
            found += [rng.choice(cell, size, replace=False) for cell, size in cells if size]
        return rng.permutation(np.concatenate([np.zeros(0, np.int64), *found]))

    def split(self, parts: int, rng: np.random.Generator) -> tuple[Pool, ...]:
        """Parts that share no record, each with as many of every class with the property and without, but for one.

        Args:
            parts: their number.
            rng: generator of the split.
        """
        dealt: list[list[Array]] = [[] for _ in range(parts)]
        for kind in np.unique(self.labels[self.rows]).tolist():
            for has in (True, False):
                cell = rng.permutation(self.cell(kind, has))
                for part in range(parts):
                    dealt[part].append(cell[part::parts])
        return tuple(Pool(self.has, self.labels, np.sort(np.concatenate(one))) for one in dealt)


def fewest(pools: Sequence[Pool], shares: Sequence[float], classes: int) -> Int[Array, " c"]:
    """Of each class the most records that every pool has with each of the shares."""
    found: Array = np.stack([one.most(shares, classes) for one in pools]).min(0)
    return found


def told_apart(counts: Int[Array, " c"], shares: tuple[float, float]) -> bool:
    """Returns whether two trainings with so many records of each class differ in how many have the property."""
    first, second = (sum(count_of(share, one) for one in counts.tolist()) for share in shares)
    return first != second


def scaled(counts: Int[Array, " c"], total: int) -> Int[Array, " c"]:
    """Counts that sum up to a total at most, with the same shares of classes, rounded down."""
    return counts if counts.sum() <= total else counts * total // int(counts.sum())
