"""Margins of pooled ratios over cells (target, record cluster): influences, summed along each axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from dosimeter.foundation.arrays import Array
from dosimeter.statistics.intervals.cells import clusters, placements
from dosimeter.statistics.intervals.clustered import Persons, Spread


@dataclass(frozen=True)
class Ratio:
    """A pooled ratio `sum(num) / sum(den)` over cells `[t k]`."""

    num: Float[Array, "t k"]
    den: Float[Array, "t k"]

    @cached_property
    def total(self) -> float:
        """The denominator of the pooled ratio."""
        return float(self.den.sum())

    @cached_property
    def value(self) -> float:
        """The pooled ratio."""
        return float(self.num.sum() / self.total)

    @property
    def influence(self) -> Float[Array, "t k"]:
        """Contribution of each cell to the ratio, to first order (influence function); sums to zero."""
        influence = self.value * self.den
        np.subtract(self.num, influence, out=influence)
        influence /= self.total
        return influence


@dataclass(frozen=True)
class Margins:
    """Sums of a statistic's influences, from which closed forms compute its variance.

    Attributes:
        by_target: influences, summed over record clusters `[t]`.
        by_record: influences, summed over targets `[k]`.
        cells: sum of squared influences.
        rows: targets that have decisions.
        clusters: record clusters that have decisions.
        spread: its variance between record clusters, with leverages and degrees of freedom.
        persons: record clusters by size on each side.
        unequal: whether clusters have unequally many records under a target, on one side.
        given: whether the targets are taken as they are, so that records alone are random.
    """

    by_target: Float[Array, " t"]
    by_record: Float[Array, " k"]
    cells: float
    rows: int
    clusters: int
    spread: Spread
    persons: Persons
    unequal: bool
    given: bool = False

    @property
    def of_models(self) -> bool:
        """Returns whether the estimand is these trained models, not their recipe; for one target it always is."""
        return self.given or self.rows == 1

    @property
    def whose(self) -> str:
        """The estimand in words: these trained models only."""
        return "this trained model only" if self.rows == 1 else f"these {self.rows} trained models only"

    @property
    def distinct(self) -> float:
        """Effective number of record clusters on the smaller side, if all records of a cluster move together."""
        if not self.unequal:
            return float((self.persons.counts > 0).sum(1).min())
        return float(self.persons.effective().min())


def unequal(den: Float[Array, "t k"] | Int[Array, "t k"]) -> bool:
    """Returns whether a side's clusters have unequally many records, under the target where each has most."""
    sizes = den.max(0)
    return len(np.unique(sizes[sizes > 0])) > 1


Terms = Sequence[tuple[float, Ratio]]


def ratio_of(num: Array, den: Array, record: Array) -> Ratio:
    """Ratio with numerators and denominators summed within record clusters."""
    index, k = clusters(record)
    if index is None:
        return Ratio(num.astype(np.float64), den.astype(np.float64))
    rows = len(num)
    flat = (np.arange(rows)[:, None] * k + index).ravel()
    return Ratio(*(np.bincount(flat, cells.ravel(), rows * k).reshape(rows, k) for cells in (num, den)))


def margins_of(terms: Terms) -> Margins:
    """Margins of a signed sum of ratios; ratios over the same decisions are one side."""
    influence, den = None, None
    counts: list[Array] = []
    totals: list[Array] = []
    for sign, ratio in terms:
        own, count = ratio.influence, ratio.den.sum(0)
        if sign != 1:
            own *= sign
        total = own.sum(0)
        influence = own if influence is None else influence + own
        den = ratio.den if den is None else den + ratio.den
        # Ratios over the same decisions rest on the same persons: their influences add up before they are squared.
        same = [i for i, other in enumerate(counts) if np.array_equal(count, other)]
        if same:
            totals[same[0]] += total
        else:
            counts.append(count)
            totals.append(total)
    assert influence is not None
    assert den is not None
    rows, used = (int((den.sum(axis) > 0).sum()) for axis in (1, 0))
    persons = Persons(np.array(counts))
    spread = persons.spread(np.array(totals))
    differ, cells = any(unequal(ratio.den) for _, ratio in terms), float((influence**2).sum())
    return Margins(influence.sum(1), influence.sum(0), cells, rows, used, spread, persons, differ)


@dataclass(frozen=True)
class Placed:
    """A pooled AUC: the mean placement of members, to first order plus that of non-members.

    Attributes:
        value: the AUC.
        terms: both means.
        margins: margins of their sum.
        worth: effective numbers of record clusters of equal size, for members and non-members, by how ranks move
            together within clusters; the plain numbers if clusters have equal size.
    """

    value: float
    terms: Terms
    margins: Margins
    worth: tuple[float, float]


def place_pairs(values: Float[Array, "t n"], is_member: Bool[Array, "t n"], record: Int[Array, " n"]) -> Placed:
    """Places members among non-members, and non-members among members."""
    return pooled_auc(*placements(values, is_member), is_member, record)


def pooled_auc(
    above: Float[Array, "t n"],
    below: Float[Array, "t n"],
    is_member: Bool[Array, "t n"],
    record: Int[Array, " n"],
) -> Placed:
    """The pooled AUC from placement values, which are 0 in the cells of the other class."""
    terms = [(1.0, ratio_of(above, is_member, record)), (1.0, ratio_of(below, ~is_member, record))]
    margins, persons = margins_of(terms), Persons(np.stack([ratio.den.sum(0) for _, ratio in terms]))
    if not margins.unequal:
        members, others = (persons.counts > 0).sum(1).tolist()
    else:
        own = persons.spread(np.stack([ratio.influence.sum(0) for _, ratio in terms]))
        single = [_between_records(*side) for side in ((above, is_member), (below, ~is_member))]
        members, others = persons.effective(np.array(single), own).tolist()
    return Placed(terms[0][1].value, terms, margins, (float(members), float(others)))


def _between_records(cells: Float[Array, "t n"], side: Bool[Array, "t n"]) -> float:
    """Variance between single records of the mean over those targets for which they are on this side."""
    count = side.sum(0)
    means = np.where(side, cells, 0.0).sum(0)[count > 0] / count[count > 0]
    return float(means.var())


class Sweep:
    """Hits per target, record cluster and cell, while more and more cells are called."""

    def __init__(self, cells: Int[Array, " e"], rows: int, k: int) -> None:
        self.cells, self.shape, self.done = cells, (rows, k), 0
        self.den = np.bincount(cells, minlength=rows * k).reshape(rows, k)
        self.num = np.zeros(rows * k, np.int64)
        self.by_target, self.by_record = np.zeros(rows, np.int64), np.zeros(k, np.int64)
        self.den_target, self.den_record = self.den.sum(1), self.den.sum(0)
        self.squares, self.products, self.den_squares = 0, 0, int((self.den**2).sum())
        self.persons, self.unequal = Persons(self.den_record[None]), unequal(self.den)

    def call(self, count: int) -> None:
        """Calls further cells until `count` are called."""
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
        """Margins of the current rate; squares are summed for hits and misses apart, which is exact near 0 and 1."""
        pooled = len(self.cells)
        rate = self.done / pooled
        mixed, misses = self.products - self.squares, self.den_squares - 2 * self.products + self.squares
        cells = (1 - rate) ** 2 * self.squares - 2 * rate * (1 - rate) * mixed + rate**2 * misses
        by_record = (self.by_record - rate * self.den_record) / pooled
        return Margins(
            (self.by_target - rate * self.den_target) / pooled,
            by_record,
            cells / pooled**2,
            int((self.den_target > 0).sum()),
            int((self.den_record > 0).sum()),
            self.persons.spread(by_record[None]),
            self.persons,
            self.unequal,
        )
