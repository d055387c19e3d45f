"""The plan of a run with a supplied model."""

from __future__ import annotations

import shutil

from dosimeter.families.membership.refusals import refusal, supplied_offer
from dosimeter.jobs.job import missing
from dosimeter.pipeline.durations import ATTACK_SECONDS, REPORT_SECONDS
from dosimeter.pipeline.plan import AttackPlan, Plan, StagePlan, existing, needs_in_words
from dosimeter.pipeline.supplied.prepared import PreparedSupplied


def supplied_seconds_left(prepared: PreparedSupplied) -> float | None:
    """Duration of a run that is about to query, approximate; None if a user's `fit` is the only clock."""
    if missing(prepared.case.jobs):
        return None
    queries = prepared.system.seconds * len(prepared.system.pool) * len(prepared.case.views)
    numbers = (1 + prepared.case.shadows) * len(prepared.system.pool) * len(prepared.case.views)
    return queries + len(prepared.supplied.attacks) * numbers * ATTACK_SECONDS + REPORT_SECONDS


def plan_supplied(prepared: PreparedSupplied) -> Plan:
    """Plans a run; trains nothing.

    Args:
        prepared: the model with its records, already tried on a few of them.
    """
    supplied, jobs, given = prepared.supplied, prepared.case.jobs, supplied_offer(prepared.case)
    absent = missing(jobs)
    population = len(prepared.case.design.population_ids)
    records = f"{len(supplied.members)} members, {len(supplied.nonmembers)} non-members, {population} population"
    stages = [
        StagePlan(
            "target",
            f"supplied, {prepared.system.adapted.kind}, read as {prepared.system.adapted.output}",
            records,
            0,
            0,
            "",
        )
    ]
    notes = [f"{gate.name}: {gate.message}" for gate in prepared.case.gates if gate.status != "pass"]
    if jobs:
        each = f"{len(jobs[0].rows)} records per model"
        stages.append(StagePlan("shadows", f"fit {supplied.fit_name}", each, len(jobs), len(jobs) - len(absent), ""))
    else:
        notes.append("shadows: none without `fit`; halves of the records set thresholds for each other")
    if absent:
        notes.append("time: not estimated, since your `fit` decides it; `run` shows the time left after one model")
    signals = (1 + prepared.case.shadows) * len(prepared.system.pool) * len(prepared.case.views) * 16
    size = prepared.system.pool.inputs.nbytes
    return Plan(
        key=prepared.key,
        stages=tuple(stages),
        attacks=tuple(AttackPlan(row.id, needs_in_words(row), refusal(row, given)) for row in supplied.attacks),
        seconds=None,
        memory=int(3e8 + 2 * size + 3 * signals),
        disk=int(size + 2 * signals),
        free=shutil.disk_usage(existing(prepared.system.store.root)).free,
        hashed={"stage": {"sources": dict(supplied.sources)}, "data": prepared.system.pool.fingerprint},
        notes=tuple(notes),
    )
