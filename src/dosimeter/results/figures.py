"""Numbers of a result as text: lookup of a row, its value, its interval, its strip. Measures nothing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from dosimeter.results import words
from dosimeter.results.rows import Row
from dosimeter.results.views import View

LADDER = (0.1, 0.01, 0.001, 0.0001)
NO_VALUE: Mapping[str, str] = {
    "not_resolvable": "not resolvable",
    "refused": "not run",
    "withdrawn": "withdrawn",
}
CALIBRATED = "calibrated"
"""Stands for any threshold that was set before the targets were measured."""


@dataclass(frozen=True)
class Figure:
    """One number as text: value, the ends of its interval, a remark; `ok` is False if there is no number."""

    value: str
    ends: str = ""
    note: str = ""
    ok: bool = True


@dataclass(frozen=True)
class Bar:
    """An interval as percent of the width of a strip, with the position of guessing."""

    left: str
    width: str
    mark: str
    guess: str


NOTHING = Figure("not measured", ok=False)


def same(a: float | None, b: float | None) -> bool:
    """Returns whether two nominal rates are equal, or both absent."""
    return a == b if a is None or b is None else math.isclose(a, b, rel_tol=1e-9)


def leading(view: View) -> float:
    """The leading false positive rate; if none can be resolved, the largest of the ladder, so that rows say why."""
    fpr = view["verdict"].get("fpr")
    return LADDER[0] if fpr is None else float(fpr)


def find(view: View, attack: str | None, metric: str, **wanted: Any) -> Row | None:
    """The estimate of one attack without defense or group, or None. Rates are compared as numbers."""
    for row in view["estimates"]:
        if row.attack != attack or row.metric != metric or row.variant != "none" or row.group is not None:
            continue
        if all(_fits(row, key, value) for key, value in wanted.items()):
            found: Row = row
            return found
    return None


def _fits(row: Row, key: str, value: Any) -> bool:
    """Returns whether a row has a wanted value."""
    found: Any = row.conditions.get(key)
    if key == "threshold" and value == CALIBRATED:
        return found in words.THRESHOLDS
    return same(found, value) if key in ("fpr", "prior") else bool(found == value)


def reached_by(view: View, row: Row | None) -> Row | None:
    """The false positive rate that the threshold of a row reached, or None."""
    if row is None:
        return None
    wanted = replace(row.key, metric="fpr")
    return next((one for one in view["estimates"] if one.metric == "fpr" and one.key == wanted), None)


def source(view: View) -> str:
    """Origin of the thresholds: "shadow" models, or for each record other records ("split")."""
    found = {row.threshold for row in view["estimates"]} & set(words.THRESHOLDS)
    return min((one for one in found if one is not None), default="shadow")


def rate(row: Row | None, fpr: Row | None = None) -> Figure:
    """A share in percent, as a figure.

    Args:
        row: the share.
        fpr: the false positive rate that its threshold reached, if it is known.
    """
    if row is None:
        return NOTHING
    if row.status != "ok":
        return Figure(NO_VALUE[row.status], note=row.reason, ok=False)
    value, low, high = row.ends
    ends = words.percent_range(low, high, above=guess(row, fpr) if row.rate else None)
    return Figure(words.percent(value, spread=(high - low) or None), ends, row.reason)


def reached(row: Row | None, fpr: Row | None) -> Figure:
    """The false positive rate that a preset threshold reached on the audited model.

    Args:
        row: the rate at that threshold; without a number of it, none is told.
        fpr: the rate that was reached, or None.
    """
    if row is None or row.status != "ok" or fpr is None or fpr.value is None:
        return Figure("", ok=False)
    if fpr.low is None or fpr.high is None:
        return Figure(words.percent(fpr.value))
    return Figure(words.percent(fpr.value, spread=(fpr.high - fpr.low) or None), words.percent_range(fpr.low, fpr.high))


def auc(row: Row | None) -> Figure:
    """An AUC with three decimals, as a figure."""
    if row is None or row.status != "ok":
        return rate(row)
    value, low, high = row.ends
    return Figure(words.decimal(value), words.decimal_range(low, high))


def bits(row: Row | None) -> Figure:
    """A number of bits, as a figure."""
    if row is None or row.status != "ok":
        return rate(row)
    value, low, high = row.ends
    spread = high - low
    return Figure(words.bits(value, spread), f"{words.bits(low, spread, 'down')} to {words.bits(high, spread, 'up')}")


def guess(row: Row, fpr: Row | None) -> float:
    """The largest rate that guessing reaches: as many used records as unused ones are accused."""
    high = None if fpr is None else fpr.high
    return max(float(rate) for rate in (row.rate, high) if rate is not None)


def bar(row: Row | None, scale: float) -> Bar | None:
    """The strip of an interval; None if there is no number."""
    if row is None or row.status != "ok":
        return None
    value, low, high = row.ends

    def at(share: float) -> str:
        return f"{100 * min(1.0, share / scale):.2f}%"

    return Bar(at(low), at(high - low), at(value), at(row.rate or 0.0))


def scale_of(rows: Iterable[Row | None], least: float = 0.0) -> float:
    """End of the strips' common axis: the smallest round share that holds every interval.

    Args:
        rows: the rates.
        least: a share that it must hold besides.
    """
    highs = [row.high for row in rows if row is not None and row.status == "ok" and row.high is not None]
    top = max([*highs, least], default=1.0) if highs or least else 1.0
    rounds = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
    return next((end for end in rounds if end >= top), 1.0)


def basis(row: Row) -> str:
    """Text about an estimate: level, method, decisions, records, targets."""
    parts = [
        f"{words.percent(row.level)} interval ({row.method})",
        words.count(row.n.get("members", 0), "member decision"),
        words.count(row.n.get("nonmembers", 0), "distinct unused record"),
        "1 target: this trained model only" if row.n_targets == 1 else f"{row.n_targets:,} targets",
    ]
    return " · ".join(parts)
