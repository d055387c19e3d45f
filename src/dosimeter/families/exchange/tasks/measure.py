"""Findings of a threat about tasks, from evidence and truth alone, and differences of variants."""

from __future__ import annotations

from collections.abc import Mapping

from dosimeter.families.exchange.measures.whole import Whole
from dosimeter.families.exchange.sentences.tasks import not_tested, sentences
from dosimeter.families.family import CaseFolder
from dosimeter.results.findings import Findings
from dosimeter.results.rows import Row

TASKS = Whole(
    auc="task_auc", dose="task_dose", change="task_auc_change", counted="tasks", unit="task", yardstick=True, over="",
    sentences=sentences, not_tested=not_tested,
)  # fmt: skip
"""Names of its numbers, and its sentences."""


def measure_tasks(folder: CaseFolder) -> Findings:
    """What a case came to; see `Whole.measure`."""
    return TASKS.measure(folder)


def compare_tasks(cases: Mapping[str, CaseFolder]) -> tuple[Row, ...]:
    """Rows of `task_auc_change` and of the accuracy, for each variant with the same halves; see `Whole.compare`."""
    return TASKS.compare(cases)
