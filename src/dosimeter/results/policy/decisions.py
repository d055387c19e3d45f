"""One limit and one number: met, exceeded or undecided, with a sentence on what would decide it.

A limit tests the end of the interval that could be wrong: `max` the upper end, `min` the lower one. So too little data
cannot pass a limit, and an exceeded limit is proven.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from dosimeter.results.lines import Line
from dosimeter.results.policy.limits import Limit, Undecided
from dosimeter.results.rows import EXPOSURE, Row, clean, exact, figure, is_utility
from dosimeter.statistics.log_mia.grades import GRADES, UNDECIDABLE

Status = Literal["met", "exceeded", "undecided", "not_applicable", "withdrawn", "refused"]
FEW_TARGETS = 8
"""Number of targets from which intervals are a bootstrap over targets and records."""
HOPELESS = 1000.0
"""Largest factor of further data that a message names."""

SLACK = 1e-6
"""Slack within which a number of records counts as a whole number."""


@dataclass(frozen=True)
class Outcome:
    """Comparison of one limit, or the accepted result, with one number.

    Attributes:
        name: name of the limit.
        source: the number; with a status other than "ok" if there is none.
        status: result of the comparison.
        message: one sentence.
        undecided: what "undecided" means here.
        limit: None where the accepted result is the limit.
    """

    name: str
    source: Line
    status: Status
    message: str
    undecided: Undecided = "fail"
    limit: Limit | None = None

    @property
    def row(self) -> Row:
        """The number."""
        return self.source.row

    @property
    def fails(self) -> bool:
        """Returns whether the outcome makes the check fail."""
        return self.status in ("exceeded", "withdrawn") or (self.status == "undecided" and self.undecided == "fail")

    @property
    def line(self) -> str:
        """The outcome as text."""
        meaning = {"fail": " (fails)", "warn": " (warning)", "pass": ""}[self.undecided]
        mark = self.status.replace("_", " ") + (meaning if self.status == "undecided" else "")
        number = f" is {self.row.said}" if self.row.ok else ""
        return f"{mark}: {self.name}: {self.source.who}{number}; {self.message}"


def decide(limit: Limit, line: Line) -> tuple[Status, str]:
    """Compares one number with one limit.

    Args:
        limit: with `max`, `min`, `max_grade` or several of them.
        line: what was measured; if it is not ok, its status and reason decide.

    Returns:
        The status, and one sentence.
    """
    row = line.row
    if not row.ok and not (limit.max_grade and row.grade_shown):
        return _without_number(row)
    sides = [] if limit.max_grade is None else [_graded(row, limit.max_grade)]
    if not row.ok and (limit.max is not None or limit.min is not None):
        sides.append(_without_number(row))
    elif limit.max is not None:
        sides.append(_side(row, limit.max, upper=True))
    if row.ok and limit.min is not None:
        sides.append(_side(row, limit.min, upper=False))
    for status in ("exceeded", "undecided"):
        found = [side for side in sides if side[0] == status]
        if found:
            return found[0][0], "; ".join(text for _, text in found)
    return "met", "; ".join(text for _, text in sides) + _understated(line)


def _graded(row: Row, most: str) -> tuple[Status, str]:
    """Compares both ends of a grade with the worst one that is allowed."""
    if row.grade_shown is None or row.grade_not_excluded is None:
        return "undecided", "only the threshold that was set beforehand is graded: write regime = 'preset'"
    bound, told = GRADES.index(most), f"{row.graded}; the limit is {most}"
    if row.grade_shown != UNDECIDABLE and GRADES.index(row.grade_shown) > bound:
        return "exceeded", told
    met = row.grade_shown != UNDECIDABLE and GRADES.index(row.grade_not_excluded) <= bound
    return ("met", told) if met else ("undecided", f"{told}: more records of both kinds decide it")


def _side(row: Row, bound: float, *, upper: bool) -> tuple[Status, str]:
    """Compares one end of the interval with one bound."""
    value, low, high = row.ends
    unit, (far, near) = row.unit, (high, low) if upper else (low, high)
    sign = 1 if upper else -1
    word, relation = ("most", "above") if upper else ("least", "below")

    def say(end: float) -> str:
        apart = [gap for gap in (high - low, abs(end - bound)) if gap]
        return figure(unit, end, min(apart, default=None))

    if sign * (far - bound) <= 0:
        return "met", f"at {word} {say(far)} is compatible with the data, the limit is {exact(unit, bound)}"
    if sign * (near - bound) > 0:
        shown = "least" if upper else "most"
        return "exceeded", f"at {shown} {say(near)} is shown, which is {relation} the limit of {exact(unit, bound)}"
    between = f"the interval from {say(low)} to {say(high)} holds the limit of {exact(unit, bound)}"
    return "undecided", f"{between}; {_what_decides(row, bound, upper=upper)}"


def _what_decides(row: Row, bound: float, *, upper: bool) -> str:
    """Text: how much more data would bring the end to the limit; intervals shrink about as 1 / sqrt(n)."""
    if row.metric == EXPOSURE:  # its value belongs to one unit, its upper end to another
        return f"more than {row.n_targets:,} trainings (targets, and shadows that rehearse) narrow it"
    value, low, high = row.ends
    room = bound - value if upper else value - bound
    if room <= 0:
        shown = "above" if upper else "below"
        place = f"lies {shown} the limit" if room < 0 else "lies on the limit"
        worse = "excess" if upper else "shortfall"
        return f"the estimate itself {place}: more data would more likely prove the {worse} than the limit"
    ratio = (high - value if upper else value - low) / room
    times = ratio * ratio  # a power of so large a float would raise
    if times > HOPELESS:
        return "the estimate lies so near the limit that more data may never decide it"
    records, targets = (math.ceil(times * n - SLACK) for n in (row.counted[0], row.n_targets))
    enough = f"about {records:,} {row.counted[1]} instead of {row.counted[0]:,}"
    if row.n_targets == 1:
        return (
            f"{enough} would decide it for this trained model only; what another training would give takes more "
            f"targets, {FEW_TARGETS} or more"
        )
    if row.n_targets < FEW_TARGETS:
        wanted = max(FEW_TARGETS, targets)
        return (
            f"few targets make the interval wide: about {wanted:,} targets instead of {row.n_targets} would decide it"
        )
    return f"{enough} would decide it, or about {targets:,} targets instead of {row.n_targets:,} where trainings differ"


def _without_number(row: Row) -> tuple[Status, str]:
    """Status and sentence for a row without a number."""
    reason = clean(row.reason) or "no reason was given"
    if row.status == "refused":
        return "refused", f"not run: {reason}"
    if row.status == "withdrawn":
        return "withdrawn", reason
    return "undecided", f"not resolvable: {reason.removesuffix('.')}{_what_resolves(row)}"


def _what_resolves(row: Row) -> str:
    """Text: number of non-members that the false positive rate needs, if too few are the cause."""
    from dosimeter.statistics.certify import nonmembers_needed  # loads SciPy, which takes a second

    if row.rate is None or is_utility(row) or row.metric == EXPOSURE:
        return ""
    needed, had = nonmembers_needed(row.rate), row.counted[0]
    if had >= needed:
        return ""
    times = "; with one target, half of the candidates are its non-members" if row.n_targets == 1 else ""
    return f"; {needed:,} distinct non-members instead of {had:,} resolve it{times}"


def _understated(line: Line) -> str:
    """A remark if the threshold was stricter than intended."""
    row, high = line.row, line.fpr_high
    if row.metric != "tpr" or row.rate is None or high is None or high >= row.rate:
        return ""
    return f" (the threshold reached at most {figure(row.unit, high)} false accusations)"
