"""How well the model does its task, on the victims."""

from __future__ import annotations

import numpy as np

from dosimeter.families.split.measures.measured import LEVEL, Measured
from dosimeter.families.split.threat import NAME
from dosimeter.results.metrics import UTILITIES, UTILITY
from dosimeter.results.rows import Row
from dosimeter.statistics.paired import accuracy_difference
from dosimeter.statistics.utility import accuracy

SPLIT = "nonmember"
"""Split of the victims, on whom no model is trained."""


def utility(found: Measured) -> list[Row]:
    """The accuracy of the answers for the victims; none where they have other classes than the model."""
    right = found.left.truth.get("correct")
    if right is None:
        return []
    rng = found.rng("accuracy")
    one = accuracy(right, np.ones_like(right), record=found.person, rng=rng, level=LEVEL)
    numbers = {name: getattr(one, name) for name in ("value", "low", "high", "method", "n_targets")}
    return [_row(found, "accuracy", "none", **numbers, n={"records": one.n_nonmembers})]


def utility_changes(after: Measured, before: Measured, variant: str) -> list[Row]:
    """The difference of a variant's accuracy to that of the audit itself, paired by record.

    Args:
        after: of the variant.
        before: of the audit itself.
        variant: its id.
    """
    first, second = (one.left.truth.get("correct") for one in (after, before))
    if first is None or second is None:
        return []
    change = accuracy_difference(first, second, np.ones_like(first), record=before.person, level=LEVEL)
    ends = {name: getattr(change, name) for name in ("value", "low", "high", "method")}
    return [_row(before, "accuracy_change", variant, **ends, n={"records": len(before.person)}, n_targets=len(first))]


def _row(found: Measured, metric: str, variant: str, **numbers: object) -> Row:
    """One number of the models."""
    return Row(
        threat=NAME, family=UTILITY, stage=str(found.left.summary["threat"]["at_risk"]), variant=variant, attack=None,
        metric=metric, unit=UTILITIES[metric].unit, conditions={"split": SPLIT}, level=LEVEL,
        **numbers,  # type: ignore[arg-type]
    )  # fmt: skip
