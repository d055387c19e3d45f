"""Findings of a threat about a distribution, from evidence and truth alone, and differences of variants."""

from __future__ import annotations

from collections.abc import Mapping

from dosimeter.families.exchange.measures.whole import Whole
from dosimeter.families.exchange.sentences.distribution import not_tested, sentences
from dosimeter.families.family import CaseFolder
from dosimeter.results.findings import Findings
from dosimeter.results.rows import Row

DISTRIBUTION = Whole(
    auc="distribution_auc", dose="distribution_dose", change="distribution_auc_change", counted="trainings",
    unit="training", yardstick=False, over="clustered pairs of trainings", sentences=sentences, not_tested=not_tested,
)  # fmt: skip
"""Names of its numbers, and its sentences."""


def measure_distribution(folder: CaseFolder) -> Findings:
    """What a case came to; see `Whole.measure`."""
    return DISTRIBUTION.measure(folder)


def compare_distribution(cases: Mapping[str, CaseFolder]) -> tuple[Row, ...]:
    """Rows of `distribution_auc_change` and of the accuracy, for variants with the same worlds; see `Whole.compare`."""
    return DISTRIBUTION.compare(cases)
