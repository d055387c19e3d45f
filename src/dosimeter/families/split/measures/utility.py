"""How well the model does its task, on the victims."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool

from dosimeter.families.split.measures.measured import LEVEL, Measured
from dosimeter.families.split.threat import NAME
from dosimeter.foundation.arrays import Array
from dosimeter.results.metrics import UTILITIES, UTILITY
from dosimeter.results.rows import Row
from dosimeter.statistics.paired import accuracy_difference
from dosimeter.statistics.utility import accuracy

SPLIT = "nonmember"
"""Split of the victims, on whom no model is trained."""


def utility(found: Measured) -> list[Row]:
    """The accuracy of the answers for the victims; none where they have other classes than the model.

    Where defenses stand at the cut, the second half answers what it is sent, so each cut has an accuracy of its own.
    """
    rows = []
    for right, cut in _answers(found):
        rng = found.rng("accuracy")
        one = accuracy(right, np.ones_like(right), record=found.person, rng=rng, level=LEVEL)
        numbers = {name: getattr(one, name) for name in ("value", "low", "high", "method", "n_targets")}
        rows.append(_row(found, "accuracy", "none", cut, **numbers, n={"records": one.n_nonmembers}))
    return rows


def utility_changes(after: Measured, before: Measured, variant: str) -> list[Row]:
    """The difference of a variant's accuracy to that of the audit itself, paired by record.

    Args:
        after: of the variant.
        before: of the audit itself.
        variant: its id.
    """
    rows, known = [], {cut: right for right, cut in _answers(before)}
    for first, cut in _answers(after):
        second = known.get(cut, known.get(None))
        if second is None:
            continue
        change = accuracy_difference(first, second, np.ones_like(first), record=before.person, level=LEVEL)
        ends = {name: getattr(change, name) for name in ("value", "low", "high", "method")}
        n = {"records": len(before.person)}
        rows.append(_row(before, "accuracy_change", variant, cut, **ends, n=n, n_targets=len(first)))
    return rows


def _answers(found: Measured) -> list[tuple[Bool[Array, "t n"], str | None]]:
    """Whether each answer is right, and the cut behind which it was given; None where it is the same at every cut."""
    truth = found.left.truth
    names = (
        [(f"correct-{index}", cut) for index, cut in enumerate(found.cuts)] if found.released else [("correct", None)]
    )
    return [(truth[name], cut) for name, cut in names if name in truth]


def _row(found: Measured, metric: str, variant: str, cut: str | None, **numbers: object) -> Row:
    """One number of the models."""
    conditions = {"split": SPLIT} if cut is None else {"split": SPLIT, "cut": cut}
    return Row(
        threat=NAME, family=UTILITY, stage=str(found.left.summary["threat"]["at_risk"]), variant=variant, attack=None,
        metric=metric, unit=UTILITIES[metric].unit, conditions=conditions, level=LEVEL,
        **numbers,  # type: ignore[arg-type]
    )  # fmt: skip
