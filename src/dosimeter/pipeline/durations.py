"""Duration of a run: a probe of each kind of job, and the work of attacks in units of the probe_signals work."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dosimeter.families.membership.design.target_halves import playing_rows
from dosimeter.families.membership.observe.observe import ObserveJob
from dosimeter.families.membership.observe.probes import PROBES
from dosimeter.families.membership.observe.probes.subject import Load, Probe
from dosimeter.families.membership.refusals import offer, refusal
from dosimeter.jobs.runners import one_thread, workers_for
from dosimeter.models.architectures import as_float
from dosimeter.pipeline.recipe.prepare import Prepared
from dosimeter.training.chain import build_chain, parts_of
from dosimeter.training.distillation import pupil, teach_heads, trainings
from dosimeter.training.features import RECORDS_PER_CHUNK, FeatureJob, forward
from dosimeter.training.loop import train
from dosimeter.training.packs import PackJob

PROBE_STEPS = 6
LOADING = min(time.process_time(), 15.0)
"""Seconds that this process took to import PyTorch and the rest; a run and its workers will need them again."""
JOB_SECONDS = 0.01
"""Seconds to send a job to a worker and to write its entry."""
ATTACK_SECONDS = 3e-8
"""Seconds for each number that an attack reads, measured with the built-in attacks on one core of 2024."""
REPORT_SECONDS = 2.0
"""Seconds to measure, draw and write."""


@dataclass(frozen=True)
class Prefix:
    """The frozen prefix of the deployed stage: its outputs for one record, and the seconds for a chunk of records."""

    one: Tensor
    seconds: float


def probe_prefix(prepared: Prepared) -> Prefix | None:
    """Runs the frozen prefix on a few records, if there is one."""
    index, probe = len(prepared.system.links) - 1, 8
    if not prepared.system.links[index].frozen_prefix:
        return None
    frozen = parts_of(prepared.system.links, index, build_chain(prepared.system.links, index, 0, None)).frozen
    assert frozen is not None
    inputs = as_float(torch.from_numpy(prepared.system.at_risk.inputs[:probe].copy()))
    with one_thread():
        one = forward(frozen, inputs[:1], torch.device(prepared.system.device))
        start = time.perf_counter()
        forward(frozen, inputs, torch.device(prepared.system.device))
    return Prefix(one, (time.perf_counter() - start) * RECORDS_PER_CHUNK / len(inputs))


def estimate(
    prepared: Prepared,
    features: Sequence[FeatureJob],
    packs: Sequence[PackJob],
    queries: Sequence[ObserveJob],
    workers: int | None,
    prefix: Prefix | None,
) -> float | None:
    """Seconds of a run, from a probe of each kind of job on one thread; a rough figure.

    Args:
        prepared: the audit with its data.
        features: jobs that are missing.
        packs: training jobs that are missing.
        queries: query jobs that are missing.
        workers: processes that the run would use; None for one per core.
        prefix: the frozen prefix of the stage at risk, or None.

    Returns:
        The seconds; None if a user's `fit` is the clock.
    """
    if any(job.links[-1].fit for job in packs):
        return None
    cores, parts = workers_for(workers, prepared.system.device), []
    with one_thread():
        if features and prefix is not None:
            own = [job for job in features if len(job.links) == len(prepared.system.links)]
            each = prefix.seconds * sum(job.size for job in own) / RECORDS_PER_CHUNK / max(1, len(own))
            parts.append((each, len(own)))
        for job in {id(job.links): job for job in packs}.values():
            same = [other for other in packs if other.links is job.links]
            parts.append((_training(job) * _pace(prepared, job, prefix), len(same)))
        if queries:
            each = _probe_query(prepared, queries[0], prefix) + _work_of_probes(prepared, queries[0], prefix)
            parts.append((each, len(queries)))
        retraining = _retraining(prepared, prefix)
    total = sum((seconds + JOB_SECONDS) * -(-count // min(cores, count)) for seconds, count in parts if count)
    spawned = cores > 1 and any(count > 1 for _, count in parts)
    return LOADING * (2 if spawned else 1) + total + _attack_seconds(prepared) + retraining + REPORT_SECONDS


def _attack_seconds(prepared: Prepared) -> float:
    """Seconds of all attacks: each reads every signal of the shadows for each fold, rehearsal and the null audit."""
    design = prepared.case.design
    games = len(design.folds) * (2 + len(design.rehearsal_rows) // 2)
    numbers = len(design.member) * len(prepared.audit.views) * (len(design.ids) + len(design.population_ids))
    return len(prepared.audit.attacks) * games * (numbers * ATTACK_SECONDS + 1e-3)


def _retraining(prepared: Prepared, prefix: Prefix | None) -> float:
    """Seconds for the shadows that attacks train themselves, one game after another; an upper limit."""
    given, design, job = offer(prepared.case), prepared.case.design, prepared.case.jobs.packs[0]
    rows = [row for row in prepared.audit.attacks if not refusal(row, given)]
    trained = sum(row.trainings or 0 for row in rows)
    if not trained:
        return 0.0
    judged = 2 * design.targets + len(design.folds) * len(design.rehearsal_rows) + len(playing_rows(design))
    return trained * judged * _training(job) * _pace(prepared, job, prefix) / len(job.models)


def uncounted(prepared: Prepared) -> list[str]:
    """Attacks whose own training is not in the estimate, since only they know its amount."""
    given = offer(prepared.case)
    return [row.id for row in prepared.audit.attacks if row.trainings is None and not refusal(row, given)]


def _work_of_probes(prepared: Prepared, job: ObserveJob, prefix: Prefix | None) -> float:
    """Seconds for the training and solving that probes do for one pack, beside their forward passes."""
    load = Load(
        models=len(job.pack.models),
        pool=len(prepared.case.split.pool),
        population=job.population,
        classes=job.pack.links[-1].classes,
        width=None if prefix is None else prefix.one.numel(),
        pace=lambda: _pace(prepared, job.pack, prefix),
    )
    return sum(one.seconds(load) for one in _probes_of(job))


def _probes_of(job: ObserveJob) -> list[Probe]:
    """The probes that a job runs, each once, however many of its signals are requested."""
    return list({id(PROBES[name]): PROBES[name] for name in job.probe_signals}.values())


def _probe_query(prepared: Prepared, job: ObserveJob, prefix: Prefix | None) -> float:
    """Seconds to query and to probe one pack."""
    probes = _probes_of(job)
    if job.pack.heads and job.features:
        whole = sum(one.passes for one in probes if one.from_records)
        each = whole * prefix.seconds / RECORDS_PER_CHUNK if prefix is not None else 0.0
        each += 1e-8 * len(job.views) * job.pack.links[-1].classes
        return each * len(job.rows) * len(job.pack.models)
    model = build_chain(job.pack.links, len(job.pack.links) - 1, 0, None)
    inputs = as_float(torch.from_numpy(prepared.system.at_risk.inputs[:32].copy()))
    passes = []
    for _ in range(2):
        start = time.perf_counter()
        forward(model, inputs, torch.device(prepared.system.device))
        passes.append(time.perf_counter() - start)
    return min(passes) / len(inputs) * len(job.rows) * (len(job.views) + sum(one.passes for one in probes))


def _training(job: PackJob) -> float:
    """Number of record visits in the training of one model of a pack: records times epochs."""
    hp = job.links[-1].hyperparameters
    return float(job.rows.shape[1] * hp.epochs * trainings(hp))


def _pace(prepared: Prepared, job: PackJob, prefix: Prefix | None) -> float:
    """Seconds in which a pack trains on one record in one epoch, from a few updates."""
    link = job.links[-1]
    hp = dataclasses.replace(job.recipe, epochs=1)
    dataset = prepared.system.data[len(job.links) - 1]
    assert dataset is not None
    inputs = torch.from_numpy(dataset.inputs[: PROBE_STEPS * hp.batch_size].copy())
    labels = torch.from_numpy(dataset.labels[: len(inputs)])
    if hp.privacy is not None:
        alike = dataclasses.replace(hp.privacy, rate=min(1.0, hp.batch_size / len(inputs)), steps=PROBE_STEPS)
        hp = dataclasses.replace(hp, privacy=alike)
    parts = None
    if not job.heads:
        parts = parts_of(job.links, len(job.links) - 1, build_chain(job.links, len(job.links) - 1, 0, None))
    if link.frozen_prefix and job.links is prepared.system.links and prefix is not None:
        inputs = prefix.one.repeat(len(labels), *[1] * (prefix.one.ndim - 1))
    elif parts is not None and parts.frozen is not None:
        inputs = forward(parts.frozen, as_float(inputs[:1]), torch.device("cpu")).repeat_interleave(len(labels), 0)
    device, passes = torch.device(prepared.system.device), []
    for _ in range(3):  # the first pass pays for what PyTorch sets up once
        start = time.perf_counter()
        if parts is None:
            rows, seeds = np.tile(np.arange(len(inputs)), (len(job.models), 1)), [0] * len(job.models)
            teach_heads(inputs, labels, rows, pupil(hp), classes=link.classes, seeds=seeds, device=device)
        else:
            train(parts.trained, inputs, labels, pupil(hp), seed=0, device=device)
        passes.append(time.perf_counter() - start)
    return float(min(passes)) / len(inputs)
