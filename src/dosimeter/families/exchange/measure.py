"""Findings from evidence and truth: every number of the report, once, without any model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dosimeter.families.exchange.measures.checks import (
    controls,
    directed,
    gain_of,
    null_audit,
    null_gate,
    tied,
    worth_it,
)
from dosimeter.families.exchange.measures.held import held_gate
from dosimeter.families.exchange.measures.measured import Measured
from dosimeter.families.exchange.measures.recorded import NOT_ASKED, counted_gate, order_gate, record_gate, recorded_of
from dosimeter.families.exchange.measures.shown import Decisions
from dosimeter.families.exchange.measures.utility import utility, worth
from dosimeter.families.exchange.sentences.first_page import failed_names, not_tested, sentences, who
from dosimeter.families.exchange.stored import read_left
from dosimeter.families.family import CaseFolder
from dosimeter.foundation.gate import Gate
from dosimeter.results.findings import Findings, FoundDose, found_dose


def measure(folder: CaseFolder) -> Findings:
    """What a case came to.

    Args:
        folder: what the run left of it.

    Raises:
        StoreError: an array is missing or damaged.
    """
    found = Measured(read_left(folder))
    tests, recorded = Decisions(found), recorded_of(found) is not None
    nulls = () if recorded else null_audit(found)
    shown = any(one.shown for one in tests.all)
    asked = (order_gate(found), record_gate(found), *counted_gate(found, shown=shown)) if recorded else ()
    of_kind = asked or (null_gate(nulls),)
    summary, head = folder.summary, tests.headline
    both = held_gate(summary, shown=shown)
    gates = (worth_it(found), tied(found), *both, *of_kind, controls(found), *directed(found, tests.all))
    status = _status(tests, gates)
    details = _details(found, tests)
    told = {**summary["threat"], "noun": summary["noun"], "auxiliary_records": summary["data"]["auxiliary"],
            "failed": failed_names(gates), "needed": tests.needed, "headline": details["headline"],
            "above_chance": head.above_chance, "gain": details["gain"]}  # fmt: skip
    return Findings(
        verdict={"status": status, "attack": head.attack, "sentences": sentences(status, told), "p": head.p},
        estimates=(*found.rows(), *worth(found)),
        attacks=tuple({**one, "headline": one["id"] == head.attack} for one in summary["attacks"]),
        utility=tuple(utility(found)),
        gates=gates,
        gates_not_asked=(NOT_ASKED,) if recorded else (),
        null_audit=nulls,
        details=details,
        not_tested=not_tested(summary),
        data=summary["data"],
        adversary=summary["threat"],
        dose=_dose(found, tests) if status in ("shown", "not_shown") else None,
        who=who(summary["threat"]),
        unit="batch",
    )


def _status(tests: Decisions, gates: Sequence[Gate]) -> str:
    """Status of the verdict."""
    if any(gate.status == "fail" for gate in gates):
        return "withdrawn"
    if any(one.shown for one in tests.all):
        return "shown"
    return "not_resolvable" if tests.hopeless or tests.needed >= 1 else "not_shown"


def _details(found: Measured, tests: Decisions) -> dict[str, Any]:
    """What only this family has."""
    head, gain = tests.headline, gain_of(found)
    level = tests.choice_level
    auc = found.auc(head.attack, head.mixture, level)
    return {
        "headline": {
            "attack": head.attack, "mixture": head.name, "channel": found.left.attack(head.attack)["channel"],
            "value": auc.value, "low": auc.low, "high": auc.high, "level": level, "method": auc.method,
            "labels": head.floor,
        },
        "tests": [one.to_json() for one in tests.all],
        "correlation": float(found.left.summary["data"]["correlation"]),
        "gain": None if gain is None else {"value": gain.value, "low": gain.low, "high": gain.high},
        "needed": tests.needed,
    }  # fmt: skip


def _dose(found: Measured, tests: Decisions) -> FoundDose | None:
    """The dose of the headline, with that of the labels as its floor."""
    head = tests.headline
    floor = found.floor(head.mixture)
    least = 0.0 if floor is None else found.dose(floor, head.mixture).value or 0.0
    return found_dose(head.attack, found.dose(head.attack, head.mixture, tests.choice_level), max(0.0, least))
