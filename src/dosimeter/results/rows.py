"""One number of a result: every estimate and every utility is written and read as a `Row`, in this file alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from dosimeter.foundation.wording import one_line
from dosimeter.results import words
from dosimeter.results.metrics import UTILITY

EXPOSURE = "exposure"
"""Metric of the highest exposure of any record, person or group."""
DOSE = "dose"
"""Metric of what an attack tells about one record, in bits, in every family."""
LOG_MIA = "log_mia"
"""Metric that depends on the number of records: rows of different counts are never compared."""
DECIDED = "nonmember_decisions"
"""Count of decisions on non-members, summed over targets."""
APART = "Log-MIA depends on the numbers of members and non-members, which differ"
"""Why two of them are not compared."""
HEADLINE = "headline"
"""Stands for the attack that was chosen in rehearsal."""
ORACLE = "oracle"
"""Name of the threshold that no adversary has."""
COUNTED: Mapping[str, str] = {"nonmembers": "distinct non-members"}
"""Counts of distinct units on which an interval rests, with their words if the name is not plain."""
ALWAYS_TOLD = ("fpr", "prior", "threshold", "split", "unit")
"""Conditions that machines find with every row, absent ones as null, as they did before rows had other ones."""
Condition = float | int | str


@dataclass(frozen=True)
class Key:
    """Identity of a row: two rows of two results with equal keys answer the same question.

    Attributes:
        threat: id of the threat.
        family: such as "membership"; "utility" for a utility.
        stage: at risk.
        variant: variant of the model, "none" without defense.
        attack: id, `HEADLINE` for an exposure, or None for a utility.
        metric: such as "tpr".
        group: or None.
        conditions: name and value, sorted; rates are rounded so that equal ones compare equal.
    """

    threat: str
    family: str
    stage: str
    variant: str
    attack: str | None
    metric: str
    group: str | None = None
    conditions: tuple[tuple[str, Condition], ...] = ()

    def get(self, name: str) -> Any:
        """The value of a condition, or None."""
        return dict(self.conditions).get(name)

    @property
    def what(self) -> str:
        """The metric with what it depends on.

        >>> Key("m", "membership", "s", "none", "a", "precision", None, (("fpr", 0.01), ("prior", 0.1))).what
        'precision at 1 %, prior 10 %'
        >>> Key("m", "membership", "s", "none", HEADLINE, EXPOSURE, None, (("fpr", 0.01), ("unit", "person"))).what
        'highest exposure of any person at 1 %'
        >>> Key("f", "inversion", "s", "none", "a", "feature", None, (("cut", "block2"),)).what
        'feature, cut block2'
        """
        had = dict(self.conditions)
        text = "highest exposure" if self.metric == EXPOSURE else self.metric.replace("_", " ")
        if "unit" in had:
            text += f" of any {had.pop('unit')}"
        if "fpr" in had:
            text += f" at {exact('share', float(had.pop('fpr')))}"
        if "prior" in had:
            text += f", prior {exact('share', float(had.pop('prior')))}"
        if had.pop("threshold", None) == ORACLE:
            text += ", oracle threshold"
        split = had.pop("split", None)
        text += "".join(f", {name} {words.setting(value)}" for name, value in had.items())
        return f"{text} on {split} records" if split is not None else text

    def to_json(self) -> dict[str, Any]:
        """The key for machines, its conditions beside its other parts."""
        names = ("threat", "family", "stage", "variant", "attack", "metric", "group")
        return {**{name: getattr(self, name) for name in names}, **dict.fromkeys(ALWAYS_TOLD), **dict(self.conditions)}


@dataclass(frozen=True)
class Row:
    """One number, or the reason why there is none.

    Attributes:
        threat: id of the threat.
        family: such as "membership"; "utility" for a utility.
        stage: at risk.
        variant: variant of the model, "none" without defense.
        attack: id; None for a utility.
        metric: such as "tpr".
        unit: what the number is in, such as "share" or "auc".
        group: the group whose records alone were measured, None for all.
        conditions: what the number holds for, such as a nominal false positive rate or the origin of a threshold.
        value: the estimate; None unless ok.
        low: "shown at least"; None unless ok.
        high: "not excluded up to"; None unless ok.
        level: two-sided confidence level of both ends.
        method: of the interval.
        n: counts by name, such as members, nonmembers, records, persons, classes, images.
        n_targets: targets measured; trainings judged of an exposure.
        status: "ok", "not_resolvable", "refused", "withdrawn".
        reason: why there is no number, or a remark.
        grade_shown: grade of the leak that is shown, of metrics that are graded; None of others.
        grade_not_excluded: grade that is not excluded; None of others.
        doubt: why the number meets no limit although it is low enough, such as that its attack failed; else empty.
    """

    threat: str
    family: str
    stage: str
    variant: str
    attack: str | None
    metric: str
    unit: str = "share"
    group: str | None = None
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    value: float | None = None
    low: float | None = None
    high: float | None = None
    level: float = 0.95
    method: str = ""
    n: Mapping[str, int] = field(default_factory=dict)
    n_targets: int = 0
    status: str = "ok"
    reason: str = ""
    grade_shown: str | None = None
    grade_not_excluded: str | None = None
    doubt: str = ""

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Row:
        """The row that a valid result.json holds."""
        return cls(**{one.name: written[one.name] for one in fields(cls) if one.name in written})

    def to_json(self) -> dict[str, Any]:
        """The row as result.json holds it."""
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        if self.grade_shown is None:
            del found["grade_shown"], found["grade_not_excluded"]
        if not self.doubt:
            del found["doubt"]
        return {**found, "conditions": dict(self.conditions), "n": dict(self.n)}

    @property
    def key(self) -> Key:
        """Identity of the row; an exposure is that of whichever attack leads."""
        attack = HEADLINE if self.metric == EXPOSURE else self.attack
        conditions = tuple(sorted((name, _rounded(value)) for name, value in self.conditions.items()))
        return Key(
            self.threat, self.family, self.stage, self.variant, attack, self.metric, self.group, conditions
        )  # fmt: skip

    @property
    def ok(self) -> bool:
        """Returns whether there is a number."""
        return self.status == "ok" and None not in (self.value, self.low, self.high)

    @property
    def ends(self) -> tuple[float, float, float]:
        """Value, low and high of a row that is ok."""
        assert self.value is not None
        assert self.low is not None
        assert self.high is not None
        return self.value, self.low, self.high

    @property
    def rate(self) -> float | None:
        """The nominal false positive rate, None without any."""
        found = self.conditions.get("fpr")
        return None if found is None else float(found)

    @property
    def threshold(self) -> str | None:
        """Origin of the threshold, None without any."""
        found = self.conditions.get("threshold")
        return None if found is None else str(found)

    @property
    def counted(self) -> tuple[int, str]:
        """Distinct units on which the interval rests, and their name; the decisions on members are no such units."""
        known = [name for name in self.n if name != "members"]
        name = next((one for one in COUNTED if one in known), min(known, default=""))
        return self.n.get(name, 0), COUNTED.get(name, name or "records")

    @property
    def said(self) -> str:
        """Text: the number with its interval, or the reason why there is none; a Log-MIA never stands alone."""
        if not self.ok:
            told = self.status.replace("_", " ") + (f": {clean(self.reason)}" if self.reason else "")
        else:
            value, low, high = (figure(self.unit, end, (self.ends[2] - self.ends[1]) or None) for end in self.ends)
            told = f"{value} ({low.removesuffix(' %').removesuffix(' bits')} to {high})"
            told += f": {clean(self.reason)}" if self.metric == LOG_MIA else ""
        return f"{told}; {self.graded}" if self.graded else told

    @property
    def graded(self) -> str:
        """Text: both ends of the grade, which is ours and no paper's; empty if the metric is not graded."""
        if self.grade_shown is None:
            return ""
        return f"grade (ours) {self.grade_shown} shown, {self.grade_not_excluded} not excluded"


def _rounded(value: Condition) -> Condition:
    """A condition, a rate rounded so that equal rates compare equal."""
    return float(f"{value:.9g}") if isinstance(value, int | float) and not isinstance(value, bool) else value


def alike(one: Row, other: Row) -> bool:
    """Returns whether two rows of one key may be compared: a Log-MIA only with another of as many records."""
    return one.metric != LOG_MIA or all(one.n.get(name) == other.n.get(name) for name in ("members", DECIDED))


def is_utility(row: Row) -> bool:
    """Returns whether a row is about how well the model does its task."""
    return row.family == UTILITY


def clean(text: object) -> str:
    r"""A name or reason on one line, without hidden characters.

    >>> clean("a\u202eb\n")
    'a[U+202E]b[U+000A]'
    """
    return one_line(words.visible(str(text).replace(words.SPACE, " ")), limit=600)


def figure(unit: str, value: float, apart: float | None = None) -> str:
    """A number in its unit.

    Args:
        unit: see `metrics.Unit`; an AUC is a decimal, a share in percent, a difference has its sign.
        value: the number.
        apart: the least difference that must stay visible.

    >>> figure("share", 0.0512), figure("share", 0.0512, 0.0002), figure("auc", 0.71349)
    ('5.1 %', '5.120 %', '0.713')
    >>> figure("bits", 1.23456), figure("auc_difference", 0.02), figure("share_difference", -0.0123)
    ('1.235 bits', '+0.020', '-1.2 points')
    """
    if unit in ("auc", "auc_difference"):
        digits = 3 if not apart else min(6, max(3, 1 - math.floor(math.log10(apart))))
        return f"{value:.{digits}f}" if unit == "auc" else f"{value:+.{digits}f}"
    if unit == "share":
        return words.percent(value, spread=apart).replace(words.SPACE, " ")
    if unit == "share_difference":
        return f"{words.points(value)} points"
    return f"{value:.4g} {unit}" if unit != "number" else f"{value:.4g}"


def exact(unit: str, value: float) -> str:
    """A number that a person wrote, such as a limit, in the same unit.

    >>> exact("share", 0.145), exact("auc", 0.6), exact("bits", 2)
    ('14.5 %', '0.6', '2 bits')
    """
    if unit == "share":
        return f"{100 * value:.6g} %"
    return f"{value:.6g}" if unit in ("auc", "number") else f"{value:.6g} {unit}"
