"""Membership leakage from scores and truth: thresholds, rates, AUC, curves, precision, and the randomisation test.

A record is called a member iff its score is *strictly* above the threshold: ties count against the attack. Scores may
be infinite (they rank lowest or highest). Non-members are counted as distinct record clusters that were non-members of
at least one target. All functions of scores and truth raise `ValueError` for NaN, other records, or an empty class.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import floor, inf, sqrt

import numpy as np
from jaxtyping import Bool, Float, Int

from dosimeter.foundation.arrays import Array
from dosimeter.foundation.checks import in_range, same_length
from dosimeter.statistics.bins import count_bins
from dosimeter.statistics.certify import EXACT, resolve, worth
from dosimeter.statistics.estimate import Estimate
from dosimeter.statistics.evidence import Scores, Truth
from dosimeter.statistics.intervals.cells import by_halves, centred_ranks, clusters, exceeds, exchange
from dosimeter.statistics.intervals.crossed import Interval, auc_interval, difference_interval, rate_band, rate_interval

_COINS = 250_000
"""Most coins that are numbers at once: few enough for the cache of a processor."""


@dataclass(frozen=True)
class RatePair:
    """Rates that one threshold for each target achieves.

    Attributes:
        tpr: share of members that are called; not resolvable when too few distinct non-members back the nominal FPR.
        fpr: share of non-members that are called, as reached; measured even when the nominal FPR is not backed.
        difference: TPR - FPR with the same clusters; 0 without leakage; resolvable when `tpr` is.
    """

    tpr: Estimate
    fpr: Estimate
    difference: Estimate


@dataclass(frozen=True)
class Curve:
    """Achieved operating points of pooled scores, from (0, .) to (1, 1), without interpolation between them.

    Attributes:
        fpr: achieved false positive rates `[p]`, increasing, about log-spaced.
        tpr: true positive rates there `[p]`.
        low: lower ends of a pointwise band for the TPR `[p]`.
        high: upper ends `[p]`.
        level: confidence level of the band at each point.
        threshold: "oracle": thresholds are read off the targets.
    """

    fpr: Float[Array, " p"]
    tpr: Float[Array, " p"]
    low: Float[Array, " p"]
    high: Float[Array, " p"]
    level: float
    threshold: str = "oracle"


@dataclass(frozen=True)
class Histogram:
    """Scores of members and non-members, counted in common bins.

    Attributes:
        edges: `[b + 1]`.
        members: member decisions per bin `[b]`; infinite scores count in the outermost bins.
        nonmembers: non-member decisions per bin `[b]`.
    """

    edges: Float[Array, " e"]
    members: Int[Array, " b"]
    nonmembers: Int[Array, " b"]


@dataclass(frozen=True)
class Randomisation:
    """One-sided p-values against the hypothesis that the bits might as well be those of the complement.

    Attributes:
        p_auc: of the pooled AUC.
        p_tpr: of TPR - FPR at the given thresholds.
        draws: number of random exchanges.
    """

    p_auc: float
    p_tpr: float
    draws: int


def shadow_threshold(values: Float[Array, " ..."], is_member: Bool[Array, " ..."], fpr: float) -> float:
    """Threshold from rehearsal: the `ceil((1 - fpr)(N + 1))`-th smallest of N non-members' scores, else +inf.

    A further non-member, exchangeable with these, scores strictly above it with probability at most `fpr`.

    Args:
        values: scores of the rehearsal, of any shape, NaN refused.
        is_member: the bits of the shadows that played target, of the same shape.
        fpr: nominal false positive rate.

    Raises:
        ValueError: NaN, no non-member, or a rate outside (0, 1).

    >>> [shadow_threshold(np.arange(99.0), np.zeros(99, bool), fpr) for fpr in (0.05, 0.001)]
    [94.0, inf]
    """
    in_range("fpr", fpr, 0, 1, open_low=True, open_high=True)
    check_no_nan(values)
    scores = values[~is_member]
    if not len(scores):
        raise ValueError("is_member must have non-members, got none")
    # N + 1: the score of a new non-member takes each of N + 1 ranks with equal probability (split conformal
    # prediction).
    above = floor(fpr * (len(scores) + 1) + EXACT)
    return _smallest(scores, len(scores) - above) if above else inf


def auc(scores: Scores, truth: Truth, *, rng: np.random.Generator, level: float = 0.95) -> Estimate:
    """Area under the pooled ROC curve: P(member's score > non-member's) + P(equal) / 2.

    Args:
        scores: evidence.
        truth: truth about the same records.
        rng: generator for the bootstrap.
        level: two-sided confidence level.
    """
    check_evidence(scores, truth)
    interval = auc_interval(scores.values, truth.is_member, record=truth.record, rng=rng, level=level)
    return _estimate(interval, truth, level)


def roc(scores: Scores, truth: Truth, *, level: float = 0.95, points: int = 120) -> Curve:
    """The pooled ROC curve with thresholds read off the targets, on a log grid of achieved operating points.

    For each rate of the grid: the largest set of calls whose FPR does not exceed it. The band is `rate_interval` of the
    TPR at each threshold taken as given, with the closed form of the two-way variance: a fast approximation, pointwise,
    that leaves out the noise of the threshold.

    Args:
        scores: evidence.
        truth: truth about the same records.
        level: two-sided confidence level at each point.
        points: grid points between the first non-member and all.
    """
    check_evidence(scores, truth)
    values, is_member, record = scores.values, truth.is_member, truth.record
    nonmembers = np.sort(values[~is_member])
    counts = np.unique(np.r_[0, np.geomspace(1, len(nonmembers), points).round()[:-1]]).astype(np.int64)
    # The lowest thresholds with at most so many (not all) non-members strictly above them.
    cuts = np.unique(nonmembers[len(nonmembers) - counts[counts < len(nonmembers)] - 1])[::-1]
    above = len(nonmembers) - np.searchsorted(nonmembers, cuts, side="right")
    achieved = np.append(above / len(nonmembers), 1.0)
    band = rate_band(values, cuts, is_member, record=record, level=level, distinct=worth(scores, truth)[0])
    tpr, low, high = (np.array([getattr(point, name) for point in band]) for name in ("value", "low", "high"))
    return Curve(achieved, tpr, low, high, level)


def tpr_at_threshold(
    scores: Scores,
    truth: Truth,
    *,
    thresholds: Float[Array, " t"] | Float[Array, "t n"],
    fpr: float,
    rng: np.random.Generator,
    level: float = 0.95,
) -> RatePair:
    """TPR and the reached FPR, at thresholds that were fixed before the targets were measured.

    Args:
        scores: evidence.
        truth: truth about the same records.
        thresholds: one per target, from `shadow_threshold`, or one per cell; a score strictly above is called.
        fpr: nominal rate of the thresholds. With fewer than `nonmembers_needed(fpr)` distinct non-members the TPR is
            not resolvable; below `10 / fpr` pooled non-member decisions it is marked "low n".
        rng: generator for the bootstrap.
        level: two-sided confidence level of each interval; 0.975 makes the pair of rates hold jointly at 95 %.

    Raises:
        ValueError: as above, or thresholds are not one per target.
    """
    check_evidence(scores, truth)
    check_no_nan(thresholds)
    same_length(scores=scores.values, thresholds=thresholds)
    hits, is_member, record = exceeds(scores.values, thresholds), truth.is_member, truth.record
    members, others = worth(scores, truth)
    tpr = rate_interval(hits, is_member, record=record, rng=rng, level=level, distinct=members)
    reached = rate_interval(hits, ~is_member, record=record, rng=rng, level=level, distinct=others)
    difference = difference_interval(hits, is_member, record=record, tpr=tpr, fpr=reached, level=level)
    return RatePair(
        tpr=resolve(_estimate(tpr, truth, level), truth, fpr, others),
        fpr=_estimate(reached, truth, level),
        difference=resolve(_estimate(difference, truth, level), truth, fpr, others),
    )


def tpr_oracle(scores: Scores, truth: Truth, *, fpr: float, rng: np.random.Generator, level: float = 0.95) -> Estimate:
    """TPR at the lowest threshold whose pooled FPR on the targets themselves is at most `fpr`.

    No adversary has this threshold. The interval takes it as given.

    Args:
        scores: evidence.
        truth: truth about the same records.
        fpr: false positive rate that is not exceeded.
        rng: generator for the bootstrap.
        level: two-sided confidence level.
    """
    check_evidence(scores, truth)
    in_range("fpr", fpr, 0, 1, open_low=True, open_high=True)
    nonmembers = scores.values[~truth.is_member]
    hits = scores.values > _smallest(nonmembers, len(nonmembers) - 1 - floor(fpr * len(nonmembers) + EXACT))
    members, others = worth(scores, truth)
    interval = rate_interval(hits, truth.is_member, record=truth.record, rng=rng, level=level, distinct=members)
    estimate = resolve(_estimate(interval, truth, level), truth, fpr, others)
    return replace(estimate, method=f"{estimate.method}, oracle threshold taken as given")


def precision_at_prior(pair: RatePair, prior: float, *, level: float = 0.95) -> Estimate:
    """Probability that a called record is a member, when a share `prior` of the records are.

    `prior TPR / (prior TPR + (1 - prior) FPR)`. It rises with TPR and falls with FPR, so its lower end takes the lower
    end of TPR and the upper end of FPR, its upper end the reverse. Both rate intervals hold jointly at
    `1 - (1 - tpr.level) - (1 - fpr.level)` (Bonferroni).

    Args:
        pair: rates at level `(1 + level) / 2` at least: 0.975 for 0.95.
        prior: share of members among the records that the adversary judges.
        level: joint level that must be reached.

    Returns:
        The estimate; not resolvable when the TPR is not, or when nothing is called.

    Raises:
        ValueError: the prior is outside (0, 1) or the pair's level is too low.
    """
    in_range("prior", prior, 0, 1, open_low=True, open_high=True)
    joint = pair.tpr.level + pair.fpr.level - 1
    in_range("pair.tpr.level + pair.fpr.level - 1 (use level=0.975 for 0.95)", joint, level - EXACT, 1)
    method = f"bonferroni over TPR and FPR: {pair.tpr.method}"
    empty = replace(pair.tpr, value=None, low=None, high=None, level=joint, method=method, status="not_resolvable")
    tpr, fpr = pair.tpr, pair.fpr
    if tpr.value is None or tpr.low is None or tpr.high is None:
        return empty
    if fpr.value is None or fpr.low is None or fpr.high is None:
        return replace(empty, reason=fpr.reason)
    if tpr.value == 0 and fpr.value == 0:
        return replace(empty, reason="no record is called a member at this threshold, so no call can be right or wrong")
    ends = ((tpr.value, fpr.value), (tpr.low, fpr.high), (tpr.high, fpr.low))
    value, low, high = (prior * t / (prior * t + (1 - prior) * f) for t, f in ends)
    return replace(empty, value=value, low=low, high=high, status="ok", reason=tpr.reason)


def histogram(values: Float[Array, " ..."], is_member: Bool[Array, " ..."], bins: int = 40) -> Histogram:
    """Counts of members' and non-members' scores in equal bins over the finite range; every score is counted.

    There are fewer bins if the range holds fewer floats than `bins`.

    Raises:
        ValueError: NaN, or a number of bins below 1.
    """
    check_no_nan(values)
    in_range("bins", bins, 1, inf)
    return Histogram(*count_bins(values.astype(np.float64, copy=False), is_member, bins))


def randomisation_p(
    scores: Scores,
    truth: Truth,
    *,
    thresholds: Float[Array, " t"] | Float[Array, "t n"],
    rng: np.random.Generator,
    draws: int = 1000,
) -> Randomisation:
    """Exchanges truth with its complement by a fair coin for each record cluster, and ranks the observed statistic.

    Rows 2i and 2i + 1 are complementary, so negating a record's bits under all targets exchanges the two; the bit of an
    unpaired last row is negated. One coin per cluster for all rows keeps what folds share (each fold's shadows hold the
    other folds' bits).

    The statistics are sums over the members' cells: of ranks minus the mean rank under their target, and of hits. If
    there are several targets, `exchanged` subtracts each cluster's mean from both. For targets in whole pairs, each
    trained on half of the records, the sums order the tables as the pooled AUC and TPR - FPR do. But coins do not keep
    halves, and an unpaired target has no partner. Without the means, differences between targets and between records
    would count as chance, and one more target could hide a leak. Hits keep the mean of their target: sums of whole
    numbers have ties, which a mean would break in favour of a leak. Sums of ranks are widened by `by_halves`.

    Args:
        scores: evidence.
        truth: truth about the same records.
        thresholds: one per target or per cell, as in `tpr_at_threshold`; they are kept in every exchange.
        rng: generator for the coins.
        draws: number of random exchanges.

    Returns:
        `(1 + #{exchanged >= seen}) / (1 + draws)` for both.
    """
    check_evidence(scores, truth)
    check_no_nan(thresholds)
    same_length(scores=scores.values, thresholds=thresholds)
    cells = centred_ranks(scores.values), exceeds(scores.values, thresholds).astype(np.float64)
    turns = np.stack([exchange(cell, truth.is_member, truth.record) for cell in cells], axis=1)
    seen, wide = -turns.sum(axis=0) / 2, np.array([sqrt(by_halves(len(turns))), 1.0])
    slack = 1e-12 * np.abs(turns).sum(axis=0)  # what rounding may take off a sum that reaches what was seen
    reached, step = np.zeros(2, np.int64), max(1, _COINS // len(turns))
    for first in range(0, draws, step):
        # Coins of ±1/2: a turned cluster moves the sum by `turns`, counted from the middle of both tables.
        coins = rng.integers(0, 2, (min(step, draws - first), len(turns))) - 0.5
        reached += ((coins @ turns) * wide >= seen - slack).sum(axis=0)
    # The observed table counts as one draw: the test stays exact, and no p-value is 0 (Phipson and Smyth 2010).
    p_auc, p_tpr = (1 + reached) / (1 + draws)
    return Randomisation(float(p_auc), float(p_tpr), draws)


def check_no_nan(values: Array) -> None:
    """Refuses NaN; infinite scores are allowed, since they have a rank."""
    if np.isnan(values).any():
        raise ValueError(f"scores must have no NaN, got {int(np.isnan(values).sum())}; let missing evidence be -inf")


def check_evidence(scores: Scores, truth: Truth) -> None:
    """Refuses NaN, records that differ between scores and truth, and an empty class."""
    check_no_nan(scores.values)
    if not np.array_equal(scores.ids, truth.ids) or scores.values.shape != truth.is_member.shape:
        raise ValueError(
            "scores and truth must have the same targets and records, "
            f"got shapes {scores.values.shape} and {truth.is_member.shape}"
        )
    members = int(truth.is_member.sum())
    if members in (0, truth.is_member.size):
        raise ValueError(
            f"truth must have both classes, got {members} members, {truth.is_member.size - members} non-members"
        )


def _smallest(values: Array, position: int) -> float:
    """The value at a position of the sorted values, without a full sort."""
    return float(np.partition(values, position)[position])


def _estimate(interval: Interval, truth: Truth, level: float) -> Estimate:
    """The estimate of an interval, with its counts."""
    distinct, members = clusters(truth.record[~truth.is_member.all(0)])[1], int(truth.is_member.sum())
    return Estimate(*interval[:3], level, interval.method, members, distinct, len(truth.is_member))
