"""Compares a result with an accepted one: no number may be shown to be worse."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from dosimeter.foundation.errors import ConfigError
from dosimeter.foundation.wording import quote
from dosimeter.results.policy.decisions import Outcome, Status
from dosimeter.results.policy.limits import Undecided
from dosimeter.results.rows import UTILITY, Key, Row, figure, rows

Chosen = Callable[[Mapping[str, Any]], list[Row]]
"""Function that selects the rows of a result to compare."""


def ratchet(result: Mapping[str, Any], accepted: Mapping[str, Any], chosen: Chosen) -> list[Outcome]:
    """Compares each chosen number with the accepted one.

    Args:
        result: the content of a valid result.json.
        accepted: the same, of a result that was accepted.
        chosen: which rows of either are compared.

    Raises:
        ConfigError: the two ask different questions, or there is nothing to compare.
    """
    problems = list(_incomparable(result, accepted))
    if problems:
        raise ConfigError(*problems)
    now, before = ({row.key: row for row in rows(one)} for one in (result, accepted))
    keys = list(dict.fromkeys(row.key for one in (result, accepted) for row in chosen(one)))
    if not keys:
        raise ConfigError("accepted: must have a number to compare, got none in either result: give a policy")
    return [_outcome(key, now.get(key), before.get(key)) for key in keys]


def _incomparable(result: Mapping[str, Any], accepted: Mapping[str, Any]) -> Iterator[str]:
    """Yields reasons why an accepted result cannot be compared with this one."""
    if accepted["verdict"]["status"] == "withdrawn":
        yield "accepted: its verdict must stand, got 'withdrawn': accept another result"
    pairs = [(f"threat.{key}", accepted["threat"].get(key), result["threat"].get(key)) for key in ("at_risk", "access")]
    pairs.append(("verdict.fpr (the leading rate)", accepted["verdict"]["fpr"], result["verdict"]["fpr"]))
    for place, old, new in pairs:
        if old != new:
            told = f"got {quote(old, 80)} there and {quote(new, 80)} here"
            yield f"accepted: {place} must be the same in both results, {told}: accept a result of this threat model"


def _outcome(key: Key, new: Row | None, old: Row | None) -> Outcome:
    """The outcome for one row of both results."""
    row = new or old
    assert row is not None
    status, message, undecided = _judged(new, old)
    if new is None:
        row = Row(key, row.who, status="not_resolvable", reason="not measured")
    return Outcome(f"{key.what}, not worse than accepted", row, status, message, undecided)


def _judged(new: Row | None, old: Row | None) -> tuple[Status, str, Undecided]:
    """Status, sentence, and meaning of undecided: a rise that is not shown warns, a missing number fails."""
    if old is None or not old.ok:
        return "not_applicable", "the accepted result has no such number", "pass"
    if new is None or not new.ok:
        why = "it was not measured" if new is None else new.said
        return "undecided", f"the accepted result has {old.said}, this one has none: {why}", "fail"
    worse = -1 if new.key.family == UTILITY else 1
    (value, low, high), (was, was_low, was_high) = new.ends, old.ends
    metric, moved = new.key.metric, "rose" if worse > 0 else "fell"
    shown, bound = (low, was_high) if worse > 0 else (high, was_low)
    if worse * (shown - bound) > 0:
        apart = min(gap for gap in (abs(shown - bound), high - low, was_high - was_low) if gap > 0)
        end, edge = (figure(metric, number, apart) for number in (shown, bound))
        which = ("at least", "up to") if worse > 0 else ("at most", "at least")
        return "exceeded", f"{which[0]} {end} is shown, {which[1]} {edge} was accepted", "warn"
    if worse * (value - was) > 0:
        old_value, new_value = (figure(metric, number, abs(value - was)) for number in (was, value))
        return "undecided", f"it {moved} from {old_value} to {new_value}, and the intervals overlap", "warn"
    return "met", f"{old.said} was accepted", "warn"
