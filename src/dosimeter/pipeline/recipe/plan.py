"""The plan of a chain: models to train, what is cached and why other entries are not, and a time estimate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dosimeter.config.audit import VariantRow
from dosimeter.config.tables import Stage
from dosimeter.foundation.errors import AuditError
from dosimeter.foundation.user_code import is_users_fault
from dosimeter.jobs.job import Costed, Job, missing
from dosimeter.jobs.runners import Workers
from dosimeter.jobs.store import Store
from dosimeter.pipeline.durations import LOADING
from dosimeter.pipeline.plan import Plan, StagePlan, attack_plans, case_notes, free_space
from dosimeter.pipeline.prepared import jobs_of, other_sizes
from dosimeter.pipeline.recipe.durations import estimate, pace_of
from dosimeter.pipeline.recipe.prepared import PreparedRecipe
from dosimeter.pipeline.recipe.wires import topology_notes
from dosimeter.training.chain import build_chain, parts_of
from dosimeter.training.defending import DefenseRow
from dosimeter.training.distillation import trainings
from dosimeter.training.features import FeatureJob
from dosimeter.training.joint.job import JointJob
from dosimeter.training.packs import PackJob
from dosimeter.training.system import TrainedSystem


def make_plan(prepared: PreparedRecipe, *, workers: Workers | int | None = None) -> Plan:
    """Plans a run; trains nothing beyond a probe of a few updates, whose result is discarded.

    Args:
        prepared: the audit with its data.
        workers: who does the jobs.
    """
    system, jobs = prepared.system, jobs_of(prepared.cases)
    todo = missing(jobs)
    pace = pace_of(system)
    seconds = estimate(system, todo, workers, pace)
    stages, waiting = _stages(prepared, todo), {job.key: job for job in todo}
    for row, one in prepared.variants:
        own = [job for job in missing(jobs_of(one.cases)) if job.key not in waiting]
        stages.append(_variant(row, one, own))
        more = estimate(one.system, own, workers)
        seconds = None if seconds is None or more is None else seconds + more - LOADING
        waiting |= {job.key: job for job in own}
    packs = [job for job in waiting.values() if isinstance(job, PackJob)]
    first, prefix = prepared.packs.get(system.index), pace.prefix
    parameters = 0 if first is None else _parameters(first)
    width = 0 if prefix is None else prefix.one.numel() * 4
    answers = sum(job.size for job in waiting.values() if isinstance(job, Costed))
    features = width * sum(job.size for job in waiting.values() if isinstance(job, FeatureJob))
    disk = int(
        system.at_risk.inputs.nbytes + parameters * sum(len(job.models) for job in packs) + features + 2 * answers
    )
    free, notes = free_space(system.store.root), case_notes(prepared.audit.threats, prepared.cases)
    if seconds is None:
        notes.append("time: not estimated, since a user's `fit` decides it; `run` shows the time left after one model")
    if prepared.topology is not None:
        notes += topology_notes(prepared.topology, prepared.unfit)
    notes += other_sizes(prepared.cases, lambda jobs: estimate(system, missing(jobs), workers, pace))
    if disk > free:
        notes.append(f"disk: needs {disk / 1e9:.1f} GB, {free / 1e9:.1f} GB are free: free space or choose --store")
    return Plan(
        key=prepared.key,
        stages=tuple(stages),
        attacks=attack_plans(prepared.audit.threats, prepared.cases),
        seconds=seconds,
        memory=_memory(prepared, jobs, width * len(system.at_risk), parameters),
        disk=disk,
        free=free,
        hashed=_hashed(jobs, system),
        notes=tuple(notes),
    )


def seconds_left(prepared: PreparedRecipe, *, workers: Workers | int | None = None) -> float | None:
    """Duration of a run that is about to train, from a probe as in `make_plan`.

    Args:
        prepared: the audit with its data.
        workers: who does the jobs.

    Returns:
        The seconds, roughly; None if a user's `fit` is the only clock, or if the user's code raises, which the run
        itself tells better.
    """
    try:
        total, known = 0.0, set[str]()
        for one in (prepared, *(variant for _, variant in prepared.variants)):
            # without the hash of every entry, which the run computes
            todo = [job for job in jobs_of(one.cases) if job.key not in known and not job.store.has(job.key)]
            seconds = estimate(one.system, todo, workers)
            if seconds is None:
                return None
            total, known = total + seconds - LOADING, known | {job.key for job in todo}
        return total
    except (Exception, SystemExit) as caught:
        if isinstance(caught, AuditError) or is_users_fault(caught):
            return None
        raise


def _hashed(jobs: Sequence[Job], system: TrainedSystem) -> dict[str, Any]:
    """Content of the keys of the stage at risk; of its code alone if no threat trains it."""
    found = [job for job in jobs if isinstance(job, PackJob) and len(job.links) == system.index + 1]
    if not found:
        return {"stage": {"sources": system.link.sources}, "data": system.at_risk.fingerprint}
    last = found[-1].definition
    return {"stage": last["stage"], "data": system.at_risk.fingerprint, "torch": last["torch"], "threads": 1}


def _stages(prepared: PreparedRecipe, todo: Sequence[Job]) -> list[StagePlan]:
    """The stages of the chain, with the number of cached models."""
    waiting, found = {job.key: job for job in todo}, dict[str, StagePlan]()
    packs = [job for job in jobs_of(prepared.cases) if isinstance(job, PackJob)]
    for leg in prepared.chains:
        found |= {one.name: one for one in _of_leg(leg, packs, waiting) if one.name not in found}
    return [found[stage.name] for stage in prepared.audit.stages if stage.name in found]


def _of_leg(prepared: PreparedRecipe, packs: Sequence[PackJob], waiting: Mapping[str, Job]) -> list[StagePlan]:
    """The stages of one chain, with the jobs of all of them."""
    plans = []
    for index, stage in enumerate(prepared.audit.stages):
        own = prepared.system.data[index]
        if stage.joint:
            plans.append(_joint(prepared, stage, waiting))
            continue
        if own is None:
            plans.append(StagePlan(stage.name, f"given: {stage.model}, weights {stage.weights}", "", 0, 0, ""))
            continue
        jobs = [job for job in packs if len(job.links) == index + 1]
        models = sum(len(job.models) for job in jobs)
        absent = [job for job in jobs if job.key in waiting]
        cached = models - sum(len(job.models) for job in absent)
        how = f"{stage.transfer}, {stage.fit or stage.model or 'parent model'}"
        data = f"{stage.data}: {len(own)} records"
        if index >= prepared.audit.at_risk:
            each = sorted({job.rows.shape[1] for job in jobs})
            data += f", {' or '.join(map(str, each))} per model"
        reason = _why_not_cached(prepared.system.store, absent[0].definition) if absent else ""
        plans.append(StagePlan(stage.name, how, data, models, cached, reason))
    return plans


def _joint(prepared: PreparedRecipe, stage: Stage, waiting: Mapping[str, Job]) -> StagePlan:
    """A stage that parties train together."""
    jobs = [job for job in jobs_of(prepared.cases) if isinstance(job, JointJob)]
    cached = sum(job.key not in waiting for job in jobs)
    system, held = prepared.system, stage.parties or {}
    parties = {} if system.joint is None else system.joint.parties
    data = ", ".join(f"{name} ({held[name]}: {len(one)} records)" for name, one in parties.items())
    how = f"{stage.transfer}, {stage.model or 'parent model'}, {jobs[0].steps if jobs else 0} steps"
    return StagePlan(stage.name, how, data, len(jobs), cached, "")


def _variant(row: DefenseRow | VariantRow, prepared: PreparedRecipe, todo: Sequence[Job]) -> StagePlan:
    """Training of a variant, of which some jobs are left to do; a defense of answers alone trains nothing."""
    first = prepared.audit.at_risk
    fleet = [job for job in jobs_of(prepared.cases) if isinstance(job, PackJob) and len(job.links) > first]
    absent = sum(len(job.models) for job in todo if isinstance(job, PackJob))
    models = sum(len(job.models) for job in fleet)
    work = trainings(prepared.system.links[first].hyperparameters)
    times = f", each the work of {work:g}" if work != 1 else ""
    settings = ", ".join(f"{key} {value}" for key, value in row.settings.items())
    how = f"variant {row.id}: {f'{row.name} ({settings})' if row.name else settings}"
    again = " and ".join(stage.name for stage in prepared.audit.stages[first:])
    return StagePlan(f"{again} again", how, f"{models} models{times}", models, models - absent, "")


def _why_not_cached(store: Store, wanted: Mapping[str, Any]) -> str:
    """The nearest cached entry for the same stage, and the difference."""
    flat = _flat(wanted)
    nearest: list[str] | None = None
    for _, definition in store.definitions():
        stage = definition.get("stage")
        if definition.get("kind") != "models" or not isinstance(stage, Mapping):
            continue
        if stage.get("name") != wanted["stage"]["name"]:
            continue
        other = _flat(definition)
        differing = sorted(key for key in flat.keys() | other.keys() if flat.get(key) != other.get(key))
        if nearest is None or len(differing) < len(nearest):
            nearest = [f"{key}: {_short(other.get(key))} there, {_short(flat.get(key))} here" for key in differing]
    return "" if not nearest else "cached models of this stage differ in " + "; ".join(nearest[:4])


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    """Nested tables as one table, with keys joined by dots."""
    if isinstance(value, Mapping) and value:
        return {key: leaf for name, item in value.items() for key, leaf in _flat(item, f"{path}.{name}").items()}
    return {path.strip("."): list(value) if isinstance(value, tuple) else value}


def _short(value: Any) -> str:
    text = "absent" if value is None else str(value)
    return text if len(text) <= 16 else text[:12] + "..."


def _parameters(job: PackJob) -> int:
    """Size of the stored part of one trained model, bytes."""
    model = build_chain(job.links, len(job.links) - 1, 0, None)
    part = model if job.whole else parts_of(job.links, len(job.links) - 1, model).trained
    return sum(tensor.numel() * tensor.element_size() for tensor in part.state_dict().values())


def _memory(prepared: PreparedRecipe, jobs: Sequence[Job], features: int, parameters: int) -> int:
    """A rough peak of one process: PyTorch itself, the data, the pack with gradients and momentum, the signals."""
    pack = prepared.packs.get(prepared.system.index)
    models = 0 if pack is None else parameters * len(pack.models) * 4
    answers = sum(job.size for job in jobs if isinstance(job, Costed))
    return int(3e8 + prepared.system.at_risk.inputs.nbytes * 2 + models + features + 3 * answers)
