"""Lower bounds of a mechanism's epsilon, from attack decisions whose membership was drawn independently.

Each decision comes from another training run, or from a record whose attack score depends on no other audited record. A
threshold is chosen on other decisions, or all thresholds that were examined are counted. A record
is called a member where its score is strictly above the threshold. True positive and false positive rates get exact
one-sided Clopper-Pearson bounds, alpha / 2 each and divided by the number of thresholds, so a bound is above the true
epsilon in at most a share alpha of audits. Axes: `t` thresholds, `a` and `b` decisions on members and nonmembers.

Sources: Jagielski, Ullman, Oprea, "Auditing Differentially Private Machine Learning", 2020,
https://arxiv.org/abs/2006.07709; Nasr et al., "Tight Auditing of Differentially Private Machine Learning", 2023,
https://arxiv.org/abs/2302.07956; Dong, Roth, Su, "Gaussian Differential Privacy", 2022,
https://arxiv.org/abs/1905.02383, corollary 2.13.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import numpy as np
import scipy  # its parts are loaded when they are asked for, and settings are checked without them
from jaxtyping import Float, Int

from dosimeter.foundation.arrays import Array
from dosimeter.foundation.checks import finite, in_range

Scores = Float[Array, " k"]
Bound = Callable[[Float[Array, " t"], Float[Array, " t"]], Float[Array, " t"]]
"""Function from upper bounds of FNR and FPR to a lower bound of a privacy parameter, at each threshold."""


def upper_rate(counts: Int[Array, " t"], trials: int, tail: float) -> Float[Array, " t"]:
    """One-sided Clopper-Pearson upper bounds of rates; the true rate exceeds one with probability at most `tail`.

    Raises:
        ValueError: no trials, or counts beyond them.

    >>> upper_rate(np.array([0]), 299, 0.05).round(4)
    array([0.01])
    """
    in_range("trials", trials, 1, inf)
    in_range("tail", tail, 0, 1, open_low=True, open_high=True)
    counts = np.asarray(counts)
    if counts.size and not (counts.min() >= 0 and counts.max() <= trials):
        raise ValueError(f"counts must be in [0, {trials}], got {counts.min()} to {counts.max()}")
    found = scipy.special.betaincinv(counts + 1, np.maximum(trials - counts, 1), 1 - tail)
    bound: Array = np.where(counts == trials, 1.0, found)
    return bound


def epsilon_bound(delta: float) -> Bound:
    """ln((1 - FNR - delta) / FPR), or with the rates exchanged where that is larger; at least 0."""
    in_range("delta", delta, 0, 1, open_high=True)

    def bound(fnr: Float[Array, " t"], fpr: Float[Array, " t"]) -> Float[Array, " t"]:
        ratios = np.maximum((1 - fnr - delta) / fpr, (1 - fpr - delta) / fnr)
        return np.log(np.maximum(ratios, 1.0))

    return bound


def mu_bound(fnr: Float[Array, " t"], fpr: Float[Array, " t"]) -> Float[Array, " t"]:
    """Φ⁻¹(1 - FPR) - Φ⁻¹(FNR), at least 0: lower bound of mu for a trade-off curve that is Gaussian or above it."""
    found: Array = np.maximum(-scipy.special.ndtri(fpr) - scipy.special.ndtri(fnr), 0.0)
    return found


def lower_bound(
    hits: Int[Array, " t"], members: int, alarms: Int[Array, " t"], nonmembers: int, bound: Bound, *,
    alpha: float = 0.05,
) -> float:  # fmt: skip
    """The largest bound over all thresholds that were examined.

    Args:
        hits: members called members, at each threshold.
        members: decisions on members.
        alarms: nonmembers called members, at each threshold.
        nonmembers: decisions on nonmembers.
        bound: `epsilon_bound(delta)` or `mu_bound`.
        alpha: probability that the result is above the true value, at most.

    Raises:
        ValueError: no threshold, no decisions, or counts beyond them.

    >>> round(lower_bound(np.array([500]), 1000, np.array([1]), 1000, epsilon_bound(0.0)), 3)
    4.434
    """
    if len(hits) != len(alarms) or not len(hits):
        raise ValueError(f"hits and alarms must have one count per threshold, got {len(hits)} and {len(alarms)}")
    in_range("alpha", alpha, 0, 1, open_low=True, open_high=True)
    tail = alpha / 2 / len(hits)
    fnr, fpr = upper_rate(members - np.asarray(hits), members, tail), upper_rate(alarms, nonmembers, tail)
    return float(bound(fnr, fpr).max())


def lower_bound_of_scores(
    member: Scores, nonmember: Scores, thresholds: Float[Array, " t"], bound: Bound, *, alpha: float = 0.05
) -> float:
    """`lower_bound` at these thresholds; a score equal to a threshold is not above it.

    Raises:
        ValueError: scores are missing or not finite.
    """
    hits, alarms = (_above(scores, name, thresholds) for scores, name in ((member, "member"), (nonmember, "nonmember")))
    return lower_bound(hits, len(member), alarms, len(nonmember), bound, alpha=alpha)


def best_threshold(member: Scores, nonmember: Scores, bound: Bound, *, alpha: float = 0.05) -> float:
    """The threshold with the largest bound on these scores, to be used on other scores.

    Among equals (for example if nothing is shown) it has the largest difference of rates. Every distinct score is tried
    as if it were the only threshold, so the bound that is reached here is too large and must not be reported.
    """
    thresholds = np.unique(np.concatenate([member, nonmember]))
    hits, alarms = (_above(scores, name, thresholds) for scores, name in ((member, "member"), (nonmember, "nonmember")))
    fnr = upper_rate(len(member) - hits, len(member), alpha / 2)
    reached = bound(fnr, upper_rate(alarms, len(nonmember), alpha / 2))
    apart = hits / len(member) - alarms / len(nonmember)
    return float(thresholds[np.lexsort((apart, reached))[-1]])


def _above(scores: Scores, name: str, thresholds: Float[Array, " t"]) -> Int[Array, " t"]:
    """Number of scores strictly above each threshold."""
    finite(f"{name} scores", scores)
    finite("thresholds", thresholds)
    return len(scores) - np.searchsorted(np.sort(scores), thresholds, side="right")


def delta_of(epsilon: float, mu: float) -> float:
    """The delta of a mu-GDP mechanism: Φ(-ε/μ + μ/2) - e^ε Φ(-ε/μ - μ/2).

    >>> round(delta_of(4.3772, 1.0), 8)
    1e-05
    """
    in_range("epsilon", epsilon, 0, inf, open_high=True)
    in_range("mu", mu, 0, inf, open_high=True)
    if mu == 0:
        return 0.0
    second = np.exp(epsilon + scipy.special.log_ndtr(-epsilon / mu - mu / 2))  # e^ε alone overflows
    return float(max(scipy.special.ndtr(-epsilon / mu + mu / 2) - second, 0.0))


def epsilon_of(delta: float, mu: float) -> float:
    """The epsilon of a mu-GDP mechanism at a delta; 0 if delta alone suffices.

    >>> round(epsilon_of(1e-5, 2.0), 1)
    10.0
    """
    from scipy.optimize import brentq

    in_range("delta", delta, 0, 1, open_low=True, open_high=True)
    if delta_of(0.0, mu) <= delta:
        return 0.0
    high = 1.0
    while delta_of(high, mu) > delta:
        high *= 2
    return float(brentq(lambda epsilon: delta_of(epsilon, mu) - delta, 0.0, high, xtol=1e-10))
