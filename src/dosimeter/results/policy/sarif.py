"""A check as SARIF 2.1.0: one rule for each attack and metric, one result for each outcome and number.

No times, no hosts, sorted keys: the same check gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any

from dosimeter.foundation.package import __version__
from dosimeter.results.lines import Line, lines
from dosimeter.results.policy.check import Check, FailedGate
from dosimeter.results.policy.decisions import Outcome
from dosimeter.results.rows import ALWAYS_TOLD, Key, Row, clean
from dosimeter.results.standards import Entry, all_entries, entries
from dosimeter.results.upgrade import MEMBERSHIP

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
KINDS: Mapping[str, tuple[str, str]] = {
    "met": ("pass", "none"),
    "exceeded": ("fail", "error"),
    "undecided": ("open", "none"),
    "not_applicable": ("notApplicable", "none"),
    "refused": ("notApplicable", "none"),
    "withdrawn": ("fail", "error"),
}
"""Kind and level for each status; a level other than "none" is for failures only."""

FINDINGS = ("fail", "open", "pass")
"""Kinds of results that name the list entries they belong to; for other kinds the rule names them."""


def sarif(check: Check, result: Mapping[str, Any]) -> str:
    """A check as the text of a SARIF file.

    Args:
        check: of `dosimeter.results.policy.check.check`.
        result: the result.json that was checked; numbers without a limit are listed for information.
    """
    limited = {outcome.row.key for outcome in check.outcomes if outcome.row.ok or outcome.row.counted[0]}
    found = [
        *(_of_gate(gate) for gate in check.gates),
        *(_of_outcome(outcome) for outcome in check.outcomes),
        *(_of_line(line) for line in lines(result) if line.key not in limited),
    ]
    rules = {rule: key for rule, key, _ in found}
    order = {rule: index for index, rule in enumerate(sorted(rules))}
    run = {
        "columnKind": "unicodeCodePoints",
        "properties": {
            "audit": clean(result["name"]),
            "auditKey": clean(result["audit_key"]),
            "passed": check.passed,
            "verdict": result["verdict"]["status"],
        },
        "results": [{**one, "ruleIndex": order[rule]} for rule, _, one in found],
        "taxonomies": [_taxonomy(source) for source in _sources()],
        "tool": {
            "driver": {
                "name": "dosimeter",
                "rules": [_rule(rule, rules[rule]) for rule in order],
                "supportedTaxonomies": [_component(source) for source in _sources()],
                "version": __version__,
            }
        },
    }
    document = {"$schema": SCHEMA, "runs": [run], "version": "2.1.0"}
    return json.dumps(document, indent=1, sort_keys=True, allow_nan=False) + "\n"


Found = tuple[str, Key | None, dict[str, Any]]
"""Id of the rule, the row (None for checks of the audit), and the result without its rule's index."""


def _of_outcome(outcome: Outcome) -> Found:
    """A result for a limit and its number."""
    kind, level = KINDS[outcome.status]
    if outcome.status == "undecided" and outcome.fails:
        kind, level = "fail", "warning"
    limit = outcome.limit
    more = {
        "limit": outcome.name,
        "max": None if limit is None else limit.max,
        "min": None if limit is None else limit.min,
        "status": outcome.status,
        "undecided": outcome.undecided,
    }
    rule = _rule_id(outcome.row.key)
    return rule, outcome.row.key, _result(rule, kind, level, outcome.line, outcome.row, more)


def _of_line(line: Line) -> Found:
    """A result for a number without a limit."""
    rule, text = _rule_id(line.key), f"no limit: {line.who}, {line.key.what}: {line.row.said}"
    return rule, line.key, _result(rule, "informational", "none", text, line.row, {"control": line.control})


def _of_gate(gate: FailedGate) -> Found:
    """A result for a failed check of the audit itself."""
    rule = f"audit/{_segment(gate.id)}"
    return rule, None, _plain(rule, "fail", "error", gate.line, {"status": gate.status, "threat": gate.threat or None})


def _result(rule: str, kind: str, level: str, text: str, row: Row, more: Mapping[str, Any]) -> dict[str, Any]:
    """A result about a number."""
    numbers = {**{name: getattr(row, name) for name in ("value", "low", "high")}, "n": row.counted[0]}
    key = {name: clean(value) if isinstance(value, str) else value for name, value in row.key.to_json().items()}
    properties = {**key, **numbers, "nTargets": row.n_targets, "rowStatus": row.status, **more}
    found = _plain(rule, kind, level, text, properties, row.conditions.keys())
    taxa = [_reference(entry) for entry in entries(row.key.family) if kind in FINDINGS]
    return found | ({"taxa": taxa} if taxa else {})


def _plain(
    rule: str, kind: str, level: str, text: str, properties: Mapping[str, Any], conditions: Collection[str] = ()
) -> dict[str, Any]:  # fmt: skip
    """Fields that every result has."""
    known = {name: value for name, value in properties.items() if value is not None}
    names = ("family", "stage", "variant", "attack", "metric", "fpr", "prior", "group", "threshold", "split", "limit")
    unit = [known["unit"]] if "unit" in known else []
    further = {name: known[name] for name in sorted(conditions) if name not in ALWAYS_TOLD}
    # The only threat of older results keeps the prints that it had then.
    threat = [known["threat"]] if known.get("threat", MEMBERSHIP) != MEMBERSHIP else []
    same = json.dumps([rule, *(known.get(name) for name in names), *unit, *threat, *further.items()])
    return {
        "kind": kind,
        "level": level,
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": "result.json"}, "region": {"startLine": 1}}}],
        "message": {"text": _message(text)},
        "partialFingerprints": {"question/v1": hashlib.sha256(same.encode()).hexdigest()[:32]},
        "properties": known,
        "ruleId": rule,
    }


def _message(text: str) -> str:
    """Text without placeholders and links: SARIF interprets `{0}` and `[words](place)`."""
    return clean(text).replace("{", "{{").replace("}", "}}").replace("](", "] (")


def _rule_id(key: Key) -> str:
    """A stable rule id for each attack and metric."""
    parts = (key.family, key.attack, key.metric) if key.attack is not None else (key.family, key.metric)
    return "/".join(_segment(part) for part in parts)


def _segment(text: str) -> str:
    """A part of a rule's id; slashes separate parts."""
    return clean(text).replace("/", "|")


def _rule(rule: str, key: Key | None) -> dict[str, Any]:
    """The description of a rule."""
    if key is None:
        return {"id": rule, "shortDescription": {"text": "A check of the audit itself."}}
    about = "A utility of the model" if key.attack is None else f"What the attack {clean(key.attack)} finds"
    related = [{"kinds": [entry.fit], "target": _reference(entry)} for entry in entries(key.family)]
    described = {"id": rule, "shortDescription": {"text": _message(f"{about}: {key.metric}.")}}
    return {**described, "relationships": related} if related else described


def _sources() -> list[str]:
    """The lists that findings map to, in a fixed order."""
    return sorted({entry.source for entry in all_entries()})


def _of(source: str) -> list[Entry]:
    """The entries of one list, each id once: families may fit the same entry in different ways."""
    return list({entry.id: entry for entry in all_entries() if entry.source == source}.values())


def _component(source: str) -> dict[str, Any]:
    return {"index": _sources().index(source), "name": source}


def _reference(entry: Entry) -> dict[str, Any]:
    """Reference to an entry, for rules and results."""
    index = [one.id for one in _of(entry.source)].index(entry.id)
    return {"id": entry.id, "index": index, "toolComponent": _component(entry.source)}


def _taxonomy(source: str) -> dict[str, Any]:
    """One public list, with the entries that are referenced."""
    listed = _of(source)
    return {
        "isComprehensive": False,
        "name": source,
        "organization": listed[0].publisher,
        "shortDescription": {"text": "Entries that findings of dosimeter map to. A mapping certifies nothing."},
        "taxa": [_taxon(entry) for entry in listed],
        "version": listed[0].version,
    }


def _taxon(entry: Entry) -> dict[str, Any]:
    return {"id": entry.id, "shortDescription": {"text": entry.name}}
