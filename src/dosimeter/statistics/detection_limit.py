"""The detection limit: the smallest leak that an audit of this size would have shown with a stated power.

A *world* is evidence of an audit in which nothing leaks. In each world one leak grows, record by record in a random
order, until `shown.leak_shown` decides that a leak is shown. The share of records that leak then is the limit of this
world. The limit of the audit is the share that suffices in 90 % of the worlds. Axes as in `intervals`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from math import ceil, hypot, inf, sqrt

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import ndtr, ndtri

from dosimeter.foundation.arrays import Array
from dosimeter.foundation.checks import in_range, same_length
from dosimeter.statistics.area import area
from dosimeter.statistics.evidence import Scores, Truth
from dosimeter.statistics.hypotheses.permutation import permutation_p
from dosimeter.statistics.hypotheses.shown import MOST_P
from dosimeter.statistics.hypotheses.stated import exchangeable
from dosimeter.statistics.intervals.cells import by_cluster, by_halves, clusters, exceeds, exchange, ranks
from dosimeter.statistics.intervals.clustered import Persons, Spread
from dosimeter.statistics.intervals.crossed import (
    auc_interval,
    clopper_pearson,
    difference_from_margins,
    half_width,
    rate_from_margins,
)
from dosimeter.statistics.intervals.margins import Margins, place_pairs, unequal

_UNUSED = np.random.default_rng(0)
"""Generator for intervals in closed form, which draw nothing."""


@dataclass(frozen=True)
class RateFloor:
    """The value that `TPR - s FPR` must exceed, as in `rate_difference`.

    Attributes:
        slope: `s`.
        value: `TPR - s FPR` of the blind classifiers in this world.
        error: standard error of `value`.
    """

    slope: float
    value: float
    error: float


@dataclass(frozen=True)
class World:
    """Evidence of an audit without a leak, and the scores that its members get if they leak.

    Attributes:
        values: scores `[t n]`.
        is_member: the truth `[t n]`.
        record: cluster of each record `[n]`.
        thresholds: thresholds of the leading false positive rate, per target `[t]` or per cell `[t n]`.
        leak: score of each cell if its record leaks `[t n]`; +inf for a record that is always called.
        moment: when each cluster begins to leak: a leak of share w reaches the clusters whose number is below w `[k]`.
        drawn: whether membership was drawn by coins in complementary pairs, not stated.
        floor: AUC that must be exceeded too, or `rate_floor`; 0 for none.
        rate_floor: what the calls must exceed instead, or None.
    """

    values: Float[Array, "t n"]
    is_member: Bool[Array, "t n"]
    record: Int[Array, " n"]
    thresholds: Float[Array, " t"] | Float[Array, "t n"]
    leak: Float[Array, "t n"]
    moment: Float[Array, " k"]
    drawn: bool
    floor: float = 0.0
    rate_floor: RateFloor | None = None

    @cached_property
    def when(self) -> Float[Array, " n"]:
        """The moment of each record."""
        index, _ = clusters(self.record)
        return self.moment if index is None else self.moment[index]

    @cached_property
    def hits(self) -> Bool[Array, "t n"]:
        """Calls without a leak `[t n]`."""
        return exceeds(self.values, self.thresholds)

    @cached_property
    def leaky_hits(self) -> Bool[Array, "t n"]:
        """Calls if every cell leaks `[t n]`."""
        return exceeds(self.leak, self.thresholds)

    def leaks(self, share: float) -> Bool[Array, "t n"]:
        """Cells that a leak of this share reaches `[t n]`."""
        return self.is_member & (self.when < share)

    def with_leak(self, share: float) -> Float[Array, "t n"]:
        """Scores with a leak of this share `[t n]`."""
        return np.where(self.leaks(share), self.leak, self.values)

    def hits_with(self, step: int) -> Bool[Array, "t n"]:
        """Calls after `step` clusters leak `[t n]`."""
        share = float(np.append(np.sort(self.moment), inf)[step])
        return np.where(self.leaks(share), self.leaky_hits, self.hits)

    @cached_property
    def lone(self) -> bool:
        """Returns whether there is one target, and each record is a cluster of its own."""
        return len(self.values) == 1 and clusters(self.record)[0] is None

    @cached_property
    def by_interval(self) -> bool:
        """Returns whether the interval alone decides, see `stated_p`."""
        return not self.drawn and not exchangeable(self.truth)

    @cached_property
    def truth(self) -> Truth:
        """The truth in the form that statistics take."""
        return Truth(np.arange(len(self.record)), self.is_member, self.record)


@dataclass(frozen=True)
class DetectionLimit:
    """The smallest leak that is shown with the given power.

    Attributes:
        share: of record clusters that leak; infinite if no leak is shown so often.
        tpr: true positive rate that this leak has at the thresholds, over all members.
        fpr: false positive rate of the worlds at the thresholds.
        worlds: worlds that it was found in; 0 for the closed form.
    """

    share: float
    tpr: float
    fpr: float
    worlds: int


def detection_limit(worlds: Iterable[World], *, power: float = 0.9) -> DetectionLimit:
    """The share of records that must leak so that a leak is shown with the given power.

    Args:
        worlds: independent ones; 400 leave the power of the answer uncertain by 1.5 points (one standard error).
        power: chance that such a leak is shown.

    Raises:
        ValueError: no world, or a power outside (0, 1).
    """
    in_range("power", power, 0, 1, open_low=True, open_high=True)
    found: list[float] = []
    named, called, rates = [], [], []
    for world in worlds:
        found.append(least_share(world, guess=_middle(found)))
        named.append(world.leaky_hits[world.is_member].mean())
        called.append(world.hits[world.is_member].mean())
        rates.append(world.hits[~world.is_member].mean())
    if not found:
        raise ValueError("worlds must not be empty, got none")
    place = min(ceil(power * (len(found) + 1)), len(found))
    share = sorted(found)[place - 1]
    reached = min(share, 1.0)
    tpr = reached * float(np.mean(named)) + (1 - reached) * float(np.mean(called))
    return DetectionLimit(share, tpr, float(np.mean(rates)), len(found))


def _middle(found: list[float]) -> float:
    """First guess for the next world: the median limit of the recent worlds."""
    finite = [one for one in found[-20:] if one < inf]
    return float(np.median(finite)) if finite else 0.1


def least_share(world: World, *, guess: float = 0.1) -> float:
    """The least share of leaking clusters at which this world's leak is shown; 0 without any, infinite if never.

    The decision is assumed to hold for every larger leak. Calls are tested first, because they are cheap. Ranks are
    tested only for a smaller leak.

    Args:
        world: the evidence.
        guess: where to look first; it changes the time, not the answer.
    """
    steps = np.concatenate([[0.0], np.nextafter(np.sort(world.moment), inf)])
    near = int(np.searchsorted(steps, guess))
    calls = (Coins if world.drawn else Calls)(world)
    first = _first(calls.shows, len(steps), near)
    last = first - 1  # the largest leak that calls do not show
    if last >= 0 and ranks_show(world, float(steps[last])):
        first = _first(lambda k: ranks_show(world, float(steps[k])), last, last // 2)
    if world.floor:
        by_rate = len(steps)
        if isinstance(calls, Calls):  # there is no floor where membership was drawn
            by_rate = _first(lambda k: k >= first and calls.beyond_floor(k), len(steps), first)
        first = _first(lambda k: k >= first and _area(world, float(steps[k])) > world.floor, by_rate, first)
    return inf if first == len(steps) else float(steps[first])


def _area(world: World, share: float) -> float:
    """The AUC of a world with a leak of this share."""
    return area(world.with_leak(share), world.is_member)


def _first(holds: Callable[[int], bool], end: int, guess: int) -> int:
    """The first number below `end` for which a monotone claim holds, else `end`; a good guess saves evaluations."""
    low, high = 0, end
    for probe in (guess * 3 // 2 + 1, guess * 2 // 3):
        if low <= probe < high:
            low, high = (low, probe) if holds(probe) else (probe + 1, high)
    return bisect_left(range(end), True, low, high, key=holds)


class Calls:
    """Tests of TPR - FPR in a world with stated membership, while one cluster after another begins to leak.

    All margins are quadratic in four numbers per cell: calls of members, members, calls of non-members, non-members.
    Their sums of products are cumulated in the order of the leak, so the time of one step does not grow with records.
    """

    def __init__(self, world: World) -> None:
        index, k = clusters(world.record)
        is_member, rows = world.is_member, len(world.values)
        parts = world.hits & is_member, is_member, world.hits & ~is_member, ~is_member, world.leaky_hits & is_member
        cells = np.array([by_cluster(part, index, k) for part in parts])[..., np.argsort(world.moment)]
        before, after = cells[:4], np.concatenate([cells[4:], cells[1:4]])
        self.world = world
        # Of several targets, and of persons of equal size, persons count as they are, whatever they score.
        self.worth = place_pairs(world.values, is_member, world.record).worth if world.by_interval else (None, None)
        self.by_target = _cumulate(before, after)
        sums = before.sum(1, keepdims=True), after.sum(1, keepdims=True)
        self.by_record = _cumulate(*(np.einsum("itk,jtk->ijk", one, one) for one in sums))
        # The jackknife gives each side's cells the stretch of their person, which a leak does not change.
        self.persons = Persons(before[[1, 3]].sum(1))
        self.unequal = any(unequal(before[side]) for side in (1, 3))
        stretch = self.persons.stretch[[0, 0, 1, 1]][:, None]
        self.jackknifed = _cumulate(*(np.einsum("itk,jtk->ijk", one, one) for one in (s * stretch for s in sums)))
        self.by_cell = _cumulate(*(np.einsum("itk,jtk->ijk", one, one) for one in (before, after)))
        self.used = [(int(before[i].any(1).sum()), int(before[i].any(0).sum())) for i in (1, 3)]
        self.used.append((rows, k))

    def shows(self, step: int) -> bool:
        """Returns whether both the interval and the p-value of TPR - FPR show a leak of `step` clusters."""
        return self.beyond_chance(step) and self.p_value(step) <= MOST_P

    def _margins(self, step: int, weights: Float[Array, " 4"], used: tuple[int, int]) -> Margins:
        """Margins of a weighted sum; `used` gives only the number of records, since squares hold the rest."""
        squares, cells = (float(weights @ gram[..., step] @ weights) for gram in (self.by_record, self.by_cell))
        by_record = np.array([sqrt(max(squares, 0.0))])
        sides = [np.array([1, 1, 0, 0]) * weights, np.array([0, 0, 1, 1]) * weights]
        jackknifed = self.jackknifed[..., step]
        variances = np.maximum([one @ jackknifed @ one for one in sides], 0.0)
        variance = inf if self.persons.alone else max(float(weights @ jackknifed @ weights), 0.0)
        own = [i for i, one in enumerate(sides) if one.any()]
        spread = Spread(variance, self.persons.freedom(variances), variances[own])
        by_target = weights @ self.by_target[..., step]
        return Margins(
            by_target, by_record, max(cells, 0.0), *used, spread, Persons(self.persons.counts[own]), self.unequal
        )

    def beyond_chance(self, step: int) -> bool:
        """Returns whether the interval of TPR - FPR lies above zero if `step` clusters leak."""
        called, members, false, others = self.by_target[..., step].sum(1).tolist()
        of_tpr = np.array([1 / members, -called / members**2, 0.0, 0.0])
        of_fpr = np.array([0.0, 0.0, 1 / others, -false / others**2])
        weights = (of_tpr, of_fpr, of_tpr - of_fpr)
        margins = [self._margins(step, w, used) for w, used in zip(weights, self.used, strict=True)]
        tpr = rate_from_margins(round(called), round(members), margins[0], level=0.975, distinct=self.worth[0])
        fpr = rate_from_margins(round(false), round(others), margins[1], level=0.975, distinct=self.worth[1])
        return difference_from_margins(tpr, fpr, margins, level=0.975).low > 0

    def beyond_floor(self, step: int) -> bool:
        """Returns whether the calls are shown to exceed `rate_floor`, as if both were independent."""
        floor = self.world.rate_floor
        if floor is None:
            return False
        called, members, false, others = self.by_target[..., step].sum(1).tolist()
        of_tpr = np.array([1 / members, -called / members**2, 0.0, 0.0])
        of_fpr = np.array([0.0, 0.0, 1 / others, -false / others**2])
        margins = self._margins(step, of_tpr - floor.slope * of_fpr, self.used[2])
        own = half_width(margins, 0.95, None)[0]
        value = called / members - floor.slope * false / others - floor.value
        unseen = clopper_pearson(0, margins.distinct, level=0.95)[1]
        half = hypot(own, float(ndtri(0.975)) * floor.error)
        return bool(value > half and (1 - unseen) * value > unseen)

    def p_value(self, step: int) -> float:
        """The p-value of TPR - FPR if `step` clusters leak, in closed form."""
        if self.world.by_interval:
            return 0.0  # the test is the interval at a lower level, which `beyond_chance` has asked already
        return p_in_closed_form(self.world, self.world.hits_with(step))


class Coins:
    """Tests of TPR - FPR in a world with drawn membership, as `Calls`; the p-value of the coins alone decides."""

    def __init__(self, world: World) -> None:
        before, after = (
            exchange(hits, world.is_member, world.record)[np.argsort(world.moment)]
            for hits in (world.hits, np.where(world.is_member, world.leaky_hits, world.hits))
        )
        self.world = world
        self.sums, self.squares = _cumulate(before, after), _cumulate(before**2, after**2)

    def shows(self, step: int) -> bool:
        """Returns whether the p-value shows a leak of `step` clusters."""
        return self.p_value(step) <= MOST_P

    def p_value(self, step: int) -> float:
        """The p-value of TPR - FPR if `step` clusters leak, in closed form."""
        if self.world.lone:
            return p_in_closed_form(self.world, self.world.hits_with(step))
        return _tail(float(self.sums[step]), float(self.squares[step]), _step(len(self.world.values)))


def _cumulate(before: Float[Array, "*a k"], after: Float[Array, "*a k"]) -> Float[Array, "*a s"]:
    """Sums over clusters after the first 0, 1, ... k of them have changed."""
    steps = np.concatenate([before.sum(-1, keepdims=True), after - before], axis=-1)
    return np.cumsum(steps, axis=-1)


def ranks_show(world: World, share: float) -> bool:
    """Returns whether the AUC shows this leak: `leak_shown` with variance and p-value in closed form."""
    values = world.with_leak(share)
    if not world.by_interval and p_in_closed_form(world, ranks(values)) > MOST_P:
        return False
    return world.drawn or auc_interval(values, world.is_member, record=world.record, rng=_UNUSED, draws=0).low > 0.5


def p_in_closed_form(world: World, cells: Float[Array, "t n"] | Bool[Array, "t n"]) -> float:
    """One-sided p-value of the members' sum of cells, under the exchanges of `randomisation_p` or `permutation_p`.

    Hits of one target about records of their own have an exact law (binomial for drawn, hypergeometric for stated
    membership); other sums the mean and the variance of that exchange and a normal tail.

    Args:
        world: for its truth; its scores are not read.
        cells: ranks, or hits.
    """
    from scipy.stats import binom

    called = cells.dtype == np.bool_
    if not world.drawn:
        scores = Scores(world.truth.ids, cells.astype(np.float64))
        found = permutation_p(scores, world.truth, thresholds=np.full(len(cells), 0.5), rng=_UNUSED, draws=0)
        return found.p_tpr if called else found.p_auc
    if called and world.lone:
        return float(binom.sf(cells[world.is_member].sum() - 1, cells.sum(), 0.5))
    turns = exchange(cells if called else cells - cells.mean(1, keepdims=True), world.is_member, world.record)
    total, squares = float(turns.sum()), float((turns**2).sum())
    return _tail(total, squares, _step(len(cells))) if called else _tail(total, squares * by_halves(len(turns)), 0.0)


def _tail(total: float, squares: float, step: float) -> float:
    """Probability that coins give a sum of at least the observed one, by a normal tail.

    Args:
        total: sum of what the coins would add.
        squares: sum of the squares of what each coin adds.
        step: least difference of two sums, for the correction of continuity.
    """
    return float(ndtr((total + step) / sqrt(squares))) if squares > 0 else 1.0


def _step(targets: int) -> float:
    """Least difference of two sums of hits; an odd number of targets leaves fractions of the cluster's mean."""
    return 1.0 if targets == 1 or targets % 2 == 0 else 2 / targets


def move_scores(labels: Bool[Array, "r n"], record: Int[Array, " n"], rng: np.random.Generator) -> Bool[Array, "r n"]:
    """Labels of records (bits, and the use of the records) after a permutation of clusters, as in `permutation_p`.

    Clusters whose records all have the same label change places with any other, else with those of the same size.

    Args:
        labels: labels of the records.
        record: their clusters.
        rng: generator for the permutation.
    """
    same_length(labels=labels.T, record=record)
    index, k = clusters(record)
    if index is None:
        return labels[:, rng.permutation(k)]
    sizes = np.bincount(index)
    order = np.argsort(index, kind="stable")
    first = np.cumsum(sizes) - sizes
    own = labels[:, order[first]]
    if (own[:, index] == labels).all():
        return own[:, rng.permutation(k)][:, index]
    result = labels.copy()
    for size in np.unique(sizes).tolist():
        rows = order[first[sizes == size][:, None] + np.arange(size)]
        result[:, rows] = labels[:, rows[rng.permutation(len(rows))]]
    return result
