"""Paired differences between a variant's models and those of the audit itself, victim by victim."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from dosimeter.families.family import CaseFolder
from dosimeter.families.split.measures.measured import LEVEL, Measured
from dosimeter.families.split.measures.utility import utility_changes
from dosimeter.families.split.metrics import METRICS
from dosimeter.families.split.stored import read_left
from dosimeter.families.split.threat import NAME
from dosimeter.results.rows import Condition, Row
from dosimeter.statistics.identification import recognised
from dosimeter.statistics.intervals.crossed import Interval
from dosimeter.statistics.leakage.attributes import auc_gain
from dosimeter.statistics.paired import accuracy_difference


def compare(cases: Mapping[str, CaseFolder]) -> tuple[Row, ...]:
    """Rows of `identified_change`, `attribute_auc_change` and of accuracies, for each variant.

    Victims, auxiliary records and the lineup are the same for all variants, so each attack is compared with itself at
    the same cut. The adversary of a variant knows its defenses: attacks are trained anew on what it sends.

    Args:
        cases: by id of the variant, "none" first.
    """
    found = {name: Measured(read_left(case)) for name, case in cases.items()}
    before, rows = found.pop("none"), list[Row]()
    for name, after in found.items():
        for attack in after.left.evidence:
            if attack in before.left.evidence and after.left.attack(attack)["reads"] == "features":
                rows += _changes(after, before, attack, name)
        rows += utility_changes(after, before, name)
    return tuple(rows)


def _changes(after: Measured, before: Measured, attack: str, variant: str) -> Iterator[Row]:
    """Differences of one attack at each cut."""
    for source, cut in enumerate(before.cuts):
        if cut not in after.cuts:
            continue
        place = after.cuts.index(cut)
        if before.left.attack(attack)["goal"] == "input":
            first, second = recognised(after.lineup(attack, place)), recognised(before.lineup(attack, source))
            m = np.arange(first.shape[1])
            change = accuracy_difference(first, second, np.ones_like(first), record=m, level=LEVEL)
            yield _row(before, attack, variant, "identified_change", change, n=len(m), top=1, **after.at(attack, place))
            continue
        for told in before.attributes:
            pair = after.guesses(attack, told, place), before.guesses(attack, told, source)
            gain = auc_gain(*pair, told.truth, told.unit, level=LEVEL)
            where: dict[str, Condition] = {"attribute": told.name, **after.at(attack, place)}
            yield _row(before, attack, variant, "attribute_auc_change", gain, n=len(before.person), **where)


def _row(
    before: Measured, attack: str, variant: str, metric: str, found: Interval, *, n: int, **conditions: Condition
) -> Row:
    """One difference."""
    return Row(
        threat=NAME, family=NAME, stage=str(before.left.summary["threat"]["at_risk"]), variant=variant, attack=attack,
        metric=metric, unit=METRICS[metric].unit, conditions=conditions, value=found.value, low=found.low,
        high=found.high, level=LEVEL, method=found.method, n={"records": n},
        n_targets=int(before.left.summary["threat"]["targets"]),
    )  # fmt: skip
