"""Paired differences between a variant and the audit itself: the same batches, one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from jaxtyping import Float

from dosimeter.families.exchange.measures.utility import change
from dosimeter.families.exchange.records.measures.left import read_rebuilt, worth_of
from dosimeter.families.exchange.records.measures.rebuilt import LEVEL, Rebuilt
from dosimeter.families.family import CaseFolder
from dosimeter.foundation.arrays import Array
from dosimeter.results.rows import Row
from dosimeter.statistics.identification import place_of
from dosimeter.statistics.intervals.crossed import Interval


def compare_records(cases: Mapping[str, CaseFolder]) -> tuple[Row, ...]:
    """Rows of `recovered_change`, `identified_change`, `record_place_change` and of the accuracy, for each variant.

    Args:
        cases: by id of the variant, "none" first.
    """
    found = {name: Rebuilt(read_rebuilt(case)) for name, case in cases.items()}
    before, rows = found.pop("none"), list[Row]()
    for name, after in found.items():
        same = all(np.array_equal(after.left.truth[one], before.left.truth[one]) for one in ("rows", "steps"))
        if not same:
            continue  # other steps are other batches, which cannot be paired
        for attack in before.telling():
            if attack in after.left.evidence:
                rows += _changes(after, before, attack, name)
        rows += change(worth_of(after.left), worth_of(before.left), name)
    return tuple(rows)


def _changes(after: Rebuilt, before: Rebuilt, attack: str, variant: str) -> Iterator[Row]:
    """Differences of one attack."""
    pairs = {
        "recovered_change": (after.recovered(attack), before.recovered(attack)),
        "identified_change": (after.picked(attack), before.picked(attack)),
        "record_place_change": (after.places(attack), before.places(attack)),
    }
    for metric, pair in pairs.items():
        yield before.row(attack, metric, difference(*pair), variant)


def difference(after: Float[Array, "t n"], before: Float[Array, "t n"]) -> Interval:
    """Mean of paired differences of shares with its interval; unseen batches may have any difference.

    Args:
        after: share of each batch.
        before: the same without the variant.

    >>> difference(np.full((1, 20), 0.25), np.full((1, 20), 0.25)).value
    0.0
    """
    found = place_of((1 + after - before) / 2, level=LEVEL)
    value, low, high = (2 * one - 1 for one in (found.value, found.low, found.high))
    return Interval(value, low, high, found.method.replace("mean place", "paired"))
