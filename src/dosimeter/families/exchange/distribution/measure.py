"""Findings of a threat about a distribution, from evidence and truth alone, and differences of variants."""

from __future__ import annotations

from dosimeter.families.exchange.measures.whole import Whole
from dosimeter.families.exchange.sentences.distribution import NOT_TESTED, sentences

DISTRIBUTION = Whole(
    auc="distribution_auc", dose="distribution_dose", change="distribution_auc_change", counted="trainings",
    unit="training", yardstick=False, over="clustered pairs of trainings", sentences=sentences, not_tested=NOT_TESTED,
)  # fmt: skip
"""Names of its numbers, and its sentences."""
measure_distribution, compare_distribution = DISTRIBUTION.measure, DISTRIBUTION.compare
