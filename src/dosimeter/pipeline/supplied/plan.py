"""The plan of a run with a supplied model."""

from __future__ import annotations

from dosimeter.config.threat_rows import ThreatRow
from dosimeter.families.family import Case
from dosimeter.families.resources import UsesResources
from dosimeter.jobs.job import missing, models_of
from dosimeter.pipeline.durations import REPORT_SECONDS
from dosimeter.pipeline.plan import Plan, StagePlan, attack_plans, case_notes, free_space
from dosimeter.pipeline.prepared import jobs_of, other_sizes
from dosimeter.pipeline.supplied.prepared import PreparedSupplied

TRAINING_PASSES = 3
"""Passes of a network that take as long as learning one text once: forward, and backward by activations and weights."""
NUMBER_SECONDS = 3e-8
"""Seconds for each number that an attack reads."""


def supplied_seconds_left(prepared: PreparedSupplied) -> float | None:
    """Duration of a run that is about to query, approximate; None if a user's `fit` is the only clock."""
    jobs = jobs_of(prepared.cases)
    shadows = [job for job in jobs if models_of(job)]
    absent = len(missing(shadows))
    if absent and prepared.audit.fit is not None:
        return None
    asked = [
        len(prepared.system.pool) * _views(row) * (_passes(case) if prepared.system.language is not None else 1)
        for row, case in zip(prepared.audit.threats, prepared.cases.values(), strict=True)
    ]
    numbers = [(1 + len(shadows)) * n * len(row.attacks) for n, row in zip(asked, prepared.audit.threats, strict=True)]
    trained = absent * _shadow_seconds(prepared)
    return trained + prepared.system.seconds * sum(asked) + sum(numbers) * NUMBER_SECONDS + REPORT_SECONDS


def _shadow_seconds(prepared: PreparedSupplied) -> float:
    """Duration of the finetuning of one reference and of its passes over all texts, seconds."""
    recipe, system = prepared.system.finetuning, prepared.system
    if recipe is None:
        return 0.0
    rows = (len(system.parts["members"]) + len(system.parts["nonmembers"])) / 2
    steps = TRAINING_PASSES * recipe.hyperparameters.epochs * rows
    return system.seconds / 2 * (steps + len(system.pool))  # `seconds` are of the model and its base


def _views(row: ThreatRow) -> int:
    """Number of views under which a threat's records are queried; one where its family has no such key."""
    views = getattr(row.threat, "views", "auto")
    return 1 if views == "auto" else len(views)


def _passes(case: Case) -> int:
    """Passes of a language model over each text: one that all attacks share, and those of attacks that ask further."""
    used = case.resources().values() if isinstance(case, UsesResources) else ()
    return 1 + sum(one.queries - 1 for one in used if one.queries > 1)


def plan_supplied(prepared: PreparedSupplied) -> Plan:
    """Plans a run; trains nothing.

    Args:
        prepared: the model with its records, already tried on a few of them.
    """
    supplied, system, jobs = prepared.audit, prepared.system, jobs_of(prepared.cases)
    shadows = [job for job in jobs if models_of(job)]
    absent = missing(shadows)
    records = ", ".join(
        f"{len(one)} {'non-members' if name == 'nonmembers' else name}" for name, one in system.parts.items()
    )
    how = f"supplied, {system.adapted.kind}, read as {system.adapted.output}"
    stages = [StagePlan("target", how, records, 0, 0, "")]
    notes = case_notes(supplied.threats, prepared.cases)
    if shadows:
        each = f"{(len(system.parts['members']) + len(system.parts['nonmembers'])) // 2} records per model"
        cached = len(shadows) - len(absent)
        how = supplied.fit_name if supplied.finetuning else f"fit {supplied.fit_name}"
        stages.append(StagePlan("shadows", how, each, len(shadows), cached, ""))
    for row, _ in prepared.variants:
        settings = ", ".join(f"{key} {value}" for key, value in row.settings.items())
        told = "the same model, behind it"
        stages.append(StagePlan("target again", f"variant {row.id}: {row.name} ({settings})", told, 0, 0, ""))
    if absent and supplied.fit is not None:
        notes.append("time: not estimated, since your `fit` decides it; `run` shows the time left after one model")
    notes += other_sizes(prepared.cases, lambda _: None)
    signals = (1 + len(shadows)) * len(system.pool) * 16 * max(map(_views, supplied.threats))
    signals *= 4 * system.pool.inputs.shape[1] if system.language is not None else 1  # four numbers of each token
    size = system.pool.inputs.nbytes
    return Plan(
        key=prepared.key,
        stages=tuple(stages),
        attacks=attack_plans(supplied.threats, prepared.cases),
        seconds=supplied_seconds_left(prepared) if system.language is not None else None,
        memory=int(3e8 + 2 * size + 3 * signals),
        disk=int(size + 2 * signals),
        free=free_space(system.store.root),
        hashed={"stage": {"sources": dict(supplied.sources)}, "data": system.pool.fingerprint},
        notes=tuple(notes),
    )
