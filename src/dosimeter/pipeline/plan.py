"""The plan of a run: models to train, what is cached and why other entries are not, refusals, and a time estimate."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dosimeter.config.audit import VariantRow
from dosimeter.families.attack import NamedAttack
from dosimeter.families.membership.observe.observe import ObserveJob
from dosimeter.families.membership.refusals import offer, refusal
from dosimeter.foundation.errors import AuditError
from dosimeter.foundation.user_code import is_users_fault
from dosimeter.jobs.job import Job, missing
from dosimeter.jobs.store import Store
from dosimeter.pipeline.durations import LOADING, estimate, probe_prefix, uncounted
from dosimeter.pipeline.recipe.prepare import Prepared
from dosimeter.training.chain import build_chain, parts_of
from dosimeter.training.defending import DefenseRow
from dosimeter.training.distillation import trainings
from dosimeter.training.features import FeatureJob
from dosimeter.training.packs import PackJob


@dataclass(frozen=True)
class StagePlan:
    """One stage in the plan.

    Attributes:
        name: name of the stage.
        how: "given", or transfer method and model.
        data: name of its training data.
        models: number of models of this stage.
        cached: number of them that are in the store already.
        reason: why other cached models cannot be used, or empty.
    """

    name: str
    how: str
    data: str
    models: int
    cached: int
    reason: str


@dataclass(frozen=True)
class AttackPlan:
    """One attack in the plan; `refused` says why it cannot run, or is empty."""

    id: str
    needs: str
    refused: str


@dataclass(frozen=True)
class Plan:
    """The plan of `run`.

    Attributes:
        key: the audit's key.
        stages: stages of the chain.
        attacks: with refusals.
        seconds: estimated for what is missing, None if a user's `fit` is the only clock.
        memory: estimated peak of one process, bytes.
        disk: estimated new files, bytes.
        free: free space where the store is, bytes.
        hashed: content of the keys of the stage at risk.
        notes: remarks for the reader.
    """

    key: str
    stages: tuple[StagePlan, ...]
    attacks: tuple[AttackPlan, ...]
    seconds: float | None
    memory: int
    disk: int
    free: int
    hashed: dict[str, Any]
    notes: tuple[str, ...]


def make_plan(prepared: Prepared, *, workers: int | None = None) -> Plan:
    """Plans a run; trains nothing beyond a probe of a few updates, whose result is discarded.

    Args:
        prepared: the audit with its data.
        workers: processes that the run would use.
    """
    jobs = prepared.case.jobs
    features, packs, queries = _by_kind(missing(jobs.everything))
    prefix = probe_prefix(prepared)
    width = 0 if prefix is None else prefix.one.numel() * 4
    parameters = _parameters(jobs.packs[0])
    seconds = estimate(prepared, features, packs, queries, workers, prefix)
    stages = _stages(prepared, packs)
    for row, one in prepared.variants:
        own = _variant(row, one, {job.key for job in features} | {job.key for job in packs})
        stages.append(own.plan)
        more = estimate(one, own.features, own.packs, own.queries, workers, prefix)
        seconds = None if seconds is None or more is None else seconds + more - LOADING
        features, packs = [*features, *own.features], [*packs, *own.packs]
    notes = _notes(prepared, estimated=seconds is not None)
    disk = _disk(prepared, width * sum(job.size for job in features), packs, parameters)
    root = existing(prepared.system.store.root)
    free = shutil.disk_usage(root).free
    if disk > free:
        notes.append(f"disk: needs {disk / 1e9:.1f} GB, {free / 1e9:.1f} GB are free: free space or choose --store")
    last = jobs.packs[-1].definition
    hashed = {"stage": last["stage"], "data": prepared.system.at_risk.fingerprint, "torch": last["torch"], "threads": 1}
    return Plan(
        key=prepared.key,
        stages=tuple(stages),
        attacks=tuple(
            AttackPlan(row.id, needs_in_words(row), refusal(row, offer(prepared.case)))
            for row in prepared.audit.attacks
        ),
        seconds=seconds,
        memory=_memory(prepared, width * len(prepared.system.at_risk) * len(prepared.audit.views), parameters),
        disk=disk,
        free=free,
        hashed=hashed,
        notes=tuple(notes),
    )


def seconds_left(prepared: Prepared, *, workers: int | None = None) -> float | None:
    """Duration of a run that is about to train, from a probe as in `make_plan`.

    Args:
        prepared: the audit with its data.
        workers: processes that the run uses.

    Returns:
        The seconds, roughly; None if a user's `fit` is the only clock, or if the user's code raises, which the run
        itself tells better.
    """
    try:
        prefix, total, known = probe_prefix(prepared), 0.0, set[str]()
        for one in (prepared, *(variant for _, variant in prepared.variants)):
            # without the hash of every entry, which the run computes
            todo = [job for job in one.case.jobs.everything if job.key not in known and not job.store.has(job.key)]
            seconds = estimate(one, *_by_kind(todo), workers, prefix)
            if seconds is None:
                return None
            total, known = total + seconds - LOADING, known | {job.key for job in todo}
        return total
    except (Exception, SystemExit) as caught:
        if isinstance(caught, AuditError) or is_users_fault(caught):
            return None
        raise


def _by_kind(jobs: Sequence[Job]) -> tuple[list[FeatureJob], list[PackJob], list[ObserveJob]]:
    """Jobs in three groups: computation of features, training, queries."""
    return (
        [job for job in jobs if isinstance(job, FeatureJob)],
        [job for job in jobs if isinstance(job, PackJob)],
        [job for job in jobs if isinstance(job, ObserveJob)],
    )


def _notes(prepared: Prepared, *, estimated: bool) -> list[str]:
    """Remarks for the reader; `estimated` says whether there is a time estimate."""
    notes = []
    targets = prepared.audit.threat.targets
    if 2 <= targets < 4:
        notes.append(f"targets: intervals over {targets} models are very wide; take 1, or 4 and more, best 8 and more")
    if not estimated:
        notes.append("time: not estimated, since a user's `fit` decides it; `run` shows the time left after one model")
    natural, planted = len(prepared.case.split.pool) // 2, prepared.case.canaries
    many = 0 if planted is None else len(planted.training_rows(0))
    if 10 * many > natural:
        notes.append(f"spike: {many} of a model's {natural + many} training records are canaries: plant fewer?")
    classes = prepared.system.links[-1].classes
    signs = [row.id for row in prepared.audit.attacks if row.settings_for(classes) != row.settings]
    if signs:
        notes.append(f"attack {signs[0]}: two classes leave a direction only its sign, so `unit` is switched off")
    notes += [f"time: the estimate leaves out the shadows that {one} trains" for one in uncounted(prepared)]
    return notes


def needs_in_words(row: NamedAttack) -> str:
    """An attack's needs in words."""
    needs = row.attack.needs
    parts = [str(needs.access.name).lower()]
    if needs.in_shadows:
        parts.append(f"{needs.in_shadows} in-shadows")
    if needs.out_shadows:
        parts.append(f"{needs.out_shadows} out-shadows")
    if needs.population:
        parts.append(f"population {needs.population}")
    told = {
        "features of a frozen backbone": needs.features,
        "the records themselves": needs.inputs,
        "shadows trained anew": needs.retrain,
        "all other training records": needs.informed,
    }
    parts += [words for words, needed in told.items() if needed]
    return ", ".join(parts)


def _stages(prepared: Prepared, todo: Sequence[PackJob]) -> list[StagePlan]:
    """The stages of the chain, with the number of cached models."""
    plans = []
    waiting = {job.key for job in todo}
    for index, (stage, link) in enumerate(zip(prepared.audit.stages, prepared.system.links, strict=False)):
        own = prepared.system.data[index]
        if own is None:
            plans.append(StagePlan(stage.name, f"given: {stage.model}, weights {stage.weights}", "", 0, 0, ""))
            continue
        at_risk = index == prepared.audit.at_risk
        later = [pack for one in prepared.case.jobs.later for pack in one.packs]
        others = [job for job in (*prepared.case.jobs.common, *later) if job.links[-1] == link]
        jobs = prepared.case.jobs.packs if at_risk else others
        models = sum(len(job.models) for job in jobs)
        absent = [job for job in jobs if job.key in waiting]
        cached = models - sum(len(job.models) for job in absent)
        how = f"{stage.transfer}, {stage.fit or stage.model or 'parent model'}"
        data = f"{stage.data}: {len(own)} records"
        if index >= prepared.audit.at_risk:
            data += f", {jobs[0].rows.shape[1]} per model"
        if at_risk:
            data += "" if prepared.case.canaries is None else f", with {len(prepared.case.canaries.rows)} canaries"
        reason = _why_not_cached(prepared.system.store, absent[0].definition) if absent else ""
        plans.append(StagePlan(stage.name, how, data, models, cached, reason))
    return plans


@dataclass(frozen=True)
class _Variant:
    """A variant in the plan, and those of its jobs that are missing."""

    plan: StagePlan
    features: list[FeatureJob]
    packs: list[PackJob]
    queries: list[ObserveJob]


def _variant(row: DefenseRow | VariantRow, prepared: Prepared, known: Set[str]) -> _Variant:
    """Training and queries of a variant, without known jobs; a defense of answers alone trains nothing."""
    jobs = prepared.case.jobs
    features, packs, queries = _by_kind([job for job in missing(jobs.everything) if job.key not in known])
    fleet = [job for kind in (jobs.packs, *(one.packs for one in jobs.later)) for job in kind]
    models, absent = (sum(len(job.models) for job in some) for some in (fleet, packs))
    work = trainings(prepared.system.links[prepared.audit.at_risk].hyperparameters)
    times = f", each the work of {work:g}" if work != 1 else ""
    settings = ", ".join(f"{key} {value}" for key, value in row.settings.items())
    how = f"variant {row.id}: {f'{row.name} ({settings})' if row.name else settings}"
    again = " and ".join(stage.name for stage in prepared.audit.stages[prepared.audit.at_risk :])
    plan = StagePlan(f"{again} again", how, f"{models} models{times}", models, models - absent, "")
    return _Variant(plan, features, packs, queries)


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


def _signal_bytes(prepared: Prepared) -> int:
    """Size of the fleet's signals, bytes."""
    job = prepared.case.jobs.observations[0]
    return len(prepared.case.design.member) * len(job.rows) * len(job.views) * len(job.signals) * 8


def _disk(prepared: Prepared, features: int, packs: Sequence[PackJob], parameters: int) -> int:
    """Bytes that the missing jobs would write, from the bytes of missing features and of one model's weights."""
    weights = parameters * sum(len(job.models) for job in packs)
    return int(prepared.system.at_risk.inputs.nbytes + weights + features + 2 * _signal_bytes(prepared))


def _memory(prepared: Prepared, features: int, parameters: int) -> int:
    """A rough peak of one process: PyTorch itself, the data, the pack with gradients and momentum, the signals."""
    models = parameters * len(prepared.case.jobs.packs[0].models) * 4
    return int(3e8 + prepared.system.at_risk.inputs.nbytes * 2 + models + features + 3 * _signal_bytes(prepared))


def existing(path: Path) -> Path:
    """The nearest folder above a path that exists."""
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path
