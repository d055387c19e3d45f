"""The page's section on Log-MIA: evidence of the headline attack, and grades of all attacks. Measures nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor

from dosimeter.results import words
from dosimeter.results.figures import Figure
from dosimeter.results.views import View

THRESHOLDS: Mapping[str, str] = {
    "A": "A: no false accusation allowed",
    "B": "B: about as many as the logarithm of the number of records",
    "preset": "Set beforehand",
}
"""Regimes in words."""
ABSENT = "–"
TERMS: tuple[tuple[str, str], ...] = (
    (
        "Log-MIA",
        "ln(1 + members recognised) / ln(1 + members), after a measure of Jiménez-López et al. (2025). Chance alone "
        "gives much of it, and it depends on the number of records, so it is printed with its evidence only.",
    ),
    (
        "Grade of a leak (ours)",
        "No evidence, weak, moderate, high or severe, by how many times as often members are accused as unused "
        "records. The rules are ours and no paper's. One grade is shown, a second one is not excluded. Where nothing "
        "is shown and much is not excluded, the shown end is undecidable.",
    ),
)
"""Entries of the glossary."""


@dataclass(frozen=True)
class EvidenceRow:
    """Log-MIA of the headline attack in one regime."""

    name: str
    origin: str
    members: Figure
    others: Figure
    value: Figure
    chance: str
    corrected: str
    p: str


@dataclass(frozen=True)
class GradeRow:
    """The grade of one attack with what it rests on."""

    name: str
    headline: bool
    called: str
    value: Figure
    p: str
    shown: str
    not_excluded: str
    reason: str


@dataclass(frozen=True)
class LogMiaPart:
    """The headline's evidence, its grade in sentences, and the grades of all attacks."""

    rows: list[EvidenceRow]
    sentences: list[str]
    grades: list[GradeRow]
    laws: str


def section(result: View, names: Mapping[str, str]) -> LogMiaPart | None:
    """The section; None for a result of an earlier version, or without a headline attack.

    Args:
        result: a threat of a result.
        names: names of the attacks by id.
    """
    every: Sequence[View] = result["details"].get("log_mia") or ()
    head = result["verdict"]["attack"]
    own = [one for one in every if one["attack"] == head]
    if not own:
        return None
    graded = sorted((one for one in every if one["regime"] == "preset"), key=lambda one: one["attack"] != head)
    preset = next(one for one in own if one["regime"] == "preset")
    laws = "; ".join(f"{one['regime']}: {one['null']}" for one in own)
    rows, grades = [_evidence(one) for one in own], [_grade(one, names, head) for one in graded]
    return LogMiaPart(rows, _sentences(preset, result["noun"]), grades, laws)


def grade(row: Mapping[str, object]) -> Figure:
    """Both ends of a grade as a figure; nothing where there is none."""
    if not row.get("grade_shown"):
        return Figure("", ok=False)
    return Figure(str(row["grade_shown"]), f"not excluded: {row['grade_not_excluded']}")


def _evidence(one: View) -> EvidenceRow:
    """The row of one regime."""
    origin = "oracle: read off the targets" if one["threshold"] == "oracle" else words.THRESHOLDS[one["threshold"]]
    name = THRESHOLDS[one["regime"]]
    if one["fpr_aimed"] is not None:
        name += f", aiming at {words.percent(one['fpr_aimed'])} false accusations"
    elif one["allowed"]:
        name += f": {one['allowed']:,} in all"
    return EvidenceRow(
        name=name,
        origin=origin,
        members=_rate(one["tp"], one["n"], (one["tpr_low"], one["tpr_high"])),
        others=_rate(one["fp"], one["m"], (one["fpr_low"], one["fpr_high"])),
        value=_value(one),
        chance=ABSENT if one["expected"] is None else f"{one['expected']:.3f}",
        corrected=ABSENT if one["corrected"] is None else f"{one['corrected']:+.3f}",
        p=_p(one),
    )


def _rate(count: int, of: int, ends: tuple[float | None, float | None]) -> Figure:
    """Calls among decisions, with the interval of their rate."""
    low, high = ends
    told = "" if low is None or high is None else words.percent_range(low, high)
    return Figure(f"{count:,} of {of:,}", told)


def _value(one: View) -> Figure:
    """Log-MIA with its ends, or why there is none."""
    if one["value"] is None:
        return Figure("not resolvable", note=one["reason"], ok=False)
    return Figure(words.decimal(one["value"]), words.decimal_range(one["low"], one["high"]))


def _p(one: View) -> str:
    """A p-value as text."""
    return ABSENT if one["p"] is None else f"{one['p']:.2g}"


def _grade(one: View, names: Mapping[str, str], head: str) -> GradeRow:
    """The row of one attack's grade."""
    called = f"{one['tp']:,} of {one['n']:,} members, {one['fp']:,} of {one['m']:,} non-members"
    return GradeRow(
        name=names.get(one["attack"], one["attack"]),
        headline=one["attack"] == head,
        called=called,
        value=_value(one),
        p=_p(one),
        shown=one["grade_shown"],
        not_excluded=one["grade_not_excluded"],
        reason=one["grade_reason"],
    )


def _sentences(one: View, noun: str) -> list[str]:
    """The headline's grade in sentences."""
    shown, upper = one["grade_shown"], one["grade_not_excluded"]
    told = [f"Grade of the leak (ours): {shown}. Not excluded: {upper}."]
    least, most = one["ratio_shown"], one["ratio_not_excluded"]
    if one["grade_reason"]:
        told.append(f"Why: {one['grade_reason']}.")
    elif least is not None and least > 1:
        # Rounded outwards, as all ends are.
        up_to = "no upper end is known" if most is None else f"up to {ceil(100 * most) / 100:,g} times is not excluded"
        often = f"at least {floor(100 * least) / 100:,g} times as often as unused ones"
        told.append(f"Used {words.plural(noun)} are accused {often}; {up_to}.")
    return told
