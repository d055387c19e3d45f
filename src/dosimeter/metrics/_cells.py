"""What cells (target, record) are made of: clusters of records, and placement values. Each costs one sort at most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from dosimeter.games import Array


def clusters(record: Int[Array, " n"]) -> tuple[Int[Array, " n"] | None, int]:
    """Which cluster each record is in, and how many clusters there are.

    Args:
        record: name of each record's cluster.

    Returns:
        The position of each record's cluster among the sorted names, and the number of names. None instead of
        positions if each record is its own cluster and they are in order: the common case, found without sorting.

    >>> clusters(np.array([7, 3, 7]))
    (array([1, 0, 1]), 2)
    """
    n = len(record)
    if (record[1:] > record[:-1]).all():
        return None, n
    first, last = int(record.min()), int(record.max())
    if last - first > 4 * n + 1000:
        names, index = np.unique(record, return_inverse=True)
        return index.reshape(-1), len(names)
    seen = np.zeros(last - first + 1, np.int64)
    seen[record - first] = 1
    return (np.cumsum(seen) - 1)[record - first], int(seen.sum())


def placements(
    values: Float[Array, "t n"], is_member: Bool[Array, "t n"]
) -> tuple[Float[Array, "t n"], Float[Array, "t n"]]:
    """Placement values in O(N log N): for members the share of non-members below, for non-members of members above.

    Ties count half. Cells of the other class hold 0. The mean over members equals the mean over non-members: the AUC.

    Args:
        values: scores, infinite ones allowed, NaN not.
        is_member: the truth.

    Raises:
        ValueError: NaN, or one class is empty.
    """
    n_members, n_nonmembers = _classes(values, is_member)
    order = np.argsort(values, axis=None)
    bits = is_member.ravel()[order]
    before, members = _below(values.ravel()[order], bits)
    above, below = np.zeros(values.size), np.zeros(values.size)
    above[order[bits]] = (before - members)[bits] / n_nonmembers
    below[order[~bits]] = 1 - members[~bits] / n_members
    return above.reshape(values.shape), below.reshape(values.shape)


def placements_sorted(
    values: Float[Array, "t n"], is_member: Bool[Array, "t n"]
) -> tuple[Float[Array, " p"], Float[Array, " q"]]:
    """The placement values of members, and of non-members, each in order of their scores; five times as fast.

    Args:
        values: scores, infinite ones allowed, NaN not.
        is_member: the truth.

    Raises:
        ValueError: NaN, or one class is empty.
    """
    _classes(values, is_member)
    members, nonmembers = np.sort(values[is_member]), np.sort(values[~is_member])
    above, below = (
        (np.searchsorted(others, own) + np.searchsorted(others, own, side="right")) / 2
        for own, others in ((members, nonmembers), (nonmembers, members))
    )
    return above / len(nonmembers), 1 - below / len(members)


def ranks(values: Float[Array, "t n"]) -> Float[Array, "t n"]:
    """Ranks from 1 over all cells, tied ones sharing their mean.

    >>> ranks(np.array([[5.0, 1.0], [5.0, 7.0]]))
    array([[2.5, 1. ],
           [2.5, 4. ]])
    """
    order = np.argsort(values, axis=None)
    ordered = values.ravel()[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    sizes = np.diff(np.append(starts, len(ordered)))
    found = np.empty(values.size)
    found[order] = np.repeat(starts + (sizes + 1) / 2, sizes)
    return found.reshape(values.shape)


def _classes(values: Array, is_member: Array) -> tuple[int, int]:
    """Numbers of members and non-members; refuses NaN and an empty class."""
    if np.isnan(values).any():
        raise ValueError(f"values must have no NaN, got {int(np.isnan(values).sum())}")
    n_members = int(is_member.sum())
    n_nonmembers = is_member.size - n_members
    if not n_members or not n_nonmembers:
        raise ValueError(f"is_member must have both classes, got {n_members} members, {n_nonmembers} non-members")
    return n_members, n_nonmembers


def _below(ordered: Array, bits: Array) -> tuple[Array, Array]:
    """For each of the sorted scores how many of all, and how many members, lie below it; ties count half."""
    upto = np.cumsum(bits)
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    if len(starts) == len(ordered):
        return np.arange(len(ordered)) + 0.5, upto - bits / 2
    sizes = np.diff(np.append(starts, len(ordered)))
    through = upto[starts + sizes - 1]
    return np.repeat(starts + sizes / 2, sizes), np.repeat((upto[starts] - bits[starts] + through) / 2, sizes)


@dataclass(frozen=True)
class Ratio:
    """A pooled ratio `sum(num) / sum(den)` over cells `[t k]`."""

    num: Float[Array, "t k"]
    den: Float[Array, "t k"]

    @property
    def value(self) -> float:
        """The pooled ratio."""
        return float(self.num.sum() / self.den.sum())

    @property
    def influence(self) -> Float[Array, "t k"]:
        """What each cell adds to the ratio to first order; sums to zero."""
        influence: Array = (self.num - self.value * self.den) / self.den.sum()
        return influence


@dataclass(frozen=True)
class Margins:
    """What the closed form needs of a statistic's influence.

    Attributes:
        by_target: its sums over record clusters `[t]`.
        by_record: its sums over targets `[k]`.
        cells: sum of its squares.
        rows: targets that have decisions.
        clusters: record clusters that have decisions.
    """

    by_target: Float[Array, " t"]
    by_record: Float[Array, " k"]
    cells: float
    rows: int
    clusters: int


Terms = Sequence[tuple[float, Ratio]]


def ratio_of(num: Array, den: Array, record: Array) -> Ratio:
    """Sum numerators and denominators within record clusters."""
    index, k = clusters(record)
    if index is None:
        return Ratio(num.astype(np.float64), den.astype(np.float64))
    rows = len(num)
    flat = (np.arange(rows)[:, None] * k + index).ravel()
    return Ratio(*(np.bincount(flat, cells.ravel(), rows * k).reshape(rows, k) for cells in (num, den)))


def margins_of(terms: Terms) -> Margins:
    """Of a signed sum of ratios."""
    influence, den = np.zeros_like(terms[0][1].num), np.zeros_like(terms[0][1].den)
    for sign, ratio in terms:
        influence += sign * ratio.influence
        den += ratio.den
    rows, used = (int((den.sum(axis) > 0).sum()) for axis in (1, 0))
    return Margins(influence.sum(1), influence.sum(0), float((influence**2).sum()), rows, used)


class Sweep:
    """Hits per target, record cluster and cell while more and more cells are called."""

    def __init__(self, cells: Int[Array, " e"], rows: int, k: int) -> None:
        self.cells, self.shape, self.done = cells, (rows, k), 0
        self.den = np.bincount(cells, minlength=rows * k).reshape(rows, k)
        self.num = np.zeros(rows * k, np.int64)
        self.by_target, self.by_record = np.zeros(rows, np.int64), np.zeros(k, np.int64)
        self.den_target, self.den_record = self.den.sum(1), self.den.sum(0)
        self.squares, self.products, self.den_squares = 0, 0, int((self.den**2).sum())

    def call(self, count: int) -> None:
        """Call cells until there are so many."""
        new = self.cells[self.done : count]
        self.done = count
        self.by_target += np.bincount(new // self.shape[1], minlength=self.shape[0])
        self.by_record += np.bincount(new % self.shape[1], minlength=self.shape[1])
        touched, more = np.unique(new, return_counts=True)
        before = self.num[touched]
        self.squares += int((2 * before * more + more**2).sum())
        self.products += int((more * self.den.ravel()[touched]).sum())
        self.num[touched] = before + more

    def margins(self) -> Margins:
        """Of the rate so far; squares of cells by hits and misses, which loses no digits near 0 and 1."""
        pooled = len(self.cells)
        rate = self.done / pooled
        mixed, misses = self.products - self.squares, self.den_squares - 2 * self.products + self.squares
        cells = (1 - rate) ** 2 * self.squares - 2 * rate * (1 - rate) * mixed + rate**2 * misses
        return Margins(
            (self.by_target - rate * self.den_target) / pooled,
            (self.by_record - rate * self.den_record) / pooled,
            cells / pooled**2,
            int((self.den_target > 0).sum()),
            int((self.den_record > 0).sum()),
        )
