"""Paired differences between a variant's models and those of the audit itself, identity by identity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from dosimeter.families.family import CaseFolder
from dosimeter.families.inversion.measures.identified import LEVEL, Measured
from dosimeter.families.inversion.measures.recommended import recommended
from dosimeter.families.inversion.measures.utility import utility_changes
from dosimeter.families.inversion.metrics import METRICS
from dosimeter.families.inversion.stored import read_left
from dosimeter.families.inversion.threat import NAME
from dosimeter.results.rows import Row
from dosimeter.statistics.intervals.crossed import Interval
from dosimeter.statistics.paired import accuracy_difference


def compare(cases: Mapping[str, CaseFolder]) -> tuple[Row, ...]:
    """Rows of `recognised_change`, and of changes of accuracies, for each variant, and two of the recommended one.

    Starts, judges and identities are the same for all variants, so an attack is compared with itself. But the strongest
    attack on a variant is compared with the strongest on the audit itself: an adversary may change their attack when a
    defense appears. If these are two attacks, the row stands under the former and its reason names the latter.

    Args:
        cases: by id of the variant, "none" first.
    """
    found = {name: Measured(read_left(case)) for name, case in cases.items()}
    rows = list(recommended(found))
    before = found.pop("none")
    for name, after in found.items():
        pairs = {one: one for one in after.attackers if one in before.left.evidence}
        pairs[after.headline] = before.headline
        rows += [_change(after, before, pair, name) for pair in pairs.items()]
        rows += utility_changes(after, before, name)
    return tuple(rows)


def _change(after: Measured, before: Measured, pair: tuple[str, str], variant: str) -> Row:
    """Share of identities that an attack makes recognisable on a variant, minus that on the audit itself."""
    first, second = after.hits(pair[0]), before.hits(pair[1])
    everyone = np.ones_like(first)
    change = accuracy_difference(first, second, everyone, record=np.arange(before.identities), level=LEVEL)
    row = Row(
        threat=NAME, family=NAME, stage=str(before.left.summary["threat"]["at_risk"]), variant=variant, attack=pair[0],
        metric="recognised_change", unit=METRICS["recognised_change"].unit, conditions={"top": 1},
        n={"identities": before.identities}, n_targets=len(first),
        reason="" if pair[0] == pair[1] else f"compared with {pair[1]}, the strongest without the change",
    )  # fmt: skip
    return _with(row, change)


def _with(row: Row, change: Interval) -> Row:
    """The row with the numbers of a paired difference."""
    return replace(row, value=change.value, low=change.low, high=change.high, level=LEVEL, method=change.method)
