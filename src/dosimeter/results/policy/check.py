"""Checks a result against a policy and an accepted result. Works on result.json alone, without model or data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from math import isclose
from typing import Any

from dosimeter.foundation.checks import suggest
from dosimeter.foundation.errors import ConfigError
from dosimeter.foundation.wording import one_line, quote
from dosimeter.results.compare import differences, leads
from dosimeter.results.policy.decisions import Outcome, Status, decide
from dosimeter.results.policy.limits import Gates, Limit, Policy
from dosimeter.results.policy.ratchet import ratchet
from dosimeter.results.rows import EXPOSURE, HEADLINE, ORACLE, UTILITY, Key, Row, clean, exact, rows

MEANING = ("P10", "P16", "I7", "I8")
"""Checks whose warning says that numbers may be about something else than intended: they meet no limit."""


@dataclass(frozen=True)
class FailedGate:
    """A check of the audit itself that the policy does not accept.

    Attributes:
        id: such as "N1".
        name: in words.
        status: "fail", or "warn" where warnings are not accepted.
        message: one sentence.
    """

    id: str
    name: str
    status: str
    message: str

    @property
    def line(self) -> str:
        """The gate as text."""
        return f"check {self.status}: {self.id} {self.name}: {self.message}"


@dataclass(frozen=True)
class Check:
    """Outcome of checking a result against limits.

    Attributes:
        outcomes: outcomes, one for each limit and number, in the order of the policy, then those of the accepted
            result.
        gates: checks of the audit that fail it.
        notes: how the audit differs from the accepted one.
    """

    outcomes: tuple[Outcome, ...]
    gates: tuple[FailedGate, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Returns whether no outcome and no gate fails."""
        return not self.gates and not any(outcome.fails for outcome in self.outcomes)

    def lines(self) -> list[str]:
        """Lines for a terminal: the answer, the failures, then the rest."""
        failing = [outcome for outcome in self.outcomes if outcome.fails]
        others = [outcome for outcome in self.outcomes if not outcome.fails]
        counted = [one for one in self.outcomes if one.status not in ("not_applicable", "refused")]
        first = f"Passed: {len(counted)} of {len(self.outcomes)} lines below count, and none of them fails."
        if not self.passed:
            count = "1 check" if len(self.gates) == 1 else f"{len(self.gates)} checks"
            checks = f", and {count} of the audit itself" if self.gates else ""
            first = f"Failed: {len(failing)} of {len(self.outcomes)} limits{checks}."
        lines = [first, *(gate.line for gate in self.gates), *(outcome.line for outcome in [*failing, *others])]
        return [*lines, *(f"differs from the accepted audit: {note}" for note in self.notes)]

    def as_json(self) -> dict[str, Any]:
        """The check in a form for machines."""
        return {
            "passed": self.passed,
            "gates": [asdict(gate) for gate in self.gates],
            "outcomes": [
                {
                    **asdict(one.row.key),
                    "name": one.name,
                    "value": one.row.value,
                    "low": one.row.low,
                    "high": one.row.high,
                    "max": one.limit.max if one.limit else None,
                    "min": one.limit.min if one.limit else None,
                    "status": one.status,
                    "fails": one.fails,
                    "message": one.message,
                }
                for one in self.outcomes
            ],
            "notes": list(self.notes),
        }


def check(result: Mapping[str, Any], policy: Policy | None, accepted: Mapping[str, Any] | None = None) -> Check:
    """Checks a result against a policy, an accepted result, or both.

    Args:
        result: the content of a valid result.json.
        policy: the limits; None to compare the headline figures with the accepted result only.
        accepted: an earlier result than which no matched number may be shown to be worse.

    Returns:
        What came of it.

    Raises:
        ConfigError: neither is given, a limit is about something that was not measured, or the accepted result has
            another threat model.
    """
    if policy is None and accepted is None:
        raise ConfigError("check: needs limits, got none: give a policy, an accepted result, or both")
    gates = _failed(result, policy.gates if policy else Gates())
    outcomes = _limits(result, policy) if policy else []
    notes: tuple[str, ...] = ()
    if accepted is not None:
        outcomes += ratchet(result, accepted, _chosen(policy))
        notes = tuple(differences(accepted, result))
    if any(gate.status == "fail" for gate in gates):
        reason = "withdrawn, since a check of the audit itself failed: " + ", ".join(gate.id for gate in gates)
        outcomes = [
            one if one.status in ("not_applicable", "refused") else replace(one, status="withdrawn", message=reason)
            for one in outcomes
        ]
    doubted = [gate["id"] for gate in result["gates"] if gate["id"] in MEANING and gate["status"] == "warn"]
    return Check(tuple(_doubted(one, doubted) for one in outcomes), gates, notes)


def _doubted(outcome: Outcome, gates: list[str]) -> Outcome:
    """The outcome, undecided if its limit is met by doubtful numbers; an exceeded limit stays exceeded."""
    if outcome.status != "met" or not gates:
        return outcome
    told = f"{outcome.message}, but what the numbers mean is in doubt: see the warnings of {', '.join(gates)}"
    return replace(outcome, status="undecided", message=told)


def _failed(result: Mapping[str, Any], accepted: Gates) -> tuple[FailedGate, ...]:
    """Checks of the audit that the policy does not accept, and the verdict if no check explains it."""
    refused = ("fail",) if accepted.allow_warn else ("fail", "warn")
    found = [
        FailedGate(clean(gate["id"]), clean(gate["name"]), gate["status"], clean(gate["message"]))
        for gate in result["gates"]
        if gate["status"] in refused
    ]
    if result["verdict"]["status"] == "withdrawn" and not any(gate.status == "fail" for gate in found):
        found.append(FailedGate("verdict", "Verdict", "fail", clean(" ".join(result["verdict"]["sentences"]))))
    return tuple(found)


def _limits(result: Mapping[str, Any], policy: Policy) -> list[Outcome]:
    """The outcomes of all limits; limits about unmeasured quantities are reported together."""
    outcomes: list[Outcome] = []
    problems: list[str] = []
    table = rows(result)
    for index, limit in enumerate(policy.limit):
        try:
            outcomes += _of_limit(limit, result, table, f"limit[{index}]")
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(*problems)
    return outcomes


def _of_limit(limit: Limit, result: Mapping[str, Any], table: list[Row], place: str) -> list[Outcome]:
    """The outcomes of one limit."""
    name = _name(limit)

    def outcome(row: Row, status: Status, message: str) -> Outcome:
        return Outcome(name, row, status, message, limit.undecided, limit)

    nothing = _placeholder(limit, str(result["threat"]["at_risk"] or ""))
    if limit.not_applicable is not None:
        return [outcome(nothing, "not_applicable", clean(limit.not_applicable))]
    matched = _matched(limit, result, table)
    found = [outcome(row, *decide(limit, row)) for row in matched]
    whole = limit.metric in ("accuracy", EXPOSURE)  # of the model, or of the headline alone
    named = [] if whole else [one for one in result["attacks"] if _names(limit, one, result)]
    refused = [attack for attack in named if attack["status"] == "refused"]
    for attack in refused:
        row = replace(nothing, key=replace(nothing.key, attack=attack["id"]), who=clean(attack["id"]))
        found.append(outcome(row, "refused", f"not run: {clean(attack['reason']) or 'no reason was given'}"))
    if not matched:
        headless = limit.attack == HEADLINE and result["verdict"]["attack"] is None
        if not headless and (len(named) > len(refused) or not refused):
            raise ConfigError(_unmeasured(limit, result, table, place))
        why = "no attack could be run" if headless else "every attack that it names was refused"
        found.append(outcome(nothing, "undecided", f"{why}, so nothing was measured"))
    return found


def _matched(limit: Limit, result: Mapping[str, Any], table: list[Row]) -> list[Row]:
    """The rows that a limit applies to."""
    tests = _tests(limit, result).values()
    return [row for row in table if all(test(row) for test in tests)]


def _tests(limit: Limit, result: Mapping[str, Any]) -> dict[str, Callable[[Row], bool]]:
    """Conditions on a row, by key of the limit."""
    tests: dict[str, Callable[[Row], bool]] = {"metric": lambda row: row.key.metric == limit.metric}
    if limit.metric == "accuracy":
        tests["split"] = lambda row: row.key.split == limit.split
    elif limit.metric == EXPOSURE:
        tests["unit"] = lambda row: limit.unit is None or row.key.unit == limit.unit
    else:
        tests["attack"] = lambda row: _named(
            row.key.attack, row.control, limit.attack, _headline(result, row.key.variant)
        )
        tests["fpr"] = lambda row: limit.fpr is None or _same(row.key.fpr, limit.fpr)
        tests["prior"] = lambda row: limit.prior is None or _same(row.key.prior, limit.prior)
        tests["threshold"] = lambda row: (
            row.key.threshold != ORACLE if limit.threshold is None else row.key.threshold == limit.threshold
        )
    tests["stage"] = lambda row: _glob(row.key.stage, limit.stage)
    tests["variant"] = lambda row: _glob(row.key.variant, limit.variant)
    tests["group"] = lambda row: (
        row.key.group is None
        if limit.group is None
        else row.key.group is not None and _glob(row.key.group, limit.group)
    )
    return tests


def _named(attack: str | None, control: bool, pattern: str, headline: str | None) -> bool:
    """Returns whether a pattern means this attack; a control only by its own id."""
    if pattern == HEADLINE:
        return attack is not None and attack == headline
    return attack is not None and (attack == pattern or (not control and fnmatchcase(attack, pattern)))


def _headline(result: Mapping[str, Any], variant: str) -> str | None:
    """The headline attack of the audit itself or of one of its variants."""
    chosen = {"none": result["verdict"]["attack"]}
    chosen |= {one["id"]: one.get("attack") for one in result.get("variants") or ()}
    return chosen.get(variant)


def _names(limit: Limit, attack: Mapping[str, Any], result: Mapping[str, Any]) -> bool:
    """Returns whether a limit applies to an attack."""
    aside = bool(attack["control"] or attack.get("reference"))
    return _named(attack["id"], aside, limit.attack, result["verdict"]["attack"])


def _glob(text: str, pattern: str) -> bool:
    return text == pattern or fnmatchcase(text, pattern)


def _same(rate: float | None, wanted: float) -> bool:
    return rate is not None and isclose(rate, wanted, rel_tol=1e-6)


def _unmeasured(limit: Limit, result: Mapping[str, Any], table: list[Row], place: str) -> str:
    """Text: the key of a limit that matches nothing that was measured, and what was measured."""
    left, tests = table, _tests(limit, result)
    wrong = next(iter(tests))
    for key, test in tests.items():
        wrong, kept = key, [row for row in left if test(row)]
        if not kept:
            break
        left = kept
    value = getattr(limit, wrong)
    measured = dict.fromkeys(getattr(row.key, wrong) for row in left)
    names = [str(one) for one in measured if one is not None]
    rate = isinstance(value, float)
    remedy = suggest(str(value), names) if names and not rate else f"measured are: {', '.join(names) or 'none'}"
    text = f"{place}.{wrong}: must match what was measured for {limit.metric}, got {quote(value, 80)}: {remedy}"
    return one_line(text + ", or give not_applicable = 'the reason'", limit=600)


def _placeholder(limit: Limit, at_risk: str = "") -> Row:
    """A row for a limit without numbers."""
    utility, exposure = limit.metric == "accuracy", limit.metric == EXPOSURE
    attack = HEADLINE if exposure else limit.attack
    key = Key(
        family=UTILITY if utility else "membership",
        stage=at_risk if limit.stage == "*" else limit.stage,
        variant="none" if limit.variant == "*" else limit.variant,
        attack=None if utility else attack,
        metric=limit.metric,
        fpr=limit.fpr,
        prior=limit.prior,
        group=limit.group,
        threshold=limit.threshold,
        split=limit.split if utility else None,
        unit=limit.unit,
    )
    who = "the model" if utility else "every attack" if attack == "*" else clean(attack)
    return Row(key, who, status="not_resolvable")


def _name(limit: Limit) -> str:
    """Name of a limit."""
    if limit.name is not None:
        return clean(limit.name)
    bounds = [f"{side} {exact(limit.metric, bound)}" for side, bound in (("max", limit.max), ("min", limit.min))
              if bound is not None]  # fmt: skip
    return f"{_placeholder(limit).key.what}, {' and '.join(bounds)}"


def _chosen(policy: Policy | None) -> Callable[[Mapping[str, Any]], list[Row]]:
    """Rows in which an accepted result is compared: those of the limits, else the headline figures."""

    def chosen(result: Mapping[str, Any]) -> list[Row]:
        table = rows(result)
        if policy is None:
            return [row for row in table if leads(row, result["verdict"]["fpr"]) and row.key.variant == "none"]
        limits = [limit for limit in policy.limit if limit.not_applicable is None]
        return [row for limit in limits for row in _matched(limit, result, table)]

    return chosen
