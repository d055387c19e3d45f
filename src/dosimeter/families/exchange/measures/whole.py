"""Findings of a question whose secrets are no batches: of tasks, and of the distribution of all records."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dosimeter.families.exchange.measures.checks import controls, directed, gain_of, null_audit, null_gate, worth_it
from dosimeter.families.exchange.measures.held import held_gate
from dosimeter.families.exchange.measures.measured import LEVEL, Measured
from dosimeter.families.exchange.measures.shown import Decisions
from dosimeter.families.exchange.measures.utility import change, utility, worth
from dosimeter.families.exchange.metrics import METRICS
from dosimeter.families.exchange.sentences.first_page import failed_names, others_not_tested, who
from dosimeter.families.exchange.stored import read_left
from dosimeter.families.exchange.threat import NAME
from dosimeter.families.family import CaseFolder
from dosimeter.foundation.gate import Gate
from dosimeter.results.findings import Findings, FoundDose, found_dose
from dosimeter.results.rows import Row
from dosimeter.statistics.intervals.crossed import Interval
from dosimeter.statistics.leakage.attributes import auc_gain


@dataclass(frozen=True)
class Whole:
    """How such a question names its numbers, and says them. Secrets stand where steps stand for a property.

    Attributes:
        auc: metric of how often an attack tells two secrets apart.
        dose: metric of the bits about one.
        change: metric of the difference of a variant.
        counted: what `n` of a row counts.
        unit: one secret, in a word.
        yardstick: whether the encoder before the training stands beside the attacks.
        over: what intervals are about where secrets are trainings; empty where they are of one training.
        sentences: the verdict in words, from its status and what was found.
        not_tested: what an audit leaves open, beside parties whose records it does not ask for.
    """

    auc: str
    dose: str
    change: str
    counted: str
    unit: str
    yardstick: bool
    over: str
    sentences: Callable[[str, Mapping[str, Any]], list[str]]
    not_tested: tuple[str, ...]

    def measure(self, folder: CaseFolder) -> Findings:
        """What a case came to.

        Args:
            folder: what the run left of it.

        Raises:
            StoreError: an array is missing or damaged.
        """
        found = Measured(read_left(folder))
        tests, nulls = Decisions(found), null_audit(found)
        summary, head = folder.summary, tests.headline
        both = held_gate(summary, shown=any(one.shown for one in tests.all))
        gates = (worth_it(found), *both, null_gate(nulls), controls(found), *directed(found, tests.all))
        status, details = _status(tests, gates), self._details(found, tests)
        told = {**summary["threat"], "noun": summary["noun"], "failed": failed_names(gates), "details": details}
        return Findings(
            verdict={"status": status, "attack": head.attack, "sentences": self.sentences(status, told), "p": head.p},
            estimates=(*self._rows(found), *worth(found)),
            attacks=tuple({**one, "headline": one["id"] == head.attack} for one in summary["attacks"]),
            utility=tuple(utility(found)),
            gates=gates,
            null_audit=tuple(replace(one, metric=self.auc) for one in nulls),
            details=details,
            not_tested=(*self.not_tested, *others_not_tested(summary)),
            data=summary["data"],
            adversary=summary["threat"],
            dose=_dose(found, tests) if status in ("shown", "not_shown") else None,
            who=who(summary["threat"]),
            unit=self.unit,
        )

    def compare(self, cases: Mapping[str, CaseFolder]) -> tuple[Row, ...]:
        """Differences of AUCs and of the accuracy, for each variant with the same secrets.

        Args:
            cases: by id of the variant, "none" first.
        """
        found = {name: Measured(read_left(case)) for name, case in cases.items()}
        before, rows = found.pop("none"), list[Row]()
        for name, after in found.items():
            if not np.array_equal(after.left.truth["coins"], before.left.truth["coins"]):
                continue  # other secrets cannot be paired
            for attack in before.telling():
                if attack in after.left.evidence:
                    pair = after.guesses(attack, 0), before.guesses(attack, 0)
                    gain = auc_gain(*pair, before.coins(0), before.steps, level=LEVEL)
                    rows.append(self._row(before, attack, self.change, gain, name))
            rows += change(after, before, name)
        return tuple(rows)

    def _rows(self, found: Measured) -> Iterator[Row]:
        """All numbers of all attacks."""
        for attack in found.left.evidence:
            doubt = found.doubt(attack, 0)
            yield replace(self._row(found, attack, self.auc, found.auc(attack, 0)), doubt=doubt)
            dose = found.dose(attack, 0)
            if dose.value is not None and dose.low is not None and dose.high is not None:
                ends = Interval(max(0.0, dose.value), dose.low, dose.high, dose.method)
                yield replace(self._row(found, attack, self.dose, ends), doubt=doubt)

    def _row(self, found: Measured, attack: str, metric: str, one: Interval, variant: str = "none") -> Row:
        """One number of one attack."""
        threat = found.left.summary["threat"]
        return Row(
            threat=NAME, family=NAME, stage=str(threat["at_risk"]), variant=variant, attack=attack, metric=metric,
            unit=METRICS[metric].unit, conditions={}, value=one.value, low=one.low, high=one.high, level=LEVEL,
            method=self._method(one.method), n={self.counted: found.batches}, n_targets=int(threat["targets"]),
        )  # fmt: skip

    def _details(self, found: Measured, tests: Decisions) -> dict[str, Any]:
        """What only such a question has."""
        head, level, gain = tests.headline, tests.choice_level, gain_of(found)
        auc = found.auc(head.attack, 0, level)
        before = [one for one in found.left.evidence if found.left.attack(one).get("reference")]
        untrained = {"untrained": found.auc(before[0], 0).value if before else None} if self.yardstick else {}
        return {
            "headline": {
                "attack": head.attack, "value": auc.value, "low": auc.low, "high": auc.high, "level": level,
                "method": self._method(auc.method), **untrained,
            },
            "tests": [
                {"attack": one.attack, "auc": one.effect, "p_chance": one.p_chance, "p": one.p, "shown": one.shown}
                for one in tests.all
            ],
            "gain": None if gain is None else {"value": gain.value, "low": gain.low, "high": gain.high},
            "needed": tests.needed,
        }  # fmt: skip

    def _method(self, name: str) -> str:
        """Name of a method, which says of one training that the records of it are what varies."""
        return name.replace("clustered records, this trained model only", self.over) if self.over else name


def _status(tests: Decisions, gates: Sequence[Gate]) -> str:
    """Status of the verdict."""
    if any(gate.status == "fail" for gate in gates):
        return "withdrawn"
    if any(one.shown for one in tests.all):
        return "shown"
    return "not_resolvable" if tests.needed >= 1 else "not_shown"


def _dose(found: Measured, tests: Decisions) -> FoundDose | None:
    """The dose of the headline."""
    return found_dose(tests.headline.attack, found.dose(tests.headline.attack, 0, tests.choice_level))
