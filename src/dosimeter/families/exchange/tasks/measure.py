"""Findings of a threat about tasks, from evidence and truth alone, and differences of variants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from dosimeter.families.exchange.measures.checks import controls, directed, gain_of, null_audit, null_gate, worth_it
from dosimeter.families.exchange.measures.measured import LEVEL, Measured
from dosimeter.families.exchange.measures.shown import Decisions
from dosimeter.families.exchange.measures.utility import change, utility, worth
from dosimeter.families.exchange.metrics import METRICS
from dosimeter.families.exchange.sentences.first_page import failed_names
from dosimeter.families.exchange.sentences.tasks import not_tested, sentences
from dosimeter.families.exchange.stored import read_left
from dosimeter.families.exchange.threat import NAME
from dosimeter.families.family import CaseFolder
from dosimeter.foundation.gate import Gate
from dosimeter.results.findings import Findings, FoundDose, found_dose
from dosimeter.results.rows import Row
from dosimeter.statistics.intervals.crossed import Interval
from dosimeter.statistics.leakage.attributes import auc_gain


def measure_tasks(folder: CaseFolder) -> Findings:
    """What a case came to. Tasks stand where steps stand for a property, and halves of them for its sides.

    Args:
        folder: what the run left of it.

    Raises:
        StoreError: an array is missing or damaged.
    """
    found = Measured(read_left(folder))
    tests, nulls = Decisions(found), null_audit(found)
    gates = (worth_it(found), null_gate(nulls), controls(found), *directed(found, tests.all))
    summary, head = folder.summary, tests.headline
    status, details = _status(tests, gates), _details(found, tests)
    told = {**summary["threat"], "noun": summary["noun"], "failed": failed_names(gates), "details": details}
    return Findings(
        verdict={"status": status, "attack": head.attack, "sentences": sentences(status, told), "p": head.p},
        estimates=(*_rows(found), *worth(found)),
        attacks=tuple({**one, "headline": one["id"] == head.attack} for one in summary["attacks"]),
        utility=tuple(utility(found)),
        gates=gates,
        null_audit=tuple(replace(one, metric="task_auc") for one in nulls),
        details=details,
        not_tested=not_tested(summary),
        data=summary["data"],
        adversary=summary["threat"],
        dose=_dose(found, tests) if status in ("shown", "not_shown") else None,
    )


def compare_tasks(cases: Mapping[str, CaseFolder]) -> tuple[Row, ...]:
    """Rows of `task_auc_change` and of the accuracy, for each variant with the same halves.

    Args:
        cases: by id of the variant, "none" first.
    """
    found = {name: Measured(read_left(case)) for name, case in cases.items()}
    before, rows = found.pop("none"), list[Row]()
    for name, after in found.items():
        if not np.array_equal(after.left.truth["coins"], before.left.truth["coins"]):
            continue  # other halves cannot be paired
        for attack in before.telling():
            if attack in after.left.evidence:
                pair = after.guesses(attack, 0), before.guesses(attack, 0)
                gain = auc_gain(*pair, before.coins(0), before.steps, level=LEVEL)
                rows.append(_row(before, attack, "task_auc_change", gain, name))
        rows += change(after, before, name)
    return tuple(rows)


def _status(tests: Decisions, gates: Sequence[Gate]) -> str:
    """Status of the verdict."""
    if any(gate.status == "fail" for gate in gates):
        return "withdrawn"
    if any(one.shown for one in tests.all):
        return "shown"
    return "not_resolvable" if tests.needed >= 1 else "not_shown"


def _details(found: Measured, tests: Decisions) -> dict[str, Any]:
    """What only this question has."""
    head, level, gain = tests.headline, tests.choice_level, gain_of(found)
    auc = found.auc(head.attack, 0, level)
    yardsticks = [one for one in found.left.evidence if found.left.attack(one).get("reference")]
    return {
        "headline": {
            "attack": head.attack, "value": auc.value, "low": auc.low, "high": auc.high, "level": level,
            "method": auc.method, "untrained": found.auc(yardsticks[0], 0).value if yardsticks else None,
        },
        "tests": [
            {"attack": one.attack, "auc": one.effect, "p_chance": one.p_chance, "p": one.p, "shown": one.shown}
            for one in tests.all
        ],
        "gain": None if gain is None else {"value": gain.value, "low": gain.low, "high": gain.high},
        "needed": tests.needed,
    }  # fmt: skip


def _dose(found: Measured, tests: Decisions) -> FoundDose | None:
    """The dose of the headline."""
    return found_dose(tests.headline.attack, found.dose(tests.headline.attack, 0, tests.choice_level))


def _rows(found: Measured) -> Iterator[Row]:
    """All numbers of all attacks."""
    for attack in found.left.evidence:
        doubt = found.doubt(attack, 0)
        yield replace(_row(found, attack, "task_auc", found.auc(attack, 0)), doubt=doubt)
        dose = found.dose(attack, 0)
        if dose.value is not None and dose.low is not None and dose.high is not None:
            ends = Interval(max(0.0, dose.value), dose.low, dose.high, dose.method)
            yield replace(_row(found, attack, "task_dose", ends), doubt=doubt)


def _row(found: Measured, attack: str, metric: str, one: Interval, variant: str = "none") -> Row:
    """One number of one attack."""
    threat = found.left.summary["threat"]
    return Row(
        threat=NAME, family=NAME, stage=str(threat["at_risk"]), variant=variant, attack=attack, metric=metric,
        unit=METRICS[metric].unit, conditions={}, value=one.value, low=one.low, high=one.high, level=LEVEL,
        method=one.method, n={"tasks": found.batches}, n_targets=int(threat["targets"]),
    )  # fmt: skip
