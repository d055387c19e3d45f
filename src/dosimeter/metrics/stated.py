"""The test of a stated membership: exact where persons can change places, else by what the intervals say.

Bits that change places between persons with 1 and with 150 records make tables of other sizes than the one that was
stated, so no permutation is exact where size goes with membership. The interval, which knows how few persons carry a
class, is then turned around: the p-value is the least error probability, of one side, at which it excludes chance.
"""

from __future__ import annotations

from math import exp, inf, log, sqrt

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.optimize import brentq
from scipy.special import logit, stdtr

from dosimeter._check import same_length
from dosimeter.games import Array, Scores, Truth
from dosimeter.metrics._margins import placed
from dosimeter.metrics.clustered import Spread, same_size
from dosimeter.metrics.intervals import difference_from_margins, rate_from_margins, rate_margins
from dosimeter.metrics.membership import Randomisation, check_evidence, check_no_nan
from dosimeter.metrics.permutation import permutation_p

_LEAST = 1e-12
"""Least p-value of TPR - FPR; below, the ends of Beta quantiles are no longer exact."""


def exchangeable(truth: Truth) -> bool:
    """Whether bits may change places between all persons: of one target, if they have equally many records."""
    return len(truth.is_member) > 1 or same_size(truth.record)


def stated_p(
    scores: Scores, truth: Truth, *, thresholds: Float[Array, " t"], rng: np.random.Generator, draws: int = 1000
) -> Randomisation:
    """P-values of AUC and TPR - FPR where membership was stated, one-sided.

    Args:
        scores: evidence.
        truth: for the same records, with membership as stated.
        thresholds: one per target; a score strictly above is a hit.
        rng: for permutations.
        draws: as in `permutation_p`; 0 in the answer where there were none.

    Raises:
        ValueError: as `permutation_p`.
    """
    if exchangeable(truth):
        return permutation_p(scores, truth, thresholds=thresholds, rng=rng, draws=draws)
    check_evidence(scores, truth)
    check_no_nan(thresholds)
    same_length(scores=scores.values, thresholds=thresholds)
    found = placed(scores.values, truth.is_member, truth.record)
    hits = scores.values > thresholds[:, None]
    p_tpr = difference_p(hits, truth.is_member, truth.record, found.worth)
    return Randomisation(auc_p(found.value, found.margins.spread, min(found.worth)), p_tpr, 0)


def auc_p(value: float, spread: Spread, distinct: float) -> float:
    """Half of the error probability at which `auc_interval` of one target begins at 1/2.

    Its lower end is the lesser of two: that of the t-interval of the logit, and what a share of persons would make that
    may have stayed unseen, `A (1 - u)`. So the p-value is the greater of two.

    Args:
        value: the AUC.
        spread: of the AUC.
        distinct: persons of equal size that the smaller class is worth.
    """
    unseen = (0.5 / value) ** distinct if value > 0.5 else 1.0
    if spread.variance == inf:
        return 1.0
    if not 0 < value < 1 or not spread.variance:
        return unseen
    distance = float(logit(value)) * value * (1 - value) / sqrt(spread.variance)
    return max(float(stdtr(spread.freedom, -distance)), unseen if value > 0.5 else 0.0)


def difference_p(
    hits: Bool[Array, "1 n"], is_member: Bool[Array, "1 n"], record: Int[Array, " n"], worth: tuple[float, float]
) -> float:
    """Half of the error probability at which `difference_interval` of one target begins at 0.

    Args:
        hits: decisions "member".
        is_member: the truth.
        record: cluster of each record.
        worth: persons of equal size that members, and non-members, are worth.
    """
    (called, members), (false, others) = ((int((hits & who).sum()), int(who.sum())) for who in (is_member, ~is_member))
    margins = rate_margins(hits, is_member, record)
    value, (variance, freedom, _) = called / members - false / others, margins[2].spread
    if variance == inf:
        return 1.0
    if value <= 0:
        return float(stdtr(freedom, -value / sqrt(variance))) if variance else 1.0

    def low(tail: float) -> float:
        level = 1 - 2 * exp(tail)
        tpr = rate_from_margins(called, members, margins[0], level=level, distinct=worth[0])
        fpr = rate_from_margins(false, others, margins[1], level=level, distinct=worth[1])
        return difference_from_margins(tpr, fpr, margins, level=level).low

    ends = log(_LEAST), log(0.5) - 1e-9
    if low(ends[0]) > 0:
        return _LEAST
    return exp(brentq(low, *ends)) if low(ends[1]) > 0 else 0.5
