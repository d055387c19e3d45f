"""Confidence intervals for crossed clusters of targets and records.

The same records recur under every target, and the decisions of one target share its training run. A statistic is
therefore written as a signed sum of ratios `sum(num) / sum(den)` over cells (target, record cluster), and its variance
counts both clusterings. Axes: `t` targets, `n` records, `k` record clusters. How the variance becomes an interval
depends on the number of targets:

* 1: records only, by the jackknife of `clustered` with its degrees of freedom, so that a few persons with many records
  widen the interval; the estimand is *this trained model*, over records like these. The same method serves several
  targets that are taken as given (`Margins.given`).
* 2 to 7: half width `sqrt((t_{T-1} se_targets)^2 + (z se_records)^2)`; over retraining and records, marked "low n".
* 8 and more: two-way bootstrap of the ratios, quantile `t_{T-1}`; over retraining and records.

Where clusters are few, or have unequally many records, `se_records` comes from the jackknife with its t-quantile. Rates
then go through the effective sample size of Korn and Graubard (Survey Methodology 1998) to Beta quantiles, AUCs through
the logit.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, sqrt
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import betaincinv, expit, logit, ndtri, stdtrit

from dosimeter.foundation.arrays import Array
from dosimeter.foundation.checks import in_range, same_length
from dosimeter.statistics.intervals.bootstrap import bootstrap_variance
from dosimeter.statistics.intervals.cells import clusters, sorted_placements
from dosimeter.statistics.intervals.margins import Margins, Placed, Sweep, Terms, margins_of, place_pairs, ratio_of

BOOTSTRAP_TARGETS = 8
"""Fewest targets for which targets are resampled."""

FEW_CLUSTERS = 30
"""Degrees of freedom between record clusters below which their t-quantile is used beside that of targets."""


class Interval(NamedTuple):
    """A value with its two ends and the name of the method."""

    value: float
    low: float
    high: float
    method: str


def clopper_pearson(successes: float | int, trials: float | int, *, level: float = 0.95) -> tuple[float, float]:
    """Exact two-sided interval for a binomial proportion (Clopper and Pearson, Biometrika 1934), by Beta quantiles.

    Args:
        successes: number of successes; need not be whole.
        trials: number of trials, positive; need not be whole (an effective sample size).
        level: confidence level.

    Returns:
        Lower and upper end.

    Raises:
        ValueError: an argument is out of range.

    >>> [round(end, 4) for end in clopper_pearson(0, 299, level=0.9)]
    [0.0, 0.01]
    """
    in_range("trials", trials, 0, inf, open_low=True, open_high=True)
    in_range("successes", successes, 0, trials)
    in_range("level", level, 0, 1, open_low=True, open_high=True)
    tail = (1 - level) / 2
    low = 0.0 if successes == 0 else float(betaincinv(successes, trials - successes + 1, tail))
    high = 1.0 if successes == trials else float(betaincinv(successes + 1, trials - successes, 1 - tail))
    return low, high


def rate_interval(
    hits: Bool[Array, "t n"],
    eligible: Bool[Array, "t n"],
    *,
    record: Int[Array, " n"],
    rng: np.random.Generator,
    level: float = 0.95,
    draws: int = 1000,
    distinct: float | None = None,
) -> Interval:
    """Interval of the pooled rate `sum(hits & eligible) / sum(eligible)`.

    The upper end is at least, and the lower end at most, the Clopper-Pearson end for no hit (only hits) among distinct
    clusters, because more targets do not make one record two. One target's clusters count by their effective number.

    Args:
        hits: what is counted.
        eligible: the decisions that form the denominator.
        record: cluster of each record.
        rng: generator for the bootstrap, used from 8 targets on.
        level: two-sided confidence level.
        draws: bootstrap draws; 0 takes the closed form of the two-way variance instead (fast, for bands).
        distinct: record clusters that the eligible ones of one target are worth, if that is known from their scores;
            else what they are worth if all of a cluster's records move together.

    Raises:
        ValueError: shapes do not fit or nothing is eligible.
    """
    _check_shapes(hits, record)
    pooled = int(eligible.sum())
    if not pooled:
        raise ValueError("eligible must have at least one decision, got none")
    if _lone(hits, record):
        return _exact(int((hits & eligible).sum()), pooled, level)
    ratio = ratio_of(hits & eligible, eligible, record)
    terms = [(1.0, ratio)]
    margins = margins_of(terms)
    if margins.rows == 1 and margins.clusters == pooled:
        return _exact(int(ratio.num.sum()), pooled, level)
    half, method = half_width(margins, level, _bootstrap_variance(terms, margins, draws, rng))
    return _rate_ends(ratio.value, margins, (half, method), pooled, level, distinct)


def rate_band(
    values: Float[Array, "t n"],
    cuts: Float[Array, " c"],
    eligible: Bool[Array, "t n"],
    *,
    record: Int[Array, " n"],
    level: float = 0.95,
    distinct: float | None = None,
) -> list[Interval]:
    """`rate_interval(values > cut, eligible, draws=0)` of every cut, in one sweep over sorted cells.

    Args:
        values: scores, no NaN.
        cuts: thresholds, decreasing.
        eligible: the decisions that form the denominator.
        record: cluster of each record.
        level: two-sided confidence level.
        distinct: as in `rate_interval`.

    Returns:
        One interval for each cut, and a last one where all is called.

    Raises:
        ValueError: shapes do not fit or nothing is eligible.
    """
    _check_shapes(values, record)
    pooled = int(eligible.sum())
    if not pooled:
        raise ValueError("eligible must have at least one decision, got none")
    if _lone(values, record):
        called = pooled - np.searchsorted(np.sort(values[eligible]), cuts, side="right")
        return [_exact(count, pooled, level) for count in (*called.tolist(), pooled)]
    rows, (index, k) = len(values), clusters(record)
    flat = np.flatnonzero(eligible)
    scores = values.ravel()[flat]
    order = np.argsort(scores)[::-1]
    called = pooled - np.searchsorted(scores[order[::-1]], cuts, side="right")
    cells = flat if index is None else flat // len(record) * k + index[flat % len(record)]
    sweep = Sweep(cells[order], rows, k)
    return [_sweep_interval(sweep, count, level, distinct) for count in (*called.tolist(), pooled)]


def _sweep_interval(sweep: Sweep, count: int, level: float, distinct: float | None) -> Interval:
    """The interval after `count` cells are called."""
    sweep.call(count)
    return rate_from_margins(count, len(sweep.cells), sweep.margins(), level=level, distinct=distinct)


def rate_from_margins(
    count: float | int, pooled: int, margins: Margins, *, level: float, distinct: float | None = None
) -> Interval:
    """`rate_interval(draws=0)` of `count` hits among `pooled` decisions, from the margins of that rate."""
    if margins.of_models and margins.clusters == pooled:
        return _exact(count, pooled, level, margins.whose)
    half, method = half_width(margins, level, None)
    return _rate_ends(count / pooled, margins, (half, method), pooled, level, distinct)


def _exact(count: float | int, pooled: int, level: float, whose: str = "this trained model only") -> Interval:
    """Exact interval of given targets whose decisions are about records of their own."""
    return Interval(count / pooled, *clopper_pearson(count, pooled, level=level), f"clopper-pearson, {whose}")


def _rate_ends(
    value: float, margins: Margins, reach: tuple[float, str], pooled: int, level: float, distinct: float | None
) -> Interval:
    """A rate's interval from its half width and the name of its method."""
    half, method = reach
    unseen = clopper_pearson(0, distinct or margins.distinct, level=level)[1]
    if value in (0.0, 1.0):
        return Interval(value, value * (1 - unseen), value + (1 - value) * unseen, f"{method}, korn-graubard")
    stretch = _stretch(margins, level)
    low, high = (_korn_graubard(value, half * max(1.0, by), pooled, level)[end] for end, by in enumerate(stretch))
    return Interval(value, min(low, 1 - unseen), max(high, unseen), f"{method}, korn-graubard")


def auc_interval(
    values: Float[Array, "t n"],
    is_member: Bool[Array, "t n"],
    *,
    record: Int[Array, " n"],
    rng: np.random.Generator,
    level: float = 0.95,
    draws: int = 1000,
) -> Interval:
    """Interval of the pooled AUC, ties counted half, by placement values (DeLong et al., Biometrics 1988) and logit.

    The AUC is the mean placement of members, to first order plus that of non-members; both are ratios over cells. A
    share `u` of unseen records might have wholly different scores. No interval is narrower than the AUCs that this
    allows. `u` is the Clopper-Pearson end for 0 among the distinct record clusters of the smaller class:
    `[A (1 - u), A + (1 - A) u]`. This is the whole interval when all placements are equal (A = 0, A = 1, or all tied).

    Args:
        values: scores, infinite ones allowed, NaN not.
        is_member: the truth.
        record: cluster of each record.
        rng: generator for the bootstrap, used from 8 targets on.
        level: two-sided confidence level.
        draws: bootstrap draws; 0 takes the closed form.

    Raises:
        ValueError: shapes do not fit, NaN, or one class is empty.
    """
    _check_shapes(values, record)
    if _lone(values, record):
        sides = sorted_placements(values, is_member)
        value, distinct = float(sides[0].mean()), float(min(map(len, sides)))
        half, method = _lone_half_width(sides, level), ""
    else:
        found = place_pairs(values, is_member, record)
        value, distinct = found.value, min(found.worth)
        half, method = half_width(found.margins, level, _bootstrap_variance(found.terms, found.margins, draws, rng))
    name = "logit delong, this trained model only" if len(values) == 1 else f"{method}, logit delong placements"
    return Interval(value, *_auc_ends(value, half, distinct, level), name)


def auc_from_placements(found: Placed, *, level: float) -> Interval:
    """`auc_interval(draws=0)` from placement values."""
    half, method = half_width(found.margins, level, None)
    ends = _auc_ends(found.value, half, min(found.worth), level)
    return Interval(found.value, *ends, f"{method}, logit delong placements")


def _auc_ends(value: float, half: float, distinct: float, level: float) -> tuple[float, float]:
    """Ends on the logit scale, never narrower than unseen records allow."""
    unseen = clopper_pearson(0, distinct, level=level)[1]
    low, high = value * (1 - unseen), value + (1 - value) * unseen
    if half > 0 and 0 < value < 1:
        centre, reach = logit(value), round(half / (value * (1 - value)), 9)  # further digits tell the order of sums
        low, high = min(low, float(expit(centre - reach))), max(high, float(expit(centre + reach)))
    return low, high


def difference_interval(
    hits: Bool[Array, "t n"],
    is_member: Bool[Array, "t n"],
    *,
    record: Int[Array, " n"],
    tpr: Interval,
    fpr: Interval,
    level: float = 0.95,
) -> Interval:
    """Interval of TPR - FPR at one threshold per target, from the intervals of both rates and their correlation.

    The method of variance estimates recovery (Zou and Donner, Statistics in Medicine 2008): it keeps the good behaviour
    of the two rate intervals at small counts. The correlation comes from the same clusters (targets, records).

    Args:
        hits: decisions "member".
        is_member: the truth.
        record: cluster of each record.
        tpr: `rate_interval(hits, is_member)` at `level`.
        fpr: `rate_interval(hits, ~is_member)` at `level`.
        level: two-sided confidence level.
    """
    if _lone(hits, record):
        return _difference_interval(tpr, fpr, 0.0)  # no record is on both sides
    return difference_from_margins(tpr, fpr, rate_margins(hits, is_member, record), level=level)


def rate_margins(
    hits: Bool[Array, "t n"] | Float[Array, "t n"], is_member: Bool[Array, "t n"], record: Int[Array, " n"]
) -> tuple[Margins, Margins, Margins]:
    """Margins of TPR, of FPR, and of their difference."""
    first, second = ratio_of(hits * is_member, is_member, record), ratio_of(hits * ~is_member, ~is_member, record)
    own, other = margins_of([(1.0, first)]), margins_of([(1.0, second)])
    return own, other, margins_of([(1.0, first), (-1.0, second)])


def difference_from_margins(tpr: Interval, fpr: Interval, margins: Sequence[Margins], *, level: float) -> Interval:
    """`difference_interval` from the margins of TPR, of FPR, and of their difference."""
    if margins[2].of_models:  # one side's degrees of freedom are not the other's: variances, not half widths, add up
        own, other, both = (one.spread.variance for one in margins)
    else:
        own, other, both = (half_width(one, level, None)[0] ** 2 for one in margins)
    known = 0 < own < inf and 0 < other < inf
    shared = min(1.0, max(-1.0, (own + other - both) / (2 * sqrt(own * other)))) if known else 0.0
    return _difference_interval(tpr, fpr, shared)


def _difference_interval(tpr: Interval, fpr: Interval, shared: float) -> Interval:
    """The interval of a difference from those of its parts and their correlation."""
    value = tpr.value - fpr.value
    low = value - _recover(tpr.value - tpr.low, fpr.high - fpr.value, shared)
    high = value + _recover(tpr.high - tpr.value, fpr.value - fpr.low, shared)
    return Interval(value, max(-1.0, low), min(1.0, high), f"variance recovery from: {tpr.method}")


def _check_shapes(cells: Array, record: Array) -> None:
    """Refuses a record axis that does not fit the clusters."""
    if cells.ndim != 2 or not cells.size:
        raise ValueError(f"decisions must have shape [t n] and not be empty, got {cells.shape}")
    same_length(records=cells[0], record=record)


def _lone(cells: Array, record: Array) -> bool:
    """Returns whether there is one target and each record is its own cluster, so that counts hold everything."""
    return len(cells) == 1 and clusters(record)[0] is None


def _lone_half_width(sides: tuple[Float[Array, " p"], Float[Array, " q"]], level: float) -> float:
    """Half width of a sum of two means over records of one target; degrees of freedom by Satterthwaite."""
    if min(map(len, sides)) == 1:
        return inf
    parts = [(float(side.var()) / (len(side) - 1), len(side) - 1) for side in sides]
    variance = sum(part for part, _ in parts)
    if not variance:
        return 0.0
    freedom = max(1.0, variance**2 / sum(part**2 / free for part, free in parts))
    return float(stdtrit(freedom, (1 + level) / 2)) * sqrt(variance)


def _normal(level: float) -> float:
    """Two-sided quantile of the normal distribution."""
    return float(ndtri((1 + level) / 2))


def _korn_graubard(value: float, half: float, pooled: float | int, level: float) -> tuple[float, float]:
    """Beta quantiles at the sample size whose binomial variance gives this half width, at most the pooled count."""
    if half == inf:
        return 0.0, 1.0
    size = min(value * (1 - value) * (_normal(level) / half) ** 2, pooled) if half > 0 else pooled
    return clopper_pearson(value * size, size, level=level)


def _stretch(margins: Margins, level: float) -> tuple[float, float]:
    """Factors of the half width for the lower and the upper end, if the rates of targets are skewed.

    A few bad training runs make a t-interval miss above. The second-order term of the t-statistic (Hall, Journal of the
    Royal Statistical Society B 1992) widens the side of the skew; it counts as far as targets vary beyond their cells.
    """
    sums, rows = margins.by_target, margins.rows
    spread = float((sums**2).mean())
    if rows < BOOTSTRAP_TARGETS or spread == 0 or margins.given:
        return 1.0, 1.0
    skew = float((sums**3).mean()) / spread**1.5 * sqrt(rows * (rows - 1)) / (rows - 2)
    # Targets cause only the part of the variance that single cells do not explain, so only this part is skewed.
    share = max(0.0, 1 - margins.cells / _one_way(sums, rows))
    quantile = float(stdtrit(rows - 1, (1 + level) / 2))
    by = skew * share * (1 + 2 * quantile**2) / (6 * sqrt(rows) * quantile)
    return 1 - by, 1 + by


def _recover(mine: float, theirs: float, shared: float) -> float:
    """Distance of the difference's end, from the distances of the two rates' ends and their correlation."""
    return sqrt(max(0.0, mine**2 + theirs**2 - 2 * shared * mine * theirs))


def _bootstrap_variance(terms: Terms, margins: Margins, draws: int, rng: np.random.Generator) -> float | None:
    """The variance from the bootstrap, or None if the closed form is used."""
    if not draws or margins.rows < BOOTSTRAP_TARGETS:
        return None
    return bootstrap_variance(terms, draws, rng)


def half_width(margins: Margins, level: float, drawn: float | None) -> tuple[float, str]:
    """Half width of a statistic, and the name of its method; `drawn` is the bootstrap's variance, if any."""
    rows, tail = margins.rows, (1 + level) / 2
    if margins.of_models:
        variance, freedom, _ = margins.spread
        return float(stdtrit(freedom, tail)) * sqrt(variance), f"clustered records, {margins.whose}"
    by_record, reach = _one_way(margins.by_record, margins.clusters), _normal(level)
    if margins.unequal or margins.spread.freedom < FEW_CLUSTERS:
        by_record, reach = margins.spread.variance, float(stdtrit(margins.spread.freedom, tail))
    quantile = float(stdtrit(rows - 1, tail))
    by_target = _one_way(margins.by_target, rows)
    if rows < BOOTSTRAP_TARGETS:
        half = sqrt(quantile**2 * by_target + reach**2 * by_record)
        return half, f"t over {rows} targets and records (low n)"
    # Two-way resampling counts the variance of single cells three times (Owen, Annals of Applied Statistics 2007,
    # theorem 3.1): twice is taken off. Neither margin alone may be undercut.
    both = by_record + by_target - margins.cells if drawn is None else drawn - 2 * margins.cells
    # Resampling T targets with replacement gives a variance that is too small by (T - 1) / T.
    scale = 1.0 if drawn is None else rows / (rows - 1)
    name = "two-way variance (targets x records)" if drawn is None else "two-way bootstrap (targets x records)"
    return max(quantile * sqrt(max(scale * both, by_target)), max(quantile, reach) * sqrt(by_record)), name


def _one_way(sums: Array, clusters: int) -> float:
    """Variance of a statistic from its influences, summed within the clusters of one axis."""
    return float((sums**2).sum()) * clusters / max(clusters - 1, 1)
