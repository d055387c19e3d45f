"""How well the audited models do their task: on records as they are, and under small changes of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from dosimeter.families.inversion.measures.identified import LEVEL, Measured
from dosimeter.families.inversion.stored import Left
from dosimeter.families.inversion.threat import NAME
from dosimeter.foundation.arrays import Array
from dosimeter.results.metrics import UTILITIES, UTILITY
from dosimeter.results.rows import Condition, Row
from dosimeter.statistics.paired import accuracy_difference
from dosimeter.statistics.utility import accuracy

PERTURBED = "perturbed_accuracy"
HELD_OUT = "nonmember"
"""Split of the records that are perturbed."""
NO_GRADIENT = "the model gives no gradient by its inputs, so no small change could be searched"


def utility(found: Measured) -> list[Row]:
    """Accuracies on each split, then those under changes of each size."""
    rows = [
        _accuracy(found, answers, "accuracy", f"accuracy {split}", split=split)
        for split, answers in splits_of(found.left).items()
    ]
    return [*rows, *_perturbed(found)]


def _perturbed(found: Measured) -> Iterator[Row]:
    """Accuracies under changes; of a run without them none, and a reason where none could be searched."""
    held = _held(found.left)
    for size in found.left.truth.get("perturbed_sizes", np.empty(0)).tolist():
        conditions: dict[str, Condition] = {"split": HELD_OUT, "epsilon": size}
        if size in held:
            answers = held[size], np.ones_like(held[size])
            yield _accuracy(found, answers, PERTURBED, f"perturbed {size}", **conditions)
        else:
            n = {"records": len(found.left.truth["perturbed_rows"])}
            yield _row(found, PERTURBED, status="not_resolvable", reason=NO_GRADIENT, conditions=conditions, n=n)


def _accuracy(
    found: Measured, answers: tuple[Array, Array], metric: str, purpose: str, **conditions: Condition
) -> Row:  # fmt: skip
    """Share of right answers: which are right, and which are counted `[t n]`."""
    correct, counted = answers
    estimate = accuracy(correct, counted, record=np.arange(correct.shape[1]), rng=found.rng(purpose), level=LEVEL)
    numbers = {name: getattr(estimate, name) for name in ("value", "low", "high", "method", "n_targets")}
    return _row(found, metric, conditions=conditions, n={"records": estimate.n_nonmembers}, **numbers)


def utility_changes(after: Measured, before: Measured, variant: str) -> list[Row]:
    """Differences of accuracies of a variant's models to those of the audit itself, paired by record.

    Args:
        after: of the variant.
        before: of the audit itself.
        variant: its id.
    """
    rows, others, sizes = [], splits_of(before.left), _held(before.left)
    for split, (right, counted) in splits_of(after.left).items():
        rows.append(_change(before, (right, others[split][0], counted), variant, "accuracy_change", split=split))
    for size, right in _held(after.left).items():
        if size in sizes:
            pair = (right, sizes[size], np.ones_like(right))
            rows.append(_change(before, pair, variant, f"{PERTURBED}_change", split=HELD_OUT, epsilon=size))
    return rows


def _change(
    before: Measured, pair: tuple[Array, Array, Array], variant: str, metric: str, **conditions: Condition
) -> Row:
    """One paired difference: right answers after and before, and which are counted `[t n]`."""
    right, other, counted = pair
    change = accuracy_difference(right, other, counted, record=np.arange(right.shape[1]), level=LEVEL)
    ends = {name: getattr(change, name) for name in ("value", "low", "high", "method")}
    n = {"records": int(counted.any(0).sum())}
    return _row(before, metric, variant=variant, conditions=conditions, n=n, n_targets=len(right), **ends)


def splits_of(left: Left) -> Mapping[str, tuple[Array, Array]]:
    """By split, whether each answer of the audited models is right `[t n]`, and which answers it counts."""
    correct, trained = left.truth["correct"], np.zeros_like(left.truth["correct"])
    trained[:, left.truth["trained"]] = True
    found = {"train": (correct, trained), HELD_OUT: (correct, ~trained)}
    if "test_correct" in left.truth:
        found["test"] = (left.truth["test_correct"], np.ones_like(left.truth["test_correct"]))
    return found


def _held(left: Left) -> Mapping[float, Array]:
    """By size of the changes, whether each held-out record that was perturbed stays right `[t n]`."""
    if "perturbed" not in left.truth:
        return {}
    sizes = left.truth["perturbed_sizes"].tolist()
    return dict(zip(sizes, np.moveaxis(left.truth["perturbed"], 1, 0), strict=False))  # none without gradients


def _row(found: Measured, metric: str, **numbers: Any) -> Row:
    """One number of the audited models."""
    at_risk = str(found.left.summary["threat"]["at_risk"])
    common = {"threat": NAME, "family": UTILITY, "stage": at_risk, "variant": "none", "attack": None, "level": LEVEL}
    return Row(**{**common, "metric": metric, "unit": UTILITIES[metric].unit, **numbers})
