"""A check as JUnit XML of the junit-10 family: one suite for each threat, family and variant, one case for each.

No times, no hosts: the same check gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from xml.etree import ElementTree as ET

from dosimeter.results.policy.check import Check, FailedGate
from dosimeter.results.policy.decisions import Outcome
from dosimeter.results.rows import clean
from dosimeter.results.standards import entries

AUDIT = "the audit itself"
"""Name of the suite of the audit's own checks, which comes before all limits."""


def junit(check: Check, result: Mapping[str, Any]) -> str:
    """A check as the text of a JUnit file.

    Args:
        check: of `dosimeter.results.policy.check.check`.
        result: the result.json that was checked.
    """
    root = ET.Element("testsuites", name=clean(f"dosimeter {result['name']}"))
    if check.gates:
        suite = ET.SubElement(root, "testsuite", name=AUDIT)
        for gate in check.gates:
            _gate(suite, gate)
    several = len(result["threats"]) > 1
    names = dict.fromkeys(_suite(one) for one in check.outcomes)
    for threat, family, variant in names:
        whose = f", threat {threat}" if several else ""
        suite = ET.SubElement(root, "testsuite", name=clean(f"{family}, variant {variant}{whose}"))
        _maps_to(suite, family)
        for outcome in [one for one in check.outcomes if _suite(one) == (threat, family, variant)]:
            _outcome(suite, outcome)
    for suite in root:
        _count(suite)
    for kind in ("tests", "failures", "errors"):
        root.set(kind, str(sum(int(suite.get(kind, "0")) for suite in root)))
    ET.indent(root, " ")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _suite(outcome: Outcome) -> tuple[str, str, str]:
    """Threat, family and variant of an outcome."""
    return outcome.row.threat, outcome.row.family, outcome.row.variant


def _maps_to(suite: ET.Element, family: str) -> None:
    """Adds the public lists; junit-10 has properties on suites only."""
    mapped = entries(family)
    if mapped:
        properties = ET.SubElement(suite, "properties")
        for index, entry in enumerate(mapped):
            ET.SubElement(properties, "property", name=f"maps-to.{index}", value=clean(entry.line))


def _outcome(suite: ET.Element, outcome: Outcome) -> None:
    """One case; it has no child if the limit is met."""
    key, source = outcome.row.key, outcome.source
    where = ".".join(clean(part).replace(".", "_") for part in (key.family, key.stage, key.attack or "model") if part)
    case = ET.SubElement(suite, "testcase", classname=where, name=clean(f"{outcome.name}: {source.who}"))
    if outcome.status == "withdrawn":
        kind = "error"
    elif outcome.fails:
        kind = "failure"
    elif outcome.status == "met":
        return
    else:
        kind = "skipped"
    child = ET.SubElement(case, kind, message=clean(outcome.line), type=outcome.status)
    child.text = clean(outcome.line)


def _gate(suite: ET.Element, gate: FailedGate) -> None:
    """A check of the audit itself, as an error, since it says nothing about the model."""
    case = ET.SubElement(suite, "testcase", classname="audit", name=clean(f"{gate.id} {gate.name}"))
    kind = "error" if gate.status == "fail" else "failure"
    ET.SubElement(case, kind, message=clean(gate.line), type=gate.status).text = clean(gate.line)


def _count(suite: ET.Element) -> None:
    """Sets the counts that readers sum up."""
    cases = suite.findall("testcase")
    suite.set("tests", str(len(cases)))
    for kind, name in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        suite.set(name, str(_having(cases, kind)))


def _having(cases: Iterable[ET.Element], kind: str) -> int:
    return sum(case.find(kind) is not None for case in cases)
