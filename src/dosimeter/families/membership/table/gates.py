"""Checks of a table of scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int
from scipy.stats import fisher_exact

from dosimeter.families.membership.gates.null import FALSE_ALARM
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.gate import Gate
from dosimeter.foundation.wording import sentence


def missing_scores(missing: Int[Array, "a 2"], lowest: int, highest: int, rows: Int[Array, "a 2"]) -> Gate:
    """I3: scores that are missing or infinite, with the rank that they got.

    Args:
        missing: no number, per attack among non-members and members.
        lowest: minus infinity.
        highest: plus infinity.
        rows: all, per attack among non-members and members.
    """
    name, count = "Missing and infinite scores", int(missing.sum()) + lowest + highest
    if not count:
        return Gate("I3", name, "pass", 0.0, "All scores are finite numbers.")
    told = (
        f"Of the table's scores {int(missing.sum())} are missing and {lowest} are minus infinity (all ranked lowest), "
        f"{highest} are plus infinity (ranked highest, tied)."
    )
    p_values = [fisher_exact(np.stack([own, of - own])).pvalue for own, of in zip(missing, rows, strict=True)]
    worst = int(np.argmin(p_values))
    if p_values[worst] <= FALSE_ALARM / len(p_values):
        others, members = missing[worst] / np.maximum(rows[worst], 1)
        return Gate(
            "I3", name, "fail", float(count),
            f"{told} They are missing for {members:.1%} of the rows of members and {others:.1%} of those of "
            f"non-members, which alone tells the two apart: mend what gives the scores, or leave those records out.",
        )  # fmt: skip
    return Gate("I3", name, "warn", float(count), told)


def table_as_read(notes: Sequence[str]) -> list[Gate]:
    """I5: remarks on how a table of scores was read."""
    return [Gate("I5", "Table as read", "pass", None, sentence(note)) for note in notes]
