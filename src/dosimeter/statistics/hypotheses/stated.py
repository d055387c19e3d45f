"""The test of a stated membership: exact if persons can be permuted, else the interval is inverted.

If persons with 1 and with 150 records exchange their bits, the number of members changes, so no permutation is exact if
size depends on membership. The interval takes into account how few persons carry a class, so it is inverted: the
p-value is the least one-sided error probability at which the interval excludes chance. It is 1 if the statistic is not
beyond chance.
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp, log

import numpy as np
from jaxtyping import Float

from dosimeter.foundation.arrays import Array
from dosimeter.foundation.checks import same_length
from dosimeter.statistics.evidence import Scores, Truth
from dosimeter.statistics.hypotheses.permutation import permutation_p
from dosimeter.statistics.intervals.cells import exceeds
from dosimeter.statistics.intervals.clustered import same_size
from dosimeter.statistics.intervals.crossed import (
    Interval,
    auc_from_placements,
    difference_from_margins,
    rate_from_margins,
    rate_margins,
)
from dosimeter.statistics.intervals.margins import Placed, place_pairs
from dosimeter.statistics.rates import Randomisation, check_evidence, check_no_nan

_LEAST = 1e-12
"""Smallest p-value; below, float64 cannot distinguish the level from 1."""


def exchangeable(truth: Truth) -> bool:
    """Returns whether bits may be permuted over all persons, which needs equally many records for each."""
    return same_size(truth.record)


def stated_p(
    scores: Scores,
    truth: Truth,
    *,
    thresholds: Float[Array, " t"] | Float[Array, "t n"],
    rng: np.random.Generator,
    draws: int = 1000,
) -> Randomisation:
    """One-sided p-values of AUC and TPR - FPR for stated membership.

    Args:
        scores: evidence.
        truth: truth about the same records, with membership as stated.
        thresholds: one per target or per cell; a score strictly above is a hit.
        rng: generator for permutations.
        draws: as in `permutation_p`; 0 in the answer where there were none.

    Raises:
        ValueError: as `permutation_p`.
    """
    if exchangeable(truth):
        return permutation_p(scores, truth, thresholds=thresholds, rng=rng, draws=draws)
    check_evidence(scores, truth)
    check_no_nan(thresholds)
    same_length(scores=scores.values, thresholds=thresholds)
    found = place_pairs(scores.values, truth.is_member, truth.record)
    hits = exceeds(scores.values, thresholds)
    return Randomisation(auc_p(found), difference_p(hits.astype(np.float64), truth, found.worth), 0)


def auc_p(found: Placed) -> float:
    """One-sided p-value of an AUC, by inversion of its interval.

    Args:
        found: where members stand among non-members.
    """
    if found.value <= 0.5:
        return 1.0
    return _turning_point(lambda level: auc_from_placements(found, level=level).low - 0.5)


def difference_p(calls: Float[Array, "t n"], truth: Truth, worth: tuple[float | None, float | None]) -> float:
    """One-sided p-value of TPR - FPR, by inversion of its interval.

    Args:
        calls: decisions "member", 0 or 1, or shares of decisions.
        truth: truth about the same records.
        worth: persons of equal size that members, and non-members, are worth; None for as many as there are.
    """
    if calls[truth.is_member].mean() <= calls[~truth.is_member].mean():
        return 1.0
    rates = call_intervals(calls, truth, worth)
    return _turning_point(lambda level: rates(level)[2].low)


def call_intervals(
    calls: Float[Array, "t n"], truth: Truth, worth: tuple[float | None, float | None]
) -> Callable[[float], tuple[Interval, Interval, Interval]]:
    """Intervals of TPR, FPR and TPR - FPR, in closed form, as a function of their level; arguments as above."""
    sides = truth.is_member, ~truth.is_member
    counts = [(float(calls[side].sum()), int(side.sum())) for side in sides]
    margins = rate_margins(calls, truth.is_member, truth.record)

    def at(level: float) -> tuple[Interval, Interval, Interval]:
        tpr, fpr = (
            rate_from_margins(*count, own, level=level, distinct=distinct)
            for count, own, distinct in zip(counts, margins[:2], worth, strict=True)
        )
        return tpr, fpr, difference_from_margins(tpr, fpr, margins, level=level)

    return at


def _turning_point(beyond: Callable[[float], float]) -> float:
    """Half of the error probability at which the lower end of an interval reaches chance.

    Args:
        beyond: how far the lower end of the interval of a level is beyond chance; it falls with the level.
    """
    from scipy.optimize import brentq

    ends = log(_LEAST), log(0.5) - 1e-6
    first, last = (beyond(1 - 2 * exp(tail)) for tail in ends)
    if first > 0:
        return _LEAST
    # The search runs over log p, because p-values span twelve orders of magnitude.
    return exp(brentq(lambda tail: beyond(1 - 2 * exp(tail)), *ends)) if last > 0 else 0.5
