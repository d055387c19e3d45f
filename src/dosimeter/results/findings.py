"""What one threat came to: the form in which every family of attack hands over what it measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from dosimeter.foundation.gate import Gate
from dosimeter.results.rows import Row
from dosimeter.statistics.dose.dose import Dose

if TYPE_CHECKING:
    from dosimeter.statistics.intervals.crossed import Interval

FALSE_ALARM = 0.01
"""Probability that the null audit, or the check of controls, fails although nothing is wrong, over all attacks."""


@dataclass(frozen=True)
class FoundDose:
    """The dose of a threat's headline attack, in bits about one record.

    Attributes:
        attack: id of the headline attack.
        value: the estimate; a reader that does worse than the prior tells nothing, 0.
        low: shown at least.
        high: not excluded up to.
        level: two-sided confidence level of both ends.
        ceiling: all that there is to tell.
        floor: what the trivial attack tells; 0 if it knows no more than the prior.
    """

    attack: str
    value: float
    low: float
    high: float
    level: float
    ceiling: float
    floor: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """The dose as result.json holds it, with the chance of the truth knowing nothing and with the evidence."""
        return {
            "shown": self.low,
            "not_excluded": self.high,
            "floor": self.floor,
            "ceiling": self.ceiling,
            "value": self.value,
            "level": self.level,
            "attack": self.attack,
            "chance_before": chance(self.ceiling, 0.0),
            "chance_after": chance(self.ceiling, self.value),
        }


def found_dose(attack: str, dose: Dose, floor: float = 0.0) -> FoundDose | None:
    """The dose of a threat's headline attack; None without a number.

    Args:
        attack: id of the attack.
        dose: what was measured.
        floor: what the trivial attack tells.
    """
    if dose.value is None or dose.low is None or dose.high is None:
        return None
    return FoundDose(attack, max(0.0, dose.value), dose.low, dose.high, dose.level, dose.ceiling, floor)


def chance(ceiling: float, dose: float) -> float:
    """The chance that the truth is given, in the geometric mean over records.

    Args:
        ceiling: all that there is to tell, in bits.
        dose: what is told of it.

    >>> chance(1.0, 0.0), chance(3.0, 1.0)
    (0.5, 0.25)
    """
    return float(2.0 ** (dose - ceiling))


@dataclass(frozen=True)
class Null:
    """An attack where there is nothing to find.

    Attributes:
        attack: its id.
        value: its metric there; None if it has none.
        low: lower end of the interval, or None.
        high: upper end, or None.
        status: "pass" or "fail".
        metric: what was measured.
    """

    attack: str
    value: float | None
    low: float | None
    high: float | None
    status: str
    metric: str = "auc"


def null_row(attack: str, p: float, shown: Interval, metric: str, attacks: int) -> Null:
    """An attack where there is nothing to find, judged with the number of attacks allowed for.

    Args:
        attack: its id.
        p: two-sided p-value of chance.
        shown: its metric there.
        metric: name of the metric.
        attacks: number of attacks of the null audit.
    """
    status = "fail" if p <= FALSE_ALARM / attacks else "pass"
    return Null(attack, shown.value, shown.low, shown.high, status, metric)


FAR_WORSE = 1.1
"""Squared error, in units of the mean record's, above which an attack failed; features that tell nothing cost less."""


def exchanges_for(tests: int) -> int:
    """Random exchanges of each side, enough that one of so many tests of chance can fail.

    The smallest p-value of a test is three over one more than the exchanges, for three statistics.

    Args:
        tests: their number, over all attacks and secrets.

    >>> exchanges_for(1), exchanges_for(40)
    (9999, 24000)
    """
    return max(9_999, round(6 * tests / FALSE_ALARM))


def null_decision(rows: Sequence[Null], where: str) -> Gate:
    """N1: the decision on the null audit.

    Args:
        rows: of all attacks.
        where: where attacks must be at chance.
    """
    wrong = [row.attack for row in rows if row.status != "pass"]
    if wrong:
        return Gate(
            "N1", "Null audit", "fail", float(len(wrong)),
            f"Not at chance {where}: {', '.join(wrong)}. The audit is broken, and its numbers are withdrawn.",
        )  # fmt: skip
    return Gate("N1", "Null audit", "pass", 0.0, f"All {len(rows)} attacks are at chance {where}.")


def controls_gate(ids: Sequence[str], wrong: Sequence[str], gives: str) -> Gate:
    """N2: controls must be at chance.

    Args:
        ids: of the controls that were run.
        wrong: those that are not at chance.
        gives: what the audit does then, in words.
    """
    if not ids:
        return Gate("N2", "Controls", "warn", 0.0, "No control attack was run.")
    if wrong:
        return Gate(
            "N2", "Controls", "fail", float(len(wrong)),
            f"{', '.join(wrong)} must be at chance and is not: the audit {gives}.",
        )  # fmt: skip
    return Gate("N2", "Controls", "pass", 0.0, "All controls are at chance.")


@dataclass(frozen=True)
class Findings:
    """What a threat came to.

    Attributes:
        verdict: status, headline attack, sentences, answers, and what else the family's part of the schema says.
        estimates: numbers about the leak.
        attacks: what ran, what was refused, and which one is the headline.
        utility: numbers about how well the model does its task.
        gates: checks of the audit that concern this threat.
        gates_not_asked: id and reason of checks that had nothing to test.
        null_audit: each attack again, where there is nothing to find.
        details: what only this family has; its own part of the schema holds it.
        not_tested: one sentence each.
        data: the records.
        adversary: what the adversary knows, holds and sees.
        dose: None where the family has no way to tell it.
        who: the adversary in a few words, as they stand within a sentence, such as "the party “b”".
        unit: what one secret is about, such as "batch"; empty for a record.
    """

    verdict: Mapping[str, Any]
    estimates: tuple[Row, ...]
    attacks: tuple[Mapping[str, Any], ...]
    utility: tuple[Row, ...] = ()
    gates: tuple[Gate, ...] = ()
    gates_not_asked: tuple[Mapping[str, str], ...] = ()
    null_audit: tuple[Null, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    not_tested: tuple[str, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)
    adversary: Mapping[str, Any] = field(default_factory=dict)
    dose: FoundDose | None = None
    who: str = ""
    unit: str = ""

    def of_threat(self, threat: str) -> Findings:
        """The findings with every row under a threat's id."""
        estimates, utility = (
            tuple(replace(row, threat=threat) for row in rows) for rows in (self.estimates, self.utility)
        )
        return replace(self, estimates=estimates, utility=utility)
