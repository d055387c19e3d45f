"""Durations that all runs share, and what the work of a run took when it was done."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from dosimeter.jobs.job import Job, models_of

if TYPE_CHECKING:
    from dosimeter.families.family import Case

LOADING = min(time.process_time(), 15.0)
"""Seconds that this process took to import PyTorch and the rest; a run and its workers will need them again."""
REPORT_SECONDS = 2.0
"""Seconds to measure, draw and write."""


def work_of(cases: Mapping[str, Case]) -> dict[str, dict[str, Any]]:
    """Seconds that the work of each threat took when it was done, in this run or in an earlier one.

    They are seconds of the processor, so of one core; jobs that ran at the same time add up. None where the store
    has no note of it.

    Args:
        cases: the cases by id of their threat, all their jobs done.

    Returns:
        For each threat the number of models that were trained and the seconds of their training, the seconds of each
        phase, and those of each attack with its rehearsals and its null audit.
    """
    found = {}
    for name, case in cases.items():
        phases = {phase: list(todo) for phase, todo in case.phases() if todo}
        jobs = {job.key: job for todo in phases.values() for job in todo}.values()
        attacks: dict[str, list[Job]] = {}
        for job in jobs:
            if attack := getattr(job, "attack", None):
                attacks.setdefault(str(attack), []).append(job)
        trained = [job for job in jobs if models_of(job)]
        found[name] = {
            "models": sum(models_of(job) for job in trained),
            "training": _seconds(trained),
            "phases": {phase: _seconds(todo) for phase, todo in phases.items()},
            "attacks": {attack: _seconds(own) for attack, own in attacks.items()},
        }
    return found


def _seconds(jobs: Iterable[Job]) -> float | None:
    """Seconds that jobs took together, or None."""
    found = [job.store.seconds(job.key) for job in jobs]
    return None if None in found else round(sum(one for one in found if one is not None), 2)
