"""Grades of a leak from the ends of two rates. They are ours: the article's names and thresholds could not be read.

A grade is a function of an operating point, a true and a false positive rate at one threshold, which rises with the
first and falls with the second. So the grade of the lower end of the one with the upper end of the other is *shown*,
and the grade of the reverse is *not excluded*: if both intervals hold together at 95 %, so do both grades. The ratio of
the rates is how many times as often members are called as non-members. Its logarithm is what a differentially private
mechanism would bound by its epsilon; in an audit of records that train together it is a point of the trade-off curve
and no epsilon of the mechanism.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, log

GRADES = ("no evidence", "weak", "moderate", "high", "severe")
"""Grades from mild to bad; the first is one of the shown end only."""
UNDECIDABLE = "undecidable"
MODERATE, HIGH = 1.0, 3.0
"""Logarithms of the ratio of rates from which a leak is moderate, and high."""
STRICT_FPR = 0.001
"""Largest false positive rate at which the share of recognised members alone makes a leak high or severe."""
HIGH_TPR, SEVERE_TPR, SEVERE_CANARIES = 0.01, 0.1, 0.5
"""True positive rates there: high, severe, and severe if the records are planted canaries."""
MOST_P = 0.05
"""Largest p-value with which a grade above the first is shown."""


@dataclass(frozen=True)
class Point:
    """Intervals of both rates at one threshold.

    Attributes:
        tpr: both ends of the true positive rate.
        fpr: both ends of the false positive rate.
        ratio: whether the ratio of the rates counts here; if not, only the rules at `STRICT_FPR` do.
    """

    tpr: tuple[float, float]
    fpr: tuple[float, float]
    ratio: bool = True


@dataclass(frozen=True)
class Grade:
    """Both ends of a grade.

    Attributes:
        shown: one of `GRADES`, or `UNDECIDABLE`.
        not_excluded: one of `GRADES` but the first.
        reason: why it is undecidable or why nothing is shown; empty if there is nothing to say.
    """

    shown: str
    not_excluded: str
    reason: str = ""


def log_ratio(tpr: float, fpr: float) -> float:
    """Logarithm of how many times as often members are called; infinite without a false accusation.

    >>> log_ratio(0.0, 0.0), log_ratio(0.1, 0.0), round(log_ratio(0.1, 0.01), 3)
    (-inf, inf, 2.303)
    """
    if tpr == 0:
        return -inf
    return inf if fpr == 0 else log(tpr) - log(fpr)


def rank_of(tpr: float, fpr: float, *, ratio: bool = True, canaries: bool = False) -> int:
    """Position in `GRADES` of an operating point.

    Args:
        tpr: true positive rate.
        fpr: false positive rate.
        ratio: whether the ratio of the rates counts.
        canaries: whether the records are planted canaries, of which more must be recognised to be severe.

    >>> [GRADES[rank_of(*rates)] for rates in ((0.01, 0.01), (0.02, 0.01), (0.1, 0.01), (0.3, 0.01), (0.2, 0.001))]
    ['no evidence', 'weak', 'moderate', 'high', 'severe']
    """
    if fpr <= STRICT_FPR and tpr >= (SEVERE_CANARIES if canaries else SEVERE_TPR):
        return 4
    if fpr <= STRICT_FPR and tpr >= HIGH_TPR:
        return 3
    found = log_ratio(tpr, fpr) if ratio else -inf
    return sum(found > bound if bound == 0 else found >= bound for bound in (0.0, MODERATE, HIGH))


def grade_of(
    points: Sequence[Point], p: float | None, *, most_p: float = MOST_P, canaries: bool = False, unclaimed: str = ""
) -> Grade:
    """The grade of one attack from its operating points, the worst of which counts.

    Args:
        points: one or more, with intervals that hold for all together.
        p: p-value of the hypothesis that nothing leaks; it decides whether anything is shown. None if it is not known.
        most_p: largest p-value with which anything is shown.
        canaries: whether the records are planted canaries.
        unclaimed: why nothing is claimed whatever the rates are; empty if there is no such reason.

    Raises:
        ValueError: no point.
    """
    if not points:
        raise ValueError("points must have at least one operating point, got none")
    shown, most = (
        max(rank_of(one.tpr[end], one.fpr[1 - end], ratio=one.ratio, canaries=canaries) for one in points)
        for end in (0, 1)
    )
    why = unclaimed
    if not why and (p is None or p > most_p):
        why = "no p-value is known" if p is None else f"chance explains it, p {p:.2g} is above {most_p:.2g}"
    if not why and not shown:
        why = "members are not shown to be called more often than non-members"
    upper = GRADES[max(1, most)]
    if not why:
        return Grade(GRADES[shown], upper)
    if most >= GRADES.index("high"):
        return Grade(UNDECIDABLE, upper, f"{why}, and a leak that is {upper} is not excluded: more records decide it")
    return Grade(GRADES[0], upper, why)


def undecidable(reason: str) -> Grade:
    """No grade is shown and none is excluded.

    Args:
        reason: why.
    """
    return Grade(UNDECIDABLE, GRADES[-1], reason)
