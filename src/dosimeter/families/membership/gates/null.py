"""The null audit: attacks under a membership that no model was trained on; and the controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dosimeter.foundation.arrays import Array
from dosimeter.foundation.gate import Gate
from dosimeter.statistics.estimate import Estimate
from dosimeter.statistics.evidence import Scores, Truth
from dosimeter.statistics.rates import auc

FALSE_ALARM = 0.01
"""Probability that N1, or I3, fails although nothing is wrong, over all attacks together (Bonferroni)."""


@dataclass(frozen=True)
class NullResult:
    """The null audit of one attack: its AUC under a matrix that no model was trained on."""

    attack: str
    auc: Estimate
    at_chance: bool


def null_audit(
    null_scores: Mapping[str, Array], truth: Truth, *, rngs: Mapping[str, np.random.Generator], tests: int
) -> list[NullResult]:
    """N1: every attack must be at chance on the stored outputs under a fresh matrix of complementary pairs.

    An attack that reads the design instead of the models (for instance how often a record occurs among the shadows)
    is not at chance here.

    Args:
        null_scores: per attack `[t n]`.
        truth: under the null matrix.
        rngs: per attack, for the bootstrap.
        tests: attacks for which the intervals leave room, so that a sound audit seldom fails.

    Returns:
        One result per attack; none if the matrix has one class among so few records.
    """
    if truth.is_member.all() or not truth.is_member.any():
        return []
    level = 1 - FALSE_ALARM / max(tests, 1)
    results = []
    for name, values in null_scores.items():
        estimate = auc(Scores(truth.ids, values), truth, rng=rngs[name], level=level)
        low, high = estimate.low, estimate.high
        results.append(NullResult(name, estimate, low is None or high is None or low <= 0.5 <= high))
    return results


def null_gate(results: Sequence[NullResult]) -> Gate:
    """The gate that decides on the null audit."""
    if not results:
        told = (
            "No attack was tried where nothing leaks: none was run, or there are too few records to draw two classes."
        )
        return Gate("N1", "Null audit", "warn", None, told)
    wrong = [result.attack for result in results if not result.at_chance]
    if wrong:
        return Gate(
            "N1", "Null audit", "fail", float(len(wrong)),
            f"{', '.join(wrong)} found members where no model was trained on them: the audit is broken, and its "
            f"numbers are withdrawn.",
        )  # fmt: skip
    return Gate(
        "N1", "Null audit", "pass", 0.0,
        f"All {len(results)} attacks are at chance under a membership that no model was trained on.",
    )  # fmt: skip


def control_gate(aucs: Mapping[str, Estimate]) -> Gate:
    """N2: the control attacks, which read no output, must be at chance on the true membership."""
    ends = {name: (one.low, one.high) for name, one in aucs.items()}
    wrong = [n for n, (low, high) in ends.items() if low is not None and high is not None and not low <= 0.5 <= high]
    if wrong:
        return Gate(
            "N2", "Controls", "fail", float(len(wrong)),
            f"{', '.join(wrong)} must be at chance and is not: the membership design gives bits away.",
        )  # fmt: skip
    text = "All controls are at chance." if aucs else "No control attack was run."
    return Gate("N2", "Controls", "pass" if aucs else "warn", 0.0, text)
