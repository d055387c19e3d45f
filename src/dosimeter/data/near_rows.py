"""Table rows that nearly agree: in all columns but one, or in all numbers up to a small difference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dosimeter.data.files.columns import Block
from dosimeter.foundation.arrays import Array

CHUNK = 1_000_000
"""Most pairs that are examined at once."""
MOST_PER_COLUMN = 20_000_000
"""Most pairs that agree in all columns but one; more only show that the table has few distinct values."""
PROJECTIONS = 8
"""Number of random directions; rows that are close are close along each of them."""


@dataclass(frozen=True)
class Rows:
    """Records of one or two tables, prepared for comparison.

    Attributes:
        hashes: a number for each column of each record `[n k]` uint64, equal where the cells are.
        key: a number for all text of a record `[n]`.
        numbers: the numeric columns in standard deviations `[n q]`.
    """

    hashes: Array
    key: Array
    numbers: Array

    @staticmethod
    def of(flat: Array, parts: Sequence[Block]) -> Rows:
        """Prepares features `[n d]` whose columns are known."""
        hashes = np.empty((len(flat), len(parts)), np.uint64)
        numeric = []
        for i, part in enumerate(parts):
            own = flat[:, part.start : part.stop]
            if part.categories is None:
                values = own[:, 0].astype(np.float32) + np.float32(0)
                codes = values.view(np.uint32).astype(np.uint64)
                if len(np.unique(values[:1000])) > 2 or len(np.unique(values)) > 2:
                    numeric.append(i)
            else:
                codes = np.where(own.any(1), own.argmax(1) + 1, 0).astype(np.uint64)
            hashes[:, i] = _hash(codes + np.uint64((i + 1) << 33))
        others = np.setdiff1d(np.arange(len(parts)), numeric)
        numbers = flat[:, [parts[i].start for i in numeric]].astype(np.float64)
        numbers -= numbers.mean(0)
        deviation = numbers.std(0)
        numbers /= np.where(deviation > 0, deviation, 1)
        return Rows(hashes, hashes[:, others].sum(1, dtype=np.uint64), numbers.astype(np.float32))

    def near(self, left: slice, right: slice, distance: float) -> Iterator[Array]:
        """Blocks of pairs (positions in left, in right) that nearly agree; equal rows may be among them."""
        total = self.hashes.sum(1, dtype=np.uint64)
        for column in range(self.hashes.shape[1] if self.hashes.shape[1] > 1 else 0):
            keys = total - self.hashes[:, column]
            _, counts = np.unique(keys, return_counts=True)
            if int((counts.astype(np.float64) ** 2).sum()) <= MOST_PER_COLUMN:
                yield from _pairs(*_equal(keys[left], keys[right]))
        if self.numbers.shape[1]:
            yield from self._close(left, right, distance)

    def _close(self, left: slice, right: slice, distance: float) -> Iterator[Array]:
        """Pairs with the same text and close numbers that differ in more than one column."""
        q = self.numbers.shape[1]
        reach = distance * q**0.5 * (1 + 1e-5) + 1e-6
        directions, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(q, min(q, PROJECTIONS))))
        along = (self.numbers @ directions.astype(np.float32)).astype(np.float64)
        group = np.unique(self.key, return_inverse=True)[1].reshape(-1)
        line = along[:, 0] - along[:, 0].min()
        line = line + group * (line.max() + 4 * reach)
        for pairs in _pairs(*_within_reach(line[left], line[right], reach)):
            a, b = pairs[:, 0] + (left.start or 0), pairs[:, 1] + (right.start or 0)
            kept = group[a] == group[b]
            for own in along.T[1:]:
                kept[kept] = np.abs(own[a[kept]] - own[b[kept]]) <= reach
            a, b, pairs = a[kept], b[kept], pairs[kept]
            far = ((self.numbers[a] - self.numbers[b]) ** 2).mean(1) ** 0.5
            several = (self.hashes[a] != self.hashes[b]).sum(1) != 1
            yield pairs[(far <= distance) & several]


def _hash(values: Array) -> Array:
    """Numbers hashed to 64 bits, so that their sums rarely agree by chance (the finaliser of SplitMix64)."""
    with np.errstate(over="ignore"):
        values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Array = values ^ (values >> np.uint64(31))
    return mixed


def _equal(left: Array, right: Array) -> tuple[Array, Array, Array]:
    """Sort order of right, and for each of left the range of its equals in that order."""
    order = np.argsort(right, kind="stable")
    ordered = right[order]
    return order, np.searchsorted(ordered, left, "left"), np.searchsorted(ordered, left, "right")


def _within_reach(left: Array, right: Array, reach: float) -> tuple[Array, Array, Array]:
    """Sort order of right, and for each of left the range of values within `reach`."""
    order = np.argsort(right, kind="stable")
    ordered = right[order]
    return order, np.searchsorted(ordered, left - reach, "left"), np.searchsorted(ordered, left + reach, "right")


def _pairs(order: Array, start: Array, stop: Array) -> Iterator[Array]:
    """All pairs of such ranges, in chunks of about a million."""
    counts = stop - start
    ends = np.cumsum(counts)
    first = 0
    while first < len(counts):
        before = int(ends[first - 1]) if first else 0
        last = max(int(np.searchsorted(ends, before + CHUNK, "right")), first + 1)
        own = counts[first:last]
        if own.any():
            rows = np.repeat(np.arange(first, last), own)
            place = np.arange(len(rows)) - np.repeat(ends[first:last] - own - before, own)
            yield np.stack([rows, order[np.repeat(start[first:last], own) + place]], 1)
        first = last
