"""Checks a result against a policy and an accepted result. Works on result.json alone, without model or data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from functools import partial
from math import isclose
from typing import Any

from dosimeter.foundation.checks import suggest
from dosimeter.foundation.errors import ConfigError
from dosimeter.foundation.wording import one_line, quote
from dosimeter.results.compare import differences, leading_rates, leads
from dosimeter.results.lines import Line, lines
from dosimeter.results.metrics import UTILITIES, UTILITY, Families, metrics_of
from dosimeter.results.policy.decisions import Outcome, Status, decide
from dosimeter.results.policy.limits import Gates, Limit, Policy
from dosimeter.results.policy.ratchet import ratchet
from dosimeter.results.rows import EXPOSURE, HEADLINE, ORACLE, Row, clean, exact
from dosimeter.results.views import View, all_gates, doubt_of, views


@dataclass(frozen=True)
class FailedGate:
    """A check of the audit itself that the policy does not accept.

    Attributes:
        id: such as "N1".
        name: in words.
        status: "fail", or "warn" where warnings are not accepted.
        message: one sentence.
        threat: id of the threat that it concerns, where the result has several; else empty.
    """

    id: str
    name: str
    status: str
    message: str
    threat: str = ""

    @property
    def line(self) -> str:
        """The gate as text."""
        of = f" of threat {self.threat}" if self.threat else ""
        return f"check {self.status}: {self.id} {self.name}{of}: {self.message}"


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
                    **one.row.key.to_json(),
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


@dataclass(frozen=True)
class _Checked:
    """A result with what every limit needs of it."""

    result: Mapping[str, Any]
    families: Families
    views: Sequence[View]
    lines: Sequence[Line]


def check(
    result: Mapping[str, Any],
    policy: Policy | None,
    families: Families,
    accepted: Mapping[str, Any] | None = None,
) -> Check:
    """Checks a result against a policy, an accepted result, or both.

    Args:
        result: the content of a valid result.json.
        policy: the limits; None to compare the headline figures with the accepted result only.
        families: families of attack that are installed, by name.
        accepted: an earlier result than which no matched number may be shown to be worse.

    Returns:
        What came of it.

    Raises:
        ConfigError: neither is given, a limit is about something that was not measured, or the accepted result has
            another threat model.
    """
    if policy is None and accepted is None:
        raise ConfigError("check: needs limits, got none: give a policy, an accepted result, or both")
    of = _Checked(result, families, views(result), lines(result))
    gates = _failed(result, policy.gates if policy else Gates())
    outcomes = _limits(of, policy) if policy else []
    notes: tuple[str, ...] = ()
    if accepted is not None:
        outcomes += ratchet(result, accepted, _chosen(policy, families), families)
        notes = tuple(differences(accepted, result))
    outcomes = [_doubted(_withdrawn(one, gates, of), of) for one in outcomes]
    return Check(tuple(outcomes), gates, notes)


def _withdrawn(outcome: Outcome, gates: Sequence[FailedGate], of: _Checked) -> Outcome:
    """The outcome, withdrawn if a check of the whole run, of its threat or of its variant failed."""
    if outcome.status in ("not_applicable", "refused"):
        return outcome
    own = [gate for gate in gates if len(of.views) == 1 or gate.threat in ("", outcome.row.threat)]
    if any(gate.status == "fail" for gate in own):
        reason = "withdrawn, since a check of the audit itself failed: " + ", ".join(gate.id for gate in own)
        return replace(outcome, status="withdrawn", message=reason)
    if outcome.source.withdrawn:  # its threat's failed checks are told above
        reason = "withdrawn, since a check of the variant's own audit failed: see the result in its folder"
        return replace(outcome, status="withdrawn", message=reason)
    return outcome


def _doubted(outcome: Outcome, of: _Checked) -> Outcome:
    """The outcome, undecided if its limit is met by doubtful numbers; an exceeded limit stays exceeded."""
    own = [gate for threat, gate in all_gates(of.result) if threat in ("", outcome.row.threat)]
    doubts = [one for one in (clean(outcome.row.doubt), doubt_of(own)) if one]
    if outcome.status != "met" or not doubts:
        return outcome
    return replace(outcome, status="undecided", message=f"{outcome.message}, but {'; and '.join(doubts)}")


def _failed(result: Mapping[str, Any], accepted: Gates) -> tuple[FailedGate, ...]:
    """Checks of the audit that the policy does not accept, and the verdicts that no check explains."""
    refused = ("fail",) if accepted.allow_warn else ("fail", "warn")
    several = len(result["threats"]) > 1
    found = [
        FailedGate(
            clean(gate["id"]), clean(gate["name"]), gate["status"], clean(gate["message"]), clean(of) if several else ""
        )
        for of, gate in all_gates(result)
        if gate["status"] in refused
    ]
    for entry in result["threats"]:
        verdict, of = entry["verdict"], clean(entry["id"]) if several else ""
        explained = any(gate.status == "fail" and gate.threat in ("", of) for gate in found)
        if verdict["status"] == "withdrawn" and not explained:
            found.append(FailedGate("verdict", "Verdict", "fail", clean(" ".join(verdict["sentences"])), of))
    return tuple(found)


def _limits(of: _Checked, policy: Policy) -> list[Outcome]:
    """The outcomes of all limits; limits about unmeasured quantities are reported together."""
    outcomes: list[Outcome] = []
    problems: list[str] = []
    for index, limit in enumerate(policy.limit):
        try:
            outcomes += _of_limit(limit, of, f"limit[{index}]")
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(*problems)
    return outcomes


def _of_limit(limit: Limit, of: _Checked, place: str) -> list[Outcome]:
    """The outcomes of one limit."""
    name = _name(limit, of.families)

    def outcome(line: Line, status: Status, message: str) -> Outcome:
        return Outcome(name, line, status, message, limit.undecided, limit)

    meant = [view for view in of.views if _meant(limit, view, of.families)]
    nothing = _placeholder(limit, of.families, (meant or of.views)[0] if len(meant) == 1 or not meant else None)
    if limit.not_applicable is not None:
        return [outcome(nothing, "not_applicable", clean(limit.not_applicable))]
    matched = _matched(limit, of)
    found = [outcome(line, *decide(limit, line)) for line in matched]
    by_attack = any("attack" in metric.by for name, metric in metrics_of(of.families) if name == limit.metric)
    named = [(view, one) for view in meant for one in view["attacks"] if by_attack and _names(limit, one, view)]
    refused = [(view, attack) for view, attack in named if attack["status"] == "refused"]
    for view, attack in refused:
        row = replace(nothing.row, attack=attack["id"], threat=view["id"], family=view["family"])
        who = clean(attack["id"] + (f", threat {view['id']}" if len(of.views) > 1 else ""))
        reason = f"not run: {clean(attack['reason']) or 'no reason was given'}"
        found.append(outcome(replace(nothing, row=row, who=who), "refused", reason))
    if not matched:
        headless = limit.attack == HEADLINE and bool(meant) and all(one["verdict"]["attack"] is None for one in meant)
        if not headless and (len(named) > len(refused) or not refused):
            raise ConfigError(_unmeasured(limit, of, place))
        why = "no attack could be run" if headless else "every attack that it names was refused"
        found.append(outcome(nothing, "undecided", f"{why}, so nothing was measured"))
    return found


def _meant(limit: Limit, view: View, families: Families) -> bool:
    """Returns whether a limit is about a threat: its id and family fit, and its family has the metric."""
    family = families.get(view["family"])
    has = limit.metric in UTILITIES or (family is not None and limit.metric in family.metrics)
    return has and _glob(view["id"], limit.threat) and _glob(view["family"], limit.family)


def _matched(limit: Limit, of: _Checked) -> list[Line]:
    """The rows that a limit applies to."""
    tests = _tests(limit, of).values()
    return [line for line in of.lines if all(test(line) for test in tests)]


def _tests(limit: Limit, of: _Checked) -> dict[str, Callable[[Line], bool]]:
    """Conditions on a row, by key of the limit."""
    family = {view["id"]: view["family"] for view in of.views}
    tests: dict[str, Callable[[Line], bool]] = {
        "threat": lambda line: _glob(line.row.threat, limit.threat),
        "family": lambda line: _glob(family[line.row.threat], limit.family),
        "metric": lambda line: line.row.metric == limit.metric,
    }
    if limit.metric in UTILITIES:
        tests["split"] = lambda line: line.row.conditions.get("split") == limit.split
    elif limit.metric != EXPOSURE:
        heads = {view["id"]: _headlines(view) for view in of.views}
        tests["attack"] = lambda line: _named(
            line.row.attack, line.control, limit.attack, heads[line.row.threat].get(line.row.variant)
        )
        own = [metric for name, metric in metrics_of(of.families) if name == limit.metric]
        if limit.threshold is None and not any(metric.names_threshold for metric in own):
            tests["threshold"] = lambda line: line.row.threshold != ORACLE
    for key, value in limit.wanted.items():
        tests[key] = partial(_holds_for, key, value)
    tests["stage"] = lambda line: _glob(line.row.stage, limit.stage)
    tests["variant"] = lambda line: _glob(line.row.variant, limit.variant)
    tests["group"] = lambda line: (
        line.row.group is None
        if limit.group is None
        else line.row.group is not None and _glob(line.row.group, limit.group)
    )
    return tests


def _holds_for(key: str, value: float | str, line: Line) -> bool:
    """Returns whether a row has this condition."""
    return _same(line.row.conditions.get(key), value)


def _named(attack: str | None, control: bool, pattern: str, headline: str | None) -> bool:
    """Returns whether a pattern means this attack; a control only by its own id."""
    if pattern == HEADLINE:
        return attack is not None and attack == headline
    return attack is not None and (attack == pattern or (not control and fnmatchcase(attack, pattern)))


def _headlines(view: View) -> dict[str, str | None]:
    """The headline attack of the audit itself and of each of its variants."""
    return {"none": view["verdict"]["attack"], **{one["id"]: one.get("attack") for one in view["variants"]}}


def _names(limit: Limit, attack: Mapping[str, Any], view: View) -> bool:
    """Returns whether a limit applies to an attack."""
    aside = bool(attack["control"] or attack.get("reference"))
    return _named(attack["id"], aside, limit.attack, view["verdict"]["attack"])


def _glob(text: str, pattern: str) -> bool:
    return text == pattern or fnmatchcase(text, pattern)


def _same(found: object, wanted: float | str) -> bool:
    if isinstance(found, int | float) and isinstance(wanted, int | float):
        return isclose(found, wanted, rel_tol=1e-6)
    return found == wanted


def _unmeasured(limit: Limit, of: _Checked, place: str) -> str:
    """Text: the key of a limit that matches nothing that was measured, and what was measured."""
    left, tests = list(of.lines), _tests(limit, of)
    wrong = next(iter(tests))
    for key, test in tests.items():
        wrong, kept = key, [line for line in left if test(line)]
        if not kept:
            break
        left = kept
    value = limit.conditions.get(wrong, getattr(limit, wrong, None))
    measured = dict.fromkeys(_part(line, wrong, of) for line in left)
    names = [str(one) for one in measured if one is not None]
    rate = isinstance(value, float)
    remedy = suggest(str(value), names) if names and not rate else f"measured are: {', '.join(names) or 'none'}"
    text = f"{place}.{wrong}: must match what was measured for {limit.metric}, got {quote(value, 80)}: {remedy}"
    return one_line(text + ", or give not_applicable = 'the reason'", limit=600)


def _part(line: Line, key: str, of: _Checked) -> object:
    """The part of a row that a key of a limit chooses by."""
    if key == "family":
        return next(view["family"] for view in of.views if view["id"] == line.row.threat)
    return dict(line.key.conditions)[key] if key in line.row.conditions else getattr(line.row, key, None)


def _placeholder(limit: Limit, families: Families, view: View | None = None) -> Line:
    """A row for a limit without numbers; `view` is the only threat that it can mean, if there is only one."""
    utility, exposure = limit.metric in UTILITIES, limit.metric == EXPOSURE
    attack = HEADLINE if exposure else limit.attack
    metric = next((metric for name, metric in metrics_of(families, limit.family) if name == limit.metric), None)
    own = next((name for name, one in families.items() if limit.metric in one.metrics), "")
    row = Row(
        threat=limit.threat if view is None else view["id"],
        family=UTILITY if utility else own if view is None else view["family"],
        stage=limit.stage if limit.stage != "*" else "" if view is None else str(view["at_risk"]),
        variant="none" if limit.variant == "*" else limit.variant,
        attack=None if utility else attack,
        metric=limit.metric,
        unit="share" if metric is None else metric.unit,
        group=limit.group,
        conditions={**limit.wanted, **({"split": limit.split} if utility else {})},
        status="not_resolvable",
    )
    return Line(row, "the model" if utility else "every attack" if attack == "*" else clean(attack))


def _name(limit: Limit, families: Families) -> str:
    """Name of a limit."""
    if limit.name is not None:
        return clean(limit.name)
    row = _placeholder(limit, families).row
    bounds = [f"{side} {exact(row.unit, bound)}" for side, bound in (("max", limit.max), ("min", limit.min))
              if bound is not None]  # fmt: skip
    bounds += [] if limit.max_grade is None else [f"max grade {limit.max_grade}"]
    chosen = [f"{key} {value}" for key, value in (("family", limit.family), ("threat", limit.threat)) if value != "*"]
    return clean(f"{', '.join([row.key.what, *chosen])}, {' and '.join(bounds)}")


def _chosen(policy: Policy | None, families: Families) -> Callable[[Mapping[str, Any]], list[Line]]:
    """Rows in which an accepted result is compared: those of the limits, else the headline figures."""

    def chosen(result: Mapping[str, Any]) -> list[Line]:
        of = _Checked(result, families, views(result), lines(result))
        if policy is None:
            leading = leading_rates(result)
            return [line for line in of.lines if leads(line, leading) and line.row.variant == "none"]
        limits = [limit for limit in policy.limit if limit.not_applicable is None]
        return [line for limit in limits for line in _matched(limit, of)]

    return chosen
