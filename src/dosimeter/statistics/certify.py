"""Number of distinct non-members that certifies a false positive rate, and the number that an audit's are worth."""

from __future__ import annotations

from dataclasses import replace
from math import ceil, inf, log, log1p

import numpy as np

from dosimeter.foundation.checks import in_range
from dosimeter.statistics.estimate import Estimate
from dosimeter.statistics.evidence import Scores, Truth
from dosimeter.statistics.intervals.cells import clusters
from dosimeter.statistics.intervals.clustered import same_size
from dosimeter.statistics.intervals.margins import place_pairs

EXACT = 1e-9
"""Slack within which a product of a rate and a count counts as a whole number."""


def nonmembers_needed(fpr: float) -> int:
    """Fewest distinct non-members of which, if none is called, the FPR is at most `fpr`, one-sided at 95 %.

    >>> [nonmembers_needed(fpr) for fpr in (0.01, 0.001, 0.0001)]
    [299, 2995, 29956]
    """
    in_range("fpr", fpr, 0, 1, open_low=True, open_high=True)
    return ceil(log(0.05) / log1p(-fpr))


def certifiable_fpr(n_distinct: float | int) -> float:
    """Smallest FPR that is certified by `n_distinct` non-members if none is called, one-sided at 95 %; 1 for none.

    >>> round(certifiable_fpr(299), 5)
    0.00997
    """
    in_range("n_distinct", n_distinct, 0, inf)
    return float(-np.expm1(log(0.05) / n_distinct)) if n_distinct else 1.0


def distinct_nonmembers(truth: Truth) -> int:
    """Number of record clusters that were non-members of at least one target; each counts once."""
    return clusters(truth.record[(~truth.is_member).any(0)])[1]


def worth(scores: Scores, truth: Truth) -> tuple[float | None, float | None]:
    """Effective numbers of members and non-members: persons of equal size, by how alike a person's scores rank.

    If few persons hold most records and a person's records rank alike, a rate rests on few persons. If the records of a
    person have nothing in common, it rests on all of them. Ranks decide and not calls, because from few calls one
    cannot see whether a person's calls agree.

    Returns:
        None for both if persons have equally many records, since they then count as they are.
    """
    if same_size(truth.record):
        return None, None
    return place_pairs(scores.values, truth.is_member, truth.record).worth


def resolve(estimate: Estimate, truth: Truth, fpr: float, others: float | None) -> Estimate:
    """Withholds a number if too few distinct non-members certify its FPR, or marks it "low n".

    Args:
        estimate: estimate of the rate at a threshold that aims at the FPR.
        truth: about the records.
        fpr: nominal.
        others: persons that the non-members are worth, from `worth`.
    """
    needed, distinct = nonmembers_needed(fpr), estimate.n_nonmembers
    have = distinct if others is None else others
    if have < needed:
        of_equal_size = "" if have == distinct else f" that are worth {have:.3g} of equal size"
        reason = (
            f"a false positive rate of {100 * fpr:.6g} % needs {needed} distinct non-members, got {distinct}"
            f"{of_equal_size}, which certify {100 * certifiable_fpr(have):.2g} % at best"
        )
        return replace(estimate, value=None, low=None, high=None, status="not_resolvable", reason=reason)
    decisions = int((~truth.is_member).sum())
    low = decisions < 10 / fpr - EXACT
    reason = f"low n: {decisions} decisions about non-members, fewer than 10 / {fpr:.6g} = {10 / fpr:.0f}"
    return replace(estimate, reason=reason) if low else estimate
