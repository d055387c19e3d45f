"""Compares a result with an accepted one: no number may be shown to be worse."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from dosimeter.foundation.errors import ConfigError
from dosimeter.foundation.wording import quote
from dosimeter.results.lines import Line, lines
from dosimeter.results.metrics import Families, metric_of
from dosimeter.results.policy.decisions import Outcome, Status
from dosimeter.results.policy.limits import Undecided
from dosimeter.results.rows import APART, Key, Row, alike, figure

SAME: Mapping[str, tuple[str, ...]] = {
    "adversary": (
        "question", "victim", "adversary", "property", "value", "head", "batches", "knows", "answers", "gradients",
        "judges",
    ),
    "data": ("identities", "lineup"),
}  # fmt: skip
"""What makes a threat another question: the secret, what the adversary has, and among how many somebody is sought."""
Chosen = Callable[[Mapping[str, Any]], list[Line]]
"""Function that selects the rows of a result to compare."""


def ratchet(
    result: Mapping[str, Any], accepted: Mapping[str, Any], chosen: Chosen, families: Families
) -> list[Outcome]:  # fmt: skip
    """Compares each chosen number with the accepted one.

    Args:
        result: the content of a valid result.json.
        accepted: the same, of a result that was accepted.
        chosen: which rows of either are compared.
        families: families of attack that are installed, by name; they say which end of a metric is bad.

    Raises:
        ConfigError: the two ask different questions, or there is nothing to compare.
    """
    problems = list(_incomparable(result, accepted))
    if problems:
        raise ConfigError(*problems)
    now, before = ({line.key: line for line in lines(one)} for one in (result, accepted))
    keys = list(dict.fromkeys(line.key for one in (result, accepted) for line in chosen(one)))
    if not keys:
        raise ConfigError("accepted: must have a number to compare, got none in either result: give a policy")
    return [_outcome(key, now.get(key), before.get(key), families) for key in keys]


def _incomparable(result: Mapping[str, Any], accepted: Mapping[str, Any]) -> Iterator[str]:
    """Yields reasons why an accepted result cannot be compared with this one."""
    if accepted["verdict"]["status"] == "withdrawn":
        yield "accepted: its verdict must stand, got 'withdrawn': accept another result"
    there, here = ({entry["id"]: entry for entry in one["threats"]} for one in (accepted, result))
    if not there.keys() & here.keys():
        told = f"got {quote(', '.join(there), 80)} there and {quote(', '.join(here), 80)} here"
        yield f"accepted: must have a threat of this result, {told}: accept a result of this threat model"
    several = max(len(there), len(here)) > 1
    for name in [one for one in there if one in here]:
        if several and there[name]["verdict"]["status"] == "withdrawn" != accepted["verdict"]["status"]:
            yield f"accepted: the verdict of threat {name} must stand, got 'withdrawn': accept another result"
        for place, old, new in _adversaries(there[name], here[name]):
            if old != new:
                whose = f" of threat {name}" if several else ""
                told = f"got {quote(old, 80)} there and {quote(new, 80)} here"
                rule = f"{place}{whose} must be the same in both results"
                yield f"accepted: {rule}, {told}: accept a result of this threat model"


def _adversaries(there: Mapping[str, Any], here: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yields what must be equal for two threats to be the same question."""
    yield "family", there["family"], here["family"]
    yield "threat.at_risk", there["at_risk"], here["at_risk"]
    yield "threat.access", there["adversary"].get("access"), here["adversary"].get("access")
    yield "threat.unit", there["adversary"].get("unit", "record"), here["adversary"].get("unit", "record")
    classes = [{one["id"]: one["name"] for one in entry["attacks"]} for entry in (there, here)]
    for attack in [one for one in classes[0] if one in classes[1]]:
        yield f"attack {attack}", classes[0][attack], classes[1][attack]
    yield "verdict.fpr (the leading rate)", there["verdict"].get("fpr"), here["verdict"].get("fpr")
    for part, keys in SAME.items():
        for key in keys:
            if key in there[part] and key in here[part]:  # older results do not tell
                yield f"{'threat' if part == 'adversary' else part}.{key}", there[part][key], here[part][key]


def _outcome(key: Key, new: Line | None, old: Line | None, families: Families) -> Outcome:
    """The outcome for one row of both results."""
    line = new or old
    assert line is not None
    if old is not None and old.withdrawn:
        old = None  # a check of the accepted variant's own audit failed
    metric = metric_of(families, key.family, key.metric)
    worse = -1 if metric is not None and metric.bad == "low" else 1
    status, message, undecided = _judged(None if new is None else new.row, None if old is None else old.row, worse)
    if new is None:
        line = replace(line, row=_absent(line.row), control=False, fpr_high=None)
    return Outcome(f"{key.what}, not worse than accepted", line, status, message, undecided)


def _absent(row: Row) -> Row:
    """The row without its number."""
    none: dict[str, Any] = dict.fromkeys(("value", "low", "high"))
    return replace(row, **none, status="not_resolvable", reason="not measured", n={}, n_targets=0)


def _judged(new: Row | None, old: Row | None, worse: int) -> tuple[Status, str, Undecided]:
    """Status, sentence, and meaning of undecided: a rise that is not shown warns, a missing number fails."""
    if old is None or not old.ok:
        return "not_applicable", "the accepted result has no such number", "pass"
    if new is None or not new.ok:
        why = "it was not measured" if new is None else new.said
        return "undecided", f"the accepted result has {old.said}, this one has none: {why}", "fail"
    if not alike(old, new):
        return "not_applicable", APART, "pass"
    (value, low, high), (was, was_low, was_high) = new.ends, old.ends
    unit, moved = new.unit, "rose" if worse > 0 else "fell"
    shown, bound = (low, was_high) if worse > 0 else (high, was_low)
    if worse * (shown - bound) > 0:
        apart = min(gap for gap in (abs(shown - bound), high - low, was_high - was_low) if gap > 0)
        end, edge = (figure(unit, number, apart) for number in (shown, bound))
        which = ("at least", "up to") if worse > 0 else ("at most", "at least")
        return "exceeded", f"{which[0]} {end} is shown, {which[1]} {edge} was accepted", "warn"
    if worse * (value - was) > 0:
        old_value, new_value = (figure(unit, number, abs(value - was)) for number in (was, value))
        return "undecided", f"it {moved} from {old_value} to {new_value}, and the intervals overlap", "warn"
    return "met", f"{old.said} was accepted", "warn"
