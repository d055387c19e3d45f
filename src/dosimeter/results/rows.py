"""The numbers of a result.json as one kind of row: estimates, exposures and utilities, each with its words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dosimeter.foundation.wording import one_line
from dosimeter.results import words

UTILITY = "utility"
"""Family of rows for which higher is better."""
EXPOSURE = "exposure"
"""Metric of the highest exposure of any record, person or group."""
HEADLINE = "headline"
"""Stands for the attack that was chosen in rehearsal."""
ORACLE = "oracle"
"""Name of the threshold that no adversary has."""


@dataclass(frozen=True)
class Key:
    """Identity of a row: two rows of two results with equal keys answer the same question.

    Attributes:
        family: "membership", or "utility".
        stage: at risk.
        variant: variant of the model, "none" without defense.
        attack: id, `HEADLINE` for an exposure, or None for a utility.
        metric: such as "tpr".
        fpr: nominal false positive rate, of "tpr", "precision" and "exposure".
        prior: of "precision".
        group: or None.
        threshold: "shadow", "split", "oracle", or None.
        split: split of a utility.
        unit: unit of an exposure: "record", "person" or "group".
    """

    family: str
    stage: str
    variant: str
    attack: str | None
    metric: str
    fpr: float | None = None
    prior: float | None = None
    group: str | None = None
    threshold: str | None = None
    split: str | None = None
    unit: str | None = None

    @property
    def what(self) -> str:
        """The metric with what it depends on.

        >>> Key("membership", "s", "none", "a", "precision", fpr=0.01, prior=0.1, threshold="oracle").what
        'precision at 1 %, prior 10 %, oracle threshold'
        >>> Key("membership", "s", "none", HEADLINE, EXPOSURE, fpr=0.01, unit="person").what
        'highest exposure of any person at 1 %'
        """
        text = "highest exposure" if self.metric == EXPOSURE else self.metric
        if self.unit is not None:
            text += f" of any {self.unit}"
        if self.fpr is not None:
            text += f" at {exact('tpr', self.fpr)}"
        if self.prior is not None:
            text += f", prior {exact('tpr', self.prior)}"
        if self.threshold == ORACLE:
            text += ", oracle threshold"
        return f"{text} on {self.split} records" if self.split is not None else text


@dataclass(frozen=True)
class Row:
    """One number, or the reason why there is none.

    Attributes:
        key: what was asked.
        who: attack, and variant, group and stage where they say more than the default.
        value: the estimate; None unless ok.
        low: "shown at least"; None unless ok.
        high: "not excluded up to"; None unless ok.
        status: "ok", "not_resolvable", "refused", "withdrawn".
        reason: why there is no number, or a remark.
        n: distinct non-members; distinct records of a utility; units of an exposure.
        n_targets: targets measured; trainings judged of an exposure.
        fpr_high: upper end of the false positive rate that was reached, where it is known.
        control: of a control, which must stay at chance.
    """

    key: Key
    who: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    status: str = "ok"
    reason: str = ""
    n: int = 0
    n_targets: int = 0
    fpr_high: float | None = None
    control: bool = False

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
    def said(self) -> str:
        """Text: the number with its interval, or the reason why there is none."""
        if not self.ok:
            return self.status.replace("_", " ") + (f": {clean(self.reason)}" if self.reason else "")
        value, low, high = (figure(self.key.metric, end, (self.ends[2] - self.ends[1]) or None) for end in self.ends)
        return f"{value} ({low.removesuffix(' %')} to {high})"


def rows(result: Mapping[str, Any]) -> list[Row]:
    """All estimates, then the highest exposures, then all utilities.

    Args:
        result: the content of a valid result.json.
    """
    controls = {attack["id"] for attack in result["attacks"] if attack["control"] or attack.get("reference")}
    at_risk = str(result["threat"]["at_risk"] or "")
    found = []
    for row in result["estimates"]:
        names = ("family", "variant", "attack", "metric", "group", "threshold")
        stage = str(row["stage"] or "")
        key = Key(
            stage=stage, **{name: row[name] for name in names}, fpr=_rounded(row["fpr"]), prior=_rounded(row["prior"])
        )
        more = {"n": row["n_nonmembers"], "fpr_high": row.get("fpr_high"), "control": row["attack"] in controls}
        found.append(Row(key, _who(key, at_risk), **_numbers(row), **more))
    found += _exposures(result, at_risk)
    for row in result["utility"]:
        stage = str(row.get("stage") or at_risk)
        key = Key(UTILITY, stage, row["variant"], None, row["metric"], group=row.get("group"), split=row["split"])
        found.append(Row(key, _who(key, at_risk), **_numbers(row), n=row["n"]))
    return found


def _exposures(result: Mapping[str, Any], at_risk: str) -> Iterator[Row]:
    """One row for each kind of unit in the data, measurable or not; a single group is not a kind."""
    told = result.get("exposure")
    if not told:
        return
    attack = HEADLINE if told["attack"] is None else f"{told['attack']} ({HEADLINE})"
    data = result["data"]
    named = {"records": True, "persons": bool(data.get("persons")), "groups": (data.get("groups") or 0) > 1}
    for kind, declared in named.items():
        part = told[kind]
        if part is None and not declared:
            continue
        who = clean(f"{attack} on the most exposed {kind[:-1]}")
        key = Key("membership", at_risk, "none", HEADLINE, EXPOSURE, fpr=_rounded(told["fpr"]), unit=kind[:-1])
        if part is None:
            reason = told["reason"] or f"none of the {kind} has a rate of its own"
            yield Row(key, who, status="not_resolvable", reason=reason, n_targets=told["models"])
            continue
        ends = {name: part["highest"][name] for name in ("value", "low", "high")}
        yield Row(key, who, **ends, n=part["n"], n_targets=told["models"] or result["threat"]["targets"])


def _numbers(row: Mapping[str, Any]) -> dict[str, Any]:
    """Fields that estimates and utilities share."""
    numbers = {name: row[name] for name in ("value", "low", "high", "n_targets")}
    return {**numbers, "status": row.get("status", "ok"), "reason": row.get("reason", "")}


def _rounded(rate: float | int | None) -> float | None:
    """A nominal rate, rounded so that equal rates compare equal."""
    return None if rate is None else float(f"{rate:.9g}")


def _who(key: Key, at_risk: str) -> str:
    """The attack, and what else distinguishes the row from others of its metric."""
    text = "the model" if key.attack is None else key.attack
    text += f", variant {key.variant}" if key.variant != "none" else ""
    text += f", group {key.group}" if key.group is not None else ""
    text += f", stage {key.stage}" if key.stage != at_risk else ""
    return clean(text)


def clean(text: object) -> str:
    r"""A name or reason on one line, without hidden characters.

    >>> clean("a\u202eb\n")
    'a[U+202E]b[U+000A]'
    """
    return one_line(words.visible(str(text).replace(words.SPACE, " ")), limit=600)


def figure(metric: str, value: float, apart: float | None = None) -> str:
    """A number in the metric's own unit.

    Args:
        metric: an AUC is a decimal, all others are in percent.
        value: in [0, 1].
        apart: the least difference that must stay visible.

    >>> figure("tpr", 0.0512), figure("tpr", 0.0512, 0.0002), figure("auc", 0.71349)
    ('5.1 %', '5.120 %', '0.713')
    """
    if metric == "auc":
        digits = 3 if not apart else min(6, max(3, 1 - math.floor(math.log10(apart))))
        return f"{value:.{digits}f}"
    return words.percent(value, spread=apart).replace(words.SPACE, " ")


def exact(metric: str, value: float) -> str:
    """A number that a person wrote, such as a limit, in the same unit.

    >>> exact("tpr", 0.145), exact("auc", 0.6)
    ('14.5 %', '0.6')
    """
    return f"{value:.6g}" if metric == "auc" else f"{100 * value:.6g} %"
