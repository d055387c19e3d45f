"""Numbers of a result as text: lookup of a row, its value, its interval, its strip. Measures nothing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dosimeter.results import words

LADDER = (0.1, 0.01, 0.001, 0.0001)
NO_VALUE: Mapping[str, str] = {
    "not_resolvable": "not resolvable",
    "refused": "not run",
    "withdrawn": "withdrawn",
}
Row = Mapping[str, Any]
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


def leading(result: Row) -> float:
    """The leading false positive rate; if none can be resolved, the largest of the ladder, so that rows say why."""
    fpr = result["verdict"]["fpr"]
    return LADDER[0] if fpr is None else float(fpr)


def find(result: Row, attack: str | None, metric: str, **wanted: Any) -> Row | None:
    """The estimate of one attack without defense or group, or None. Rates are compared as numbers."""
    for row in result["estimates"]:
        if row["attack"] != attack or row["metric"] != metric or row["variant"] != "none" or row["group"] is not None:
            continue
        if all(_fits(row, key, value) for key, value in wanted.items()):
            found: Row = row
            return found
    return None


def _fits(row: Row, key: str, value: Any) -> bool:
    """Returns whether a row has a wanted value."""
    if key == "threshold" and value == CALIBRATED:
        return row[key] in words.THRESHOLDS
    return same(row[key], value) if key in ("fpr", "prior") else bool(row[key] == value)


def source(result: Row) -> str:
    """Origin of the thresholds: "shadow" models, or for each record other records ("split")."""
    found = {row["threshold"] for row in result["estimates"]} & set(words.THRESHOLDS)
    return min(found, default="shadow")


def rate(row: Row | None) -> Figure:
    """A share in percent, as a figure."""
    if row is None:
        return NOTHING
    if row.get("status", "ok") != "ok":
        return Figure(NO_VALUE[row["status"]], note=row.get("reason", ""), ok=False)
    spread = row["high"] - row["low"]
    ends = words.percent_range(row["low"], row["high"], above=guess(row) if row.get("fpr") else None)
    return Figure(words.percent(row["value"], spread=spread or None), ends, row.get("reason", ""))


def reached(row: Row | None) -> Figure:
    """The false positive rate that a preset threshold reached on the audited model."""
    if row is None or row.get("status") != "ok" or row.get("fpr_reached") is None:
        return Figure("", ok=False)
    low, high = row.get("fpr_low"), row.get("fpr_high")
    if low is None or high is None:
        return Figure(words.percent(row["fpr_reached"]))
    return Figure(words.percent(row["fpr_reached"], spread=(high - low) or None), words.percent_range(low, high))


def auc(row: Row | None) -> Figure:
    """An AUC with three decimals, as a figure."""
    if row is None or row.get("status", "ok") != "ok":
        return rate(row)
    return Figure(words.decimal(row["value"]), words.decimal_range(row["low"], row["high"]))


def guess(row: Row) -> float:
    """The largest rate that guessing reaches: as many used records as unused ones are accused."""
    return max(float(rate) for rate in (row["fpr"], row.get("fpr_high")) if rate is not None)


def bar(row: Row | None, scale: float) -> Bar | None:
    """The strip of an interval; None if there is no number."""
    if row is None or row["status"] != "ok":
        return None

    def at(share: float) -> str:
        return f"{100 * min(1.0, share / scale):.2f}%"

    return Bar(at(row["low"]), at(row["high"] - row["low"]), at(row["value"]), at(row["fpr"]))


def scale_of(rows: Iterable[Row | None]) -> float:
    """End of the strips' common axis: the smallest round share that holds every interval."""
    top = max((row["high"] for row in rows if row is not None and row["status"] == "ok"), default=1.0)
    rounds = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
    return next((end for end in rounds if end >= top), 1.0)


def basis(row: Row) -> str:
    """Text about an estimate: level, method, decisions, records, targets."""
    parts = [
        f"{words.percent(row['level'])} interval ({row['method']})",
        words.count(row["n_members"], "member decision"),
        words.count(row["n_nonmembers"], "distinct unused record"),
        "1 target: this trained model only" if row["n_targets"] == 1 else f"{row['n_targets']:,} targets",
    ]
    return " · ".join(parts)
