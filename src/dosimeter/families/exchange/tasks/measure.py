"""Findings of a threat about tasks, from evidence and truth alone, and differences of variants."""

from __future__ import annotations

from dosimeter.families.exchange.measures.whole import Whole
from dosimeter.families.exchange.sentences.tasks import NOT_TESTED, sentences

TASKS = Whole(
    auc="task_auc", dose="task_dose", change="task_auc_change", counted="tasks", unit="task", yardstick=True, over="",
    sentences=sentences, not_tested=NOT_TESTED,
)  # fmt: skip
"""Names of its numbers, and its sentences."""
measure_tasks, compare_tasks = TASKS.measure, TASKS.compare
