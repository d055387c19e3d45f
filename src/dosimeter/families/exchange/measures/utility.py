"""How well the receiver's model does its task, jointly trained and without the exchange."""

from __future__ import annotations

from typing import Any

import numpy as np

from dosimeter.families.exchange.measures.checks import gain_of
from dosimeter.families.exchange.measures.measured import LEVEL, Measured
from dosimeter.families.exchange.metrics import METRICS
from dosimeter.families.exchange.threat import NAME
from dosimeter.results.metrics import UTILITIES, UTILITY
from dosimeter.results.rows import Row
from dosimeter.statistics.paired import accuracy_difference
from dosimeter.statistics.utility import accuracy


def utility(found: Measured) -> list[Row]:
    """Accuracy of the joint model for the test records; none without any."""
    row = _accuracy(found, "joint", "accuracy", UTILITY)
    return [] if row is None else [row]


def worth(found: Measured) -> list[Row]:
    """Accuracy without the exchange, and what is gained by it."""
    alone, gain = _accuracy(found, "alone", "accuracy_alone", NAME), gain_of(found)
    if alone is None or gain is None:
        return []
    ends: dict[str, Any] = {"value": gain.value, "low": gain.low, "high": gain.high, "method": gain.method}
    return [alone, _row(found, "transfer_gain", NAME, **ends)]


def change(after: Measured, before: Measured, variant: str) -> list[Row]:
    """The difference of a variant's accuracy to that of the audit itself, paired by record."""
    first, second = (one.left.truth.get("joint") for one in (after, before))
    if first is None or second is None or first.shape != second.shape:
        return []
    record = np.arange(first.shape[1])
    found = accuracy_difference(first, second, np.ones_like(first), record=record, level=LEVEL)
    ends: dict[str, Any] = {name: getattr(found, name) for name in ("value", "low", "high", "method")}
    return [_row(before, "accuracy_change", UTILITY, variant=variant, **ends)]


def _accuracy(found: Measured, which: str, metric: str, family: str) -> Row | None:
    """A share of right answers."""
    right = found.left.truth.get(which)
    if right is None:
        return None
    one = accuracy(
        right, np.ones_like(right), record=np.arange(right.shape[1]), rng=found.rng(f"accuracy {which}"), level=LEVEL
    )
    ends = {name: getattr(one, name) for name in ("value", "low", "high", "method")}
    return _row(found, metric, family, **ends)


def _row(found: Measured, metric: str, family: str, *, variant: str = "none", **numbers: Any) -> Row:
    """One number of the receiver's models."""
    known = UTILITIES if family == UTILITY else METRICS
    records = int(found.left.truth["joint"].shape[1])
    return Row(
        threat=NAME, family=family, stage=str(found.left.summary["threat"]["at_risk"]), variant=variant, attack=None,
        metric=metric, unit=known[metric].unit, conditions={"split": "test"} if family == UTILITY else {}, level=LEVEL,
        n={"records": records}, n_targets=int(found.left.truth["joint"].shape[0]),
        **numbers,
    )  # fmt: skip
