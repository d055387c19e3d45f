"""Sentences of the first page that hold numbers, from one outcome: a number is written there as in the tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor
from typing import Literal

from dosimeter.families.membership.sentences.verdict import CHANCE_P
from dosimeter.results import words
from dosimeter.results.figures import CALIBRATED, find, reached_by
from dosimeter.results.rows import Row
from dosimeter.results.views import View
from dosimeter.results.words import about, plural
from dosimeter.statistics.hypotheses.shown import MOST_P


@dataclass(frozen=True)
class Outcome:
    """Outcome of an audit.

    Attributes:
        status: of the verdict.
        by: what shows the leak: "rate", "ranks", "gain"; "test" if an exact test does without an interval; "none".
        scope: of whom it is shown, "models" or "recipe"; None if nobody asked.
        lead: the large number, see `verdict.Lead`, or None.
        tpr: the estimate of the rate at the leading false positive rate, or None.
        fpr: the false positive rate that its threshold reached, or None.
        auc: that of the AUC, or None.
        precisions: share of accusations that are right, by the share of candidates that were used; those that have one.
        blind: the key of `result.json`.
        p: the smaller p-value, or None.
        alike: the attack is above chance, but not shown to be above what somebody finds who never asks the model.
        persons: the exposure of persons, or None.
    """

    status: str
    by: Literal["rate", "ranks", "gain", "test", "none"]
    scope: str | None
    lead: View | None
    tpr: Row | None
    fpr: Row | None
    auc: Row | None
    precisions: tuple[tuple[float, Row], ...]
    blind: View | None
    p: float | None
    alike: bool
    persons: View | None


def outcome(content: View, *, alike: bool = False) -> Outcome:
    """The outcome that a result holds, for the sentences.

    Args:
        content: a threat with what is common to the run.
        alike: see `Outcome`.
    """
    verdict = content["verdict"]
    attack, fpr, lead = verdict["attack"], verdict["fpr"], verdict.get("lead")
    found = [
        (float(row.conditions["prior"]), row)
        for row in content["estimates"]
        if row.metric == "precision" and row.attack == attack and row.variant == "none" and row.status == "ok"
    ]
    tpr = find(content, attack, "tpr", fpr=fpr, threshold=CALIBRATED)
    auc = find(content, attack, "auc")
    return Outcome(
        status=verdict["status"],
        by=_by(verdict, lead),
        scope=verdict.get("scope"),
        lead=lead,
        tpr=None if tpr is None or tpr.status != "ok" else tpr,
        fpr=reached_by(content, tpr),
        auc=None if auc is None or auc.status != "ok" else auc,
        precisions=tuple(sorted(found, key=lambda one: -one[0])),
        blind=content["details"].get("blind"),
        p=min((p for p in (verdict["p_auc"], verdict["p_tpr"]) if p is not None), default=None),
        alike=alike,
        persons=(content["details"].get("exposure") or {}).get("persons"),
    )


def _by(verdict: View, lead: View | None) -> Literal["rate", "ranks", "gain", "test", "none"]:
    """The statistic that shows the leak, see `Outcome.by`."""
    if verdict["status"] != "shown" or lead is None:
        return "none"
    if not lead["shown"]:
        return "test"
    if lead["measure"] in ("gain", "rate_gain"):
        return "gain"
    return "ranks" if lead["measure"] == "auc" else "rate"


def chance(p: float | None) -> str:
    """Text: how probable such a result is if nothing leaks."""
    return "" if p is None else f" If nothing leaked, chance would give this with a probability of at most {p:.2g}."


def leak(found: Outcome, noun: str, targets: int) -> str:
    """Text: whether there is a leak, and by which rule."""
    several = plural(noun)
    if found.status == "withdrawn":
        return "Not known: the audit is withdrawn, because a check on it failed."
    if found.status == "not_resolvable":
        return "This audit cannot tell. That is a limit of the audit, and it says nothing in favour of the model."
    if found.status == "not_shown":
        return f"None was shown; that does not prove that there is none.{_why_not_shown(found, several)}"
    if found.by == "gain":
        assert found.blind is not None
        return (
            f"Yes. The {several} that were used differ from the unused ones by themselves, but the attack tells them "
            f"apart better with the model (AUC {words.decimal(found.blind['attack_auc'])}) than somebody can without "
            f"it (AUC {words.decimal(found.blind['auc'])})."
        )
    if found.by == "test":
        return f"Yes, but an exact test does not show how much: as much may come by guessing.{_whose(found, targets)}"
    if found.by == "ranks":
        return (
            f"Yes, but only in ranks: used {several} tend to stand above unused ones. Accusations of single {several} "
            f"do not show it.{_whose(found, targets)}"
        )
    return f"Yes: {several} that were used are recognised more often than unused ones.{_whose(found, targets)}"


def _whose(found: Outcome, targets: int) -> str:
    """Text: whether training again is shown to leak too, if that was tested, and the p-value."""
    told = {"recipe": " Models that are trained again in this way would leak too, on average."}
    if targets > 1:
        told["models"] = f" That is shown of these {targets:,} models, and not that training again would leak too."
    return told.get(found.scope or "", "") + chance(found.p)


def _why_not_shown(found: Outcome, several: str) -> str:
    """Text: why an observed difference shows no leak, if its p-value alone could mislead."""
    p = found.p
    if found.alike:
        assert found.blind is not None
        span = f"{words.points(found.blind['gain_low'], 'down')} to {words.points(found.blind['gain_high'], 'up')}"
        return (
            " The attack is above chance, but not shown to be above what somebody tells who never asks the model "
            f"(gain {span} points of AUC): the {several} may differ by themselves."
        )
    if p is None:
        return ""
    if p <= MOST_P:
        return (
            f" A small p-value (p = {p:.2g}) alone shows none: the rule also asks for an interval beyond chance, and "
            "the interval holds chance."
        )
    if p <= CHANCE_P:
        return f" The smaller p-value is {p:.2g}; the rule asks for {MOST_P} or less and for an interval beyond chance."
    return f" Chance explains what was seen (p = {p:.2g})."


def recognition(found: Outcome, noun: str, members: int) -> str:
    """Text: how many records are recognised, and how many persons stand out."""
    several, row = plural(noun), found.tpr
    if found.by == "gain":
        return f"How many are recognised because of the model cannot be said: the {several} differ by themselves."
    if row is None:
        return "How many are recognised is not known."
    value, *ends = row.ends
    if found.lead is not None and found.lead["measure"] == "tpr":
        ends = [found.lead["low"], found.lead["high"]]
    low, high = floor(ends[0] * members + 1e-9), ceil(ends[1] * members - 1e-9)
    seen = f"{about(value * members)} of {members:,}"
    if found.by == "rate":
        assert found.lead is not None
        least = f"at least {low:,}; " if found.lead["measure"] == "tpr" else ""
        return f"Recognised as training data: {seen} ({least}up to {high:,} not excluded).{_persons(found.persons)}"
    tail = {
        "ranks": "which may be as many as guessing gives; the leak is spread over many.",
        "test": f"which may be as many as guessing gives; up to {high:,} is not excluded.",
        "none": f"which is no more than guessing may give; up to {high:,} is not excluded.",
    }[found.by]
    return f"Recognised as training data: {seen}, {tail}"


def _persons(part: View | None) -> str:
    """Text: how many persons are shown to stand out."""
    if part is None:
        return ""
    return f" Persons who are shown to be exposed, each for itself: {part['shown']:,} of {part['n']:,}."


def wrong(found: Outcome, noun: str) -> str:
    """Text: how often an accusation is wrong."""
    several = plural(noun)
    if found.by == "gain":
        return (
            f"Not stated: the {several} differ by themselves, so that a share of wrong accusations would not speak of "
            "the model."
        )
    told = []
    if found.tpr is not None and found.fpr is not None:
        unused, low, high = found.fpr.ends
        span = words.percent_range(low, high)
        value = words.percent(unused, spread=high - low)
        told.append(f"{value} of the unused {several} are accused wrongly ({span}).")
    ends = [found.precisions[0], found.precisions[-1]] if len(found.precisions) > 1 else list(found.precisions)
    if found.by in ("none", "ranks", "test"):
        told.append(f"No accusation is shown to be better than a guess{_guesses([prior for prior, _ in ends])}.")
    elif ends:
        each = [
            f"{words.one_in(prior)} candidates was used, {words.wrong_of(row.ends[0])} accusations are wrong "
            f"({words.percent_range(1 - row.ends[2], 1 - row.ends[1])})"
            for prior, row in ends
        ]
        told.append(f"Where {'; where '.join(each)}.")
    return " ".join([*told, f"No score is proof about one {noun}."])


def _guesses(priors: Sequence[float]) -> str:
    """Text: how often a guess is wrong."""
    each = [
        f"where {words.one_in(prior)} candidates was used, {words.wrong_of(prior)} guesses are wrong"
        for prior in priors
    ]
    return f": {'; '.join(each)}" if each else ""


def sure(found: Outcome, noun: str) -> str:
    """Text: the interval of the large number."""
    lead = found.lead
    if lead is None:
        return "Not known."
    several, level = plural(noun), words.percent(lead["level"])
    span = {
        "tpr": f"{_share(lead)} of the used {several} recognised",
        "auc": f"an AUC of {words.decimal_range(lead['low'], lead['high'])}, where guessing gives 0.500",
        "difference": f"{_points(lead)} points more of the used {several} than of the unused ones",
        "gain": f"{_points(lead)} points of AUC that the model adds",
        "rate_gain": f"{_points(lead)} points more used {several} recognised at equally many false accusations",
    }[lead["measure"]]
    row = found.tpr if lead["measure"] != "auc" else found.auc
    n = "" if row is None else f", from {row.n['members']:,} decisions about members"
    return f"The {level} interval is {span}{n}."


def _share(lead: View) -> str:
    """Text: the interval of a rate, as in the tables."""
    return words.percent_range(lead["low"], lead["high"], above=lead["guess"])


def _points(lead: View) -> str:
    """Text: the interval of a difference."""
    return f"{words.points(lead['low'], 'down')} to {words.points(lead['high'], 'up')}"
