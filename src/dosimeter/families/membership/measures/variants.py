"""Paired differences between a variant's models and those of the audit itself, on the same records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from dosimeter.families.family import CaseFolder
from dosimeter.families.membership.measures.material import Material, choose_headline
from dosimeter.families.membership.metrics import METRICS, NAME
from dosimeter.families.membership.stored import material_of, read_case
from dosimeter.foundation.arrays import Array
from dosimeter.results.metrics import UTILITIES, UTILITY
from dosimeter.results.rows import Row
from dosimeter.statistics.intervals.crossed import Interval
from dosimeter.statistics.paired import accuracy_difference, auc_difference

LEVEL = 0.95
"""Confidence level of paired differences."""


def compare(cases: Mapping[str, CaseFolder]) -> tuple[Row, ...]:
    """Rows of `auc_change` and `accuracy_change` for each variant.

    Args:
        cases: by id of the variant, "none" first.
    """
    materials = {name: material_of(read_case(case)) for name, case in cases.items()}
    before = materials.pop("none")
    base, rows = choose_headline(before)[1], list[Row]()
    for name, after in materials.items():
        rows += _leak(after, before, (choose_headline(after)[1], base), name)
        rows += [
            _with(_row(before, name, "accuracy_change", split), change, UTILITIES["accuracy_change"].unit)
            for split, change in accuracy_changes(after, before).items()
        ]
    return tuple(rows)


def _row(before: Material, variant: str, metric: str, split: str) -> Row:
    """A row about the utility of a variant's models."""
    inside = {"records": len(np.unique(before.truth.record))}
    return Row(
        threat=NAME, family=UTILITY, stage=str(before.summary["threat"]["at_risk"]), variant=variant,
        attack=None, metric=metric, conditions={"split": split}, n=inside, n_targets=len(before.truth.is_member),
    )  # fmt: skip


def _leak(
    after: Material, before: Material, attacks: tuple[str | None, str | None], variant: str
) -> list[Row]:  # fmt: skip
    """AUC of the strongest attack on a variant minus that on the audit itself, on the same records."""
    first, second = after.scores.get(str(attacks[0])), before.scores.get(str(attacks[1]))
    if first is None or second is None:
        return []
    change = auc_difference(first, second, before.truth.is_member, record=before.truth.record, level=LEVEL)
    row = Row(
        threat=NAME, family=NAME, stage=str(before.summary["threat"]["at_risk"]),
        variant=variant, attack=attacks[0], metric="auc_change", n={"records": len(before.truth.ids)},
        n_targets=len(before.truth.is_member),
    )  # fmt: skip
    return [_with(row, change, METRICS["auc_change"].unit)]


def _with(row: Row, change: Interval, unit: str) -> Row:
    """The row with the numbers of a paired difference."""
    ends: dict[str, Any] = {"value": change.value, "low": change.low, "high": change.high}
    return replace(row, **ends, unit=unit, level=LEVEL, method=change.method, status="ok", reason="")


def accuracy_changes(after: Material, before: Material) -> dict[str, Interval]:
    """Difference of accuracy to the models without the defense, with its interval, for each split."""
    return {
        split: accuracy_difference(right, wrong, counted, record=record, level=LEVEL)
        for split, (right, wrong, counted, record) in _splits(after, before).items()
    }


def _splits(after: Material, before: Material) -> dict[str, tuple[Array, Array, Array, Array]]:
    """Correct answers with and without the defense, counted answers, and clusters, for each split."""
    if after.correct is None or before.correct is None:
        return {}
    member, record = after.truth.is_member, after.truth.record
    n = member.shape[1]
    inside = (after.correct[:, :n], before.correct[:, :n])
    found = {"train": (*inside, member, record), "nonmember": (*inside, ~member, record)}
    right, wrong = after.correct[:, n:], before.correct[:, n:]
    if after.test_correct is not None and before.test_correct is not None:
        right, wrong = after.test_correct, before.test_correct
    if right.shape[1]:
        found["test"] = (right, wrong, np.ones_like(right), np.arange(right.shape[1]))
    return found
