"""Paired differences between a variant and the audit itself: the same coins, step by step."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dosimeter.families.exchange.measures.measured import LEVEL, Measured
from dosimeter.families.exchange.measures.utility import change
from dosimeter.families.exchange.stored import read_left
from dosimeter.families.family import CaseFolder
from dosimeter.results.rows import Row
from dosimeter.statistics.leakage.attributes import auc_gain


def compare(cases: Mapping[str, CaseFolder]) -> tuple[Row, ...]:
    """Rows of `property_auc_change` and of the accuracy, for each variant with as many steps.

    Args:
        cases: by id of the variant, "none" first.
    """
    found = {name: Measured(read_left(case)) for name, case in cases.items()}
    before, rows = found.pop("none"), list[Row]()
    for name, after in found.items():
        if not np.array_equal(after.left.truth["coins"], before.left.truth["coins"]):
            continue  # other steps are other batches, which cannot be paired
        for attack in before.telling():
            if attack not in after.left.evidence:
                continue
            for mixture in range(len(before.mixtures)):
                pair = after.guesses(attack, mixture), before.guesses(attack, mixture)
                gain = auc_gain(*pair, before.coins(mixture), before.steps, level=LEVEL)
                rows.append(before.row(attack, "property_auc_change", gain, before.at(attack, mixture), name))
        rows += change(after, before, name)
    return tuple(rows)
