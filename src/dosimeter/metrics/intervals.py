"""Confidence intervals for crossed clusters: the only place that resamples targets and records.

The same records recur under every target, and the decisions of one target share its training run. A statistic is
therefore written as a signed sum of ratios `sum(num) / sum(den)` over cells (target, record cluster), and its variance
counts both clusterings. Axes: `t` targets, `n` records, `k` record clusters. How the variance becomes an interval
depends on the number of targets:

* 1: records only; the estimand is *this trained model*, over records like these.
* 2 to 7: half width `sqrt((t_{T-1} se_targets)^2 + (z se_records)^2)`; over retraining and records, marked "low n".
* 8 and more: two-way bootstrap of the ratios, quantile `t_{T-1}`; over retraining and records.

Rates then go through the effective sample size of Korn and Graubard (Survey Methodology 1998) to Beta quantiles, AUCs
through the logit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, sqrt
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import betaincinv, expit, logit, ndtri, stdtrit
from scipy.stats import rankdata

from dosimeter._check import in_range, same_length
from dosimeter.games import Array

BOOTSTRAP_TARGETS = 8
"""Fewest targets for which targets are resampled."""

_CHUNK = 4_000_000
"""Record weights that are held at one time, in numbers."""


class Interval(NamedTuple):
    """A value with its two ends and the name of the method."""

    value: float
    low: float
    high: float
    method: str


@dataclass(frozen=True)
class _Ratio:
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


_Terms = Sequence[tuple[float, _Ratio]]


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
) -> Interval:
    """Interval of the pooled rate `sum(hits & eligible) / sum(eligible)`.

    The upper end is never below, and the lower end never above, what no hit (only hits) among the *distinct* eligible
    record clusters would give by Clopper-Pearson: more targets do not make a record more than one record.

    Args:
        hits: what is counted.
        eligible: the decisions that form the denominator.
        record: cluster of each record.
        rng: for the bootstrap, used from 8 targets on.
        level: two-sided confidence level.
        draws: bootstrap draws; 0 takes the closed form of the two-way variance instead (fast, for bands).

    Raises:
        ValueError: shapes do not fit or nothing is eligible.
    """
    _check_shapes(hits, record)
    if not eligible.any():
        raise ValueError("eligible must have at least one decision, got none")
    ratio = _ratio(hits & eligible, eligible, record)
    value, pooled = ratio.value, float(eligible.sum())
    rows, distinct = (int((ratio.den.sum(axis) > 0).sum()) for axis in (1, 0))
    if rows == 1 and distinct == pooled:
        low, high = clopper_pearson(float(ratio.num.sum()), pooled, level=level)
        return Interval(value, low, high, "clopper-pearson, this trained model only")
    half, method = _half_width([(1.0, ratio)], level, draws, rng)
    unseen = clopper_pearson(0, distinct, level=level)[1]
    if value in (0.0, 1.0):
        return Interval(value, value * (1 - unseen), value + (1 - value) * unseen, f"{method}, korn-graubard")
    stretch = _stretch(ratio, rows, level)
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

    The AUC is the mean placement of members, to first order plus that of non-members; both are ratios over cells. No
    interval is narrower than what a wholly different score of the share `u` of records would make that may have stayed
    unseen, `u` being the Clopper-Pearson end of none among the smaller class's distinct record clusters:
    `[A (1 - u), A + (1 - A) u]`. This is the whole interval when all placements are equal (A = 0, A = 1, or all tied).

    Args:
        values: scores, infinite ones allowed, NaN not.
        is_member: the truth.
        record: cluster of each record.
        rng: for the bootstrap, used from 8 targets on.
        level: two-sided confidence level.
        draws: bootstrap draws; 0 takes the closed form.

    Raises:
        ValueError: shapes do not fit, NaN, or one class is empty.
    """
    _check_shapes(values, record)
    above, below = placements(values, is_member)
    members, nonmembers = _ratio(above, is_member, record), _ratio(below, ~is_member, record)
    value = members.value
    distinct = min(int((ratio.den.sum(0) > 0).sum()) for ratio in (members, nonmembers))
    unseen = clopper_pearson(0, distinct, level=level)[1]
    low, high = value * (1 - unseen), value + (1 - value) * unseen
    half, method = _half_width([(1.0, members), (1.0, nonmembers)], level, draws, rng)
    if half > 0 and 0 < value < 1:
        centre, reach = logit(value), half / (value * (1 - value))
        low, high = min(low, float(expit(centre - reach))), max(high, float(expit(centre + reach)))
    name = "logit delong, this trained model only" if len(values) == 1 else f"{method}, logit delong placements"
    return Interval(value, low, high, name)


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
    first, second = _ratio(hits & is_member, is_member, record), _ratio(hits & ~is_member, ~is_member, record)
    rng = np.random.default_rng(0)  # not drawn from: the closed form is used
    own, other, both = (
        _half_width(terms, level, 0, rng)[0]
        for terms in ([(1.0, first)], [(1.0, second)], [(1.0, first), (-1.0, second)])
    )
    product = own * other
    shared = min(1.0, max(-1.0, (own**2 + other**2 - both**2) / (2 * product))) if product > 0 else 0.0
    value = tpr.value - fpr.value
    low = value - _recover(tpr.value - tpr.low, fpr.high - fpr.value, shared)
    high = value + _recover(tpr.high - tpr.value, fpr.value - fpr.low, shared)
    return Interval(value, max(-1.0, low), min(1.0, high), f"variance recovery from: {tpr.method}")


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
    if np.isnan(values).any():
        raise ValueError(f"values must have no NaN, got {int(np.isnan(values).sum())}")
    n_members = int(is_member.sum())
    n_nonmembers = is_member.size - n_members
    if not n_members or not n_nonmembers:
        raise ValueError(f"is_member must have both classes, got {n_members} members, {n_nonmembers} non-members")
    pooled = rankdata(values.ravel()).reshape(values.shape)
    above, below = np.zeros(values.shape), np.zeros(values.shape)
    above[is_member] = (pooled[is_member] - rankdata(values[is_member])) / n_nonmembers
    below[~is_member] = 1 - (pooled[~is_member] - rankdata(values[~is_member])) / n_members
    return above, below


def _check_shapes(cells: Array, record: Array) -> None:
    """Refuse a record axis that does not fit the clusters."""
    if cells.ndim != 2 or not cells.size:
        raise ValueError(f"decisions must have shape [t n] and not be empty, got {cells.shape}")
    same_length(records=cells[0], record=record)


def _ratio(num: Array, den: Array, record: Array) -> _Ratio:
    """Sum numerators and denominators within record clusters."""
    clusters, index = np.unique(record, return_inverse=True)
    rows, k = len(num), len(clusters)
    flat = (np.arange(rows)[:, None] * k + index).ravel()
    return _Ratio(*(np.bincount(flat, cells.ravel(), rows * k).reshape(rows, k) for cells in (num, den)))


def _normal(level: float) -> float:
    """Two-sided normal quantile."""
    return float(ndtri((1 + level) / 2))


def _korn_graubard(value: float, half: float, pooled: float, level: float) -> tuple[float, float]:
    """Beta quantiles at the sample size whose binomial variance gives this half width, at most the pooled count."""
    size = min(value * (1 - value) * (_normal(level) / half) ** 2, pooled) if half > 0 else pooled
    return clopper_pearson(value * size, size, level=level)


def _stretch(ratio: _Ratio, rows: int, level: float) -> tuple[float, float]:
    """Factors of the half width towards the lower and the upper end, for targets whose rates are skewed.

    A few bad training runs make a t-interval miss above. The second-order term of the t-statistic (Hall, Journal of the
    Royal Statistical Society B 1992) widens the side of the skew; it counts as far as targets vary beyond their cells.
    """
    sums = ratio.influence.sum(1)
    spread = float((sums**2).mean())
    if rows < BOOTSTRAP_TARGETS or spread == 0:
        return 1.0, 1.0
    skew = float((sums**3).mean()) / spread**1.5 * sqrt(rows * (rows - 1)) / (rows - 2)
    share = max(0.0, 1 - float((ratio.influence**2).sum()) / _one_way(sums, rows))
    quantile = float(stdtrit(rows - 1, (1 + level) / 2))
    by = skew * share * (1 + 2 * quantile**2) / (6 * sqrt(rows) * quantile)
    return 1 - by, 1 + by


def _recover(mine: float, theirs: float, shared: float) -> float:
    """Distance of the difference's end from the distances of the two rates' ends, given their correlation."""
    return sqrt(max(0.0, mine**2 + theirs**2 - 2 * shared * mine * theirs))


def _half_width(terms: _Terms, level: float, draws: int, rng: np.random.Generator) -> tuple[float, str]:
    """Half width of a signed sum of ratios, and the name of the method by number of targets."""
    influence = np.zeros_like(terms[0][1].num)
    for sign, ratio in terms:
        influence += sign * ratio.influence
    den = np.sum([ratio.den for _, ratio in terms], axis=0)
    rows, clusters = (int((den.sum(axis) > 0).sum()) for axis in (1, 0))
    tail = (1 + level) / 2
    by_record = _one_way(influence.sum(0), clusters)
    if rows == 1:
        quantile = float(stdtrit(max(clusters - 1, 1), tail))
        return quantile * sqrt(by_record), "clustered records, this trained model only"
    quantile = float(stdtrit(rows - 1, tail))
    by_target = _one_way(influence.sum(1), rows)
    if rows < BOOTSTRAP_TARGETS:
        half = sqrt(quantile**2 * by_target + _normal(level) ** 2 * by_record)
        return half, f"t over {rows} targets and records (low n)"
    # Two-way resampling counts the variance of single cells three times (Owen, Annals of Applied Statistics 2007,
    # theorem 3.1): twice is taken off. Neither margin alone may be undercut.
    cells = float((influence**2).sum())
    both = _bootstrap(terms, draws, rng) - 2 * cells if draws else by_record + by_target - cells
    scale = rows / (rows - 1) if draws else 1.0
    name = "two-way bootstrap (targets x records)" if draws else "two-way variance (targets x records)"
    return quantile * sqrt(max(scale * both, by_target, by_record)), name


def _one_way(sums: Array, clusters: int) -> float:
    """Variance of a statistic from its influence, summed within the clusters of one axis."""
    return float((sums**2).sum()) * clusters / max(clusters - 1, 1)


def _bootstrap(terms: _Terms, draws: int, rng: np.random.Generator) -> float:
    """Variance of a signed sum of ratios under products of target and record weights, never of size `draws x t x k`.

    Targets get multinomial weights; records get 0 or 2 by a fair coin (Owen and Eckles, Annals of Applied Statistics
    2012: mean and variance 1 as Poisson weights, thirty times faster, and a steadier variance).
    """
    rows, k = terms[0][1].num.shape
    by_target = rng.multinomial(rows, np.full(rows, 1 / rows), size=draws)
    # Centred numerators lose nothing in single precision, which halves the time of the one large product.
    stacked = [cells for _, ratio in terms for cells in (ratio.num - ratio.value * ratio.den, ratio.den)]
    cells = np.ascontiguousarray(np.concatenate(stacked).T, dtype=np.float32)
    step = max(1, _CHUNK // k)
    replicates = np.zeros(draws)
    for first in range(0, draws, step):
        w = by_target[first : first + step]
        coins = np.frombuffer(rng.bytes(len(w) * (-(-k // 8))), np.uint8).reshape(len(w), -1)
        sums = np.unpackbits(coins, axis=1, count=k).astype(np.float32) @ cells
        centred = np.einsum("bt,bst->sb", w, sums.reshape(len(w), -1, rows).astype(np.float64))
        with np.errstate(invalid="ignore", divide="ignore"):
            for (sign, _), num, den in zip(terms, centred[0::2], centred[1::2], strict=True):
                replicates[first : first + step] += sign * num / den
    # A draw that leaves no decision has no ratio; it happens with a handful of records only.
    return float(np.nanvar(np.where(np.isfinite(replicates), replicates, np.nan)))
