"""The test for a stated membership: bits are permuted over records, and their number stays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import ndtr

from dosimeter.foundation.arrays import Array
from dosimeter.foundation.checks import same_length
from dosimeter.statistics.evidence import Scores, Truth
from dosimeter.statistics.intervals.cells import clusters, exceeds, ranks
from dosimeter.statistics.rates import Randomisation, check_evidence, check_no_nan

AFFORDABLE = 200_000_000
"""Most cells times draws for which permutations are drawn; beyond, p-values come in closed form."""

_CHUNK = 1_000_000
"""Most cells of permuted tables that are held in memory at once."""

_SLACK = 1e-12
"""Share of a statistic's scale that rounding may change: a value this close to the observed one has reached it."""

_LEAST = 1e-300
"""Smallest p-value in closed form; none is 0."""


@dataclass(frozen=True)
class _Stratum:
    """Units (record clusters) whose bits may change places: `k` units of `d` cells.

    Attributes:
        bits: bits of each unit `[k d]`.
        cells: per statistic, ranks then hits, what each cell adds to it if it is a member's `[2 k d]`.
    """

    bits: Bool[Array, "k d"]
    cells: Float[Array, "2 k d"]


def permutation_p(
    scores: Scores,
    truth: Truth,
    *,
    thresholds: Float[Array, " t"] | Float[Array, "t n"],
    rng: np.random.Generator,
    draws: int = 1000,
) -> Randomisation:
    """Permutes the bits of record clusters, on stored evidence, and ranks the observed statistic among the results.

    The null hypothesis is "membership of these records is independent of their scores". The coin per record of
    `randomisation_p` tests this only if the design tossed that coin. It turns a record's bits into their complement, so
    80 % members become 50 % on average, and nobody could have stated such a table. The AUC then has another variance,
    and p is not uniform under the null if members are not half or targets are no complementary pairs. Here each table
    keeps the number of members that was stated.

    If every cluster (a person) is wholly in or wholly out under each target, its bits under all targets change places
    with those of any other cluster; otherwise with those of a cluster of the same number of records, in order.

    The statistics are sums over the members' cells of (rank - mean rank), pooled over targets, and of (hit - mean hit),
    one-sided. With one target and records of their own they order the tables as AUC and TPR - FPR do.

    Args:
        scores: evidence.
        truth: truth about the same records, with membership as stated.
        thresholds: one per target or per cell, as in `tpr_at_threshold`; a score strictly above is a hit.
        rng: generator for the permutations.
        draws: number of permutations. With 0, or more than 2e8 cells times draws, there are none: the hits of one
            target whose records are their own clusters have the hypergeometric distribution, which is exact, and other
            sums the mean and the variance of Hoeffding (Annals of Mathematical Statistics 1951) and a normal tail.

    Returns:
        `(1 + #{permuted >= seen}) / (1 + draws)` for both, or the closed form with `draws` 0.

    Raises:
        ValueError: NaN, other records, an empty class, or thresholds that are not one per target.
    """
    check_evidence(scores, truth)
    check_no_nan(thresholds)
    same_length(scores=scores.values, thresholds=thresholds)
    strata = _strata(scores, truth, thresholds)
    if not draws or sum(stratum.bits.size for stratum in strata) * draws > AFFORDABLE:
        return _closed_form(strata, exceeds(scores.values, thresholds), truth)
    seen = sum(_sums(stratum, np.arange(len(stratum.bits))[None]) for stratum in strata)
    slack = _SLACK * sum(np.abs(stratum.cells).sum(axis=(1, 2)) for stratum in strata)
    reached = np.zeros(2, np.int64)
    step = max(1, _CHUNK // truth.is_member.size)
    for first in range(0, draws, step):
        some = min(step, draws - first)
        drawn = sum(_sums(one, rng.permuted(np.tile(np.arange(len(one.bits)), (some, 1)), axis=1)) for one in strata)
        reached += (drawn >= seen - slack).sum(axis=0)
    # The observed table counts as one draw: the test stays exact, and no p-value is 0 (Phipson and Smyth 2010).
    p_auc, p_tpr = (1 + reached) / (1 + draws)
    return Randomisation(float(p_auc), float(p_tpr), draws)


def _strata(scores: Scores, truth: Truth, thresholds: Array) -> list[_Stratum]:
    """Units whose bits may be permuted, in strata of equal size."""
    values, is_member = scores.values, truth.is_member
    index, k = clusters(truth.record)
    cells = np.stack([ranks(values), exceeds(values, thresholds).astype(float)])
    cells -= cells.mean(axis=(1, 2), keepdims=True)
    if index is None or k == len(index):
        return [_Stratum(is_member.T, cells.transpose(0, 2, 1))]
    sizes = np.bincount(index)
    order = np.argsort(index, kind="stable")
    first = np.cumsum(sizes) - sizes
    bits = is_member[:, order[first]]
    if (bits[:, index] == is_member).all():
        # Each cluster is wholly in or wholly out, so its cells move together and can be summed.
        summed = [[np.bincount(index, row) for row in statistic] for statistic in cells]
        return [_Stratum(bits.T, np.array(summed).transpose(0, 2, 1))]
    strata = []
    for size in np.unique(sizes).tolist():
        rows = order[first[sizes == size][:, None] + np.arange(size)]
        units = len(rows)
        own = np.stack([statistic[:, rows].transpose(1, 2, 0).reshape(units, -1) for statistic in cells])
        strata.append(_Stratum(is_member[:, rows].transpose(1, 2, 0).reshape(units, -1), own))
    return strata


def _sums(stratum: _Stratum, orders: Int[Array, "b k"]) -> Float[Array, "b 2"]:
    """Both statistics when unit i has the bits of unit `order[i]`, for each order."""
    bits = stratum.bits[orders].reshape(len(orders), -1)
    sums: Array = bits.astype(np.float64) @ stratum.cells.reshape(2, -1).T
    return sums


def _closed_form(strata: Sequence[_Stratum], hits: Array, truth: Truth) -> Randomisation:
    """Both p-values without draws: exact or normal."""
    from scipy.stats import hypergeom

    p_auc, p_tpr = (_normal_p(strata, statistic) for statistic in (0, 1))
    index, k = clusters(truth.record)
    if len(hits) == 1 and (index is None or k == len(index)):
        called, total, members = int((hits & truth.is_member).sum()), int(hits.sum()), int(truth.is_member.sum())
        p_tpr = min(1.0, float(hypergeom.sf(called - 1, hits.size, total, members)))
    return Randomisation(max(p_auc, _LEAST), max(p_tpr, _LEAST), 0)


def _normal_p(strata: Sequence[_Stratum], statistic: int) -> float:
    """Normal tail of a sum over units of `bits[permuted] . cells`, from its exact mean and variance."""
    seen, mean, variance, scale = 0.0, 0.0, 0.0, 0.0
    for stratum in strata:
        cells, k = stratum.cells[statistic], len(stratum.bits)
        share, centre = stratum.bits.mean(0), cells.mean(0)
        seen += float(np.einsum("kd,kd->", stratum.bits, cells))
        mean += k * float(share @ centre)
        scale += float(np.abs(cells).sum())
        if k > 1:
            bits, spread = stratum.bits - share, cells - centre
            # The variance is |bits · spreadᵀ|² / (k - 1); either form gives it, and the one with the smaller matrix is
            # taken.
            grams = (bits.T @ bits, spread.T @ spread) if bits.shape[1] <= k else (bits @ spread.T,) * 2
            variance += float((grams[0] * grams[1]).sum()) / (k - 1)
    # All permutations give the same sum up to rounding, so there is no evidence.
    if variance <= (_SLACK * scale) ** 2:
        return 1.0
    return float(ndtr(-(seen - mean) / sqrt(variance)))
