"""Duration of a run: a probe of each kind of job, and the work of attacks in units of the probed work."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from dosimeter.jobs.job import Costed, Job
from dosimeter.jobs.runners import Workers, one_thread, workers_for
from dosimeter.models.architectures import as_float
from dosimeter.models.language.statistics import token_statistics
from dosimeter.pipeline.durations import LOADING, REPORT_SECONDS
from dosimeter.training.chain import build_chain, parts_of
from dosimeter.training.construction.joining import made_up
from dosimeter.training.distillation import pupil, teach_heads, trainings
from dosimeter.training.features import RECORDS_PER_CHUNK, FeatureJob, forward
from dosimeter.training.loop import train
from dosimeter.training.packs import PackJob
from dosimeter.training.system import TrainedSystem

PROBE_STEPS = 6
JOB_SECONDS = 0.01
"""Seconds to send a job to a worker and to write its entry."""


@dataclass(frozen=True)
class Prefix:
    """The frozen prefix of the deployed stage: its outputs for one record, and the seconds for a chunk of records."""

    one: Tensor
    seconds: float


def probe_prefix(system: TrainedSystem) -> Prefix | None:
    """Runs the frozen prefix on a few records, if there is one."""
    index, probe = len(system.links) - 1, 8
    if not system.links[index].frozen_prefix:
        return None
    frozen = parts_of(system.links, index, build_chain(system.links, index, 0, None)).frozen
    assert frozen is not None
    inputs = as_float(torch.from_numpy(system.at_risk.inputs[:probe].copy()))
    with one_thread():
        one = forward(frozen, inputs[:1], torch.device(system.device))
        start = time.perf_counter()
        forward(frozen, inputs, torch.device(system.device))
    return Prefix(one, (time.perf_counter() - start) * RECORDS_PER_CHUNK / len(inputs))


@dataclass(frozen=True)
class Pace:
    """Speed of this machine on the work of a chain, measured on a few records; a `jobs.job.Pace`.

    Attributes:
        system: the chain and its data.
        prefix: the frozen prefix of the deployed stage, or None.
        known: speeds that were measured, by stage and by how a pack is trained.
    """

    system: TrainedSystem
    prefix: Prefix | None
    known: dict[object, float] = field(default_factory=dict)

    @property
    def frozen(self) -> float | None:
        """Seconds in which the frozen prefix answers for one record; None without one."""
        return None if self.prefix is None else self.prefix.seconds / RECORDS_PER_CHUNK

    @property
    def width(self) -> int | None:
        """Numbers that the frozen prefix gives for one record; None without one."""
        return None if self.prefix is None else self.prefix.one.numel()

    def trained(self, job: PackJob) -> float:
        """Seconds in which a pack trains on one record in one epoch."""
        kind = len(job.links), job.heads, len(job.models) if job.heads else 1
        if kind not in self.known:
            self.known[kind] = _pace(self.system, job, self.prefix)
        return self.known[kind]

    def whole(self, job: PackJob) -> float:
        """Seconds to train one model of a pack."""
        return _training(job) * self.trained(job) / len(job.models)

    def answer(self, job: PackJob) -> float:
        """Seconds in which one whole model of a pack answers for one record."""
        if (kind := ("answer", len(job.links))) not in self.known:
            self.known[kind] = self._ask(job)
        return self.known[kind]

    def _ask(self, job: PackJob) -> float:
        """Asks a whole model of a pack about a few records."""
        model = build_chain(job.links, len(job.links) - 1, 0, None)
        inputs = as_float(torch.from_numpy(self.system.at_risk.inputs[:32].copy()))
        passes = []
        for _ in range(2):
            start = time.perf_counter()
            if job.links[-1].language:
                token_statistics(model, inputs, torch.device(self.system.device))
            else:
                forward(model, inputs, torch.device(self.system.device))
            passes.append(time.perf_counter() - start)
        return min(passes) / len(inputs)


def pace_of(system: TrainedSystem) -> Pace:
    """The speed of this machine, of which each part is measured when it is first asked for."""
    with one_thread():
        return Pace(system, probe_prefix(system))


def estimate(
    system: TrainedSystem, jobs: Sequence[Job], workers: Workers | int | None, pace: Pace | None = None
) -> float | None:
    """Seconds of a run, from a probe of each kind of job on one thread; a rough figure.

    Args:
        system: the chain and its data.
        jobs: jobs that are missing.
        workers: who does the jobs.
        pace: of the same system, if it was measured.

    Returns:
        The seconds; None if a user's `fit` is the clock.
    """
    features = [job for job in jobs if isinstance(job, FeatureJob)]
    packs = [job for job in jobs if isinstance(job, PackJob)]
    others = [job for job in jobs if isinstance(job, Costed)]
    if any(job.links[-1].fit for job in packs):
        return None
    cores, parts = workers_for(workers, system.device), []
    pace = pace or pace_of(system)
    with one_thread():
        if features and pace.prefix is not None:
            own = [job for job in features if len(job.links) == len(system.links)]
            each = pace.prefix.seconds * sum(job.size for job in own) / RECORDS_PER_CHUNK / max(1, len(own))
            parts.append((each, len(own)))
        for job in {id(job.links): job for job in packs}.values():
            same = [other for other in packs if other.links is job.links]
            parts.append((_training(job) * pace.trained(job), len(same)))
        costs: dict[object, float] = {}
        for one in others:
            if one.alike not in costs:
                costs[one.alike] = one.cost(pace)
        parts += [(costs[alike], sum(one.alike == alike for one in others)) for alike in costs]
    total = sum((seconds + JOB_SECONDS) * -(-count // min(cores, count)) for seconds, count in parts if count)
    spawned = cores > 1 and any(count > 1 for _, count in parts)
    return LOADING * (2 if spawned else 1) + total + REPORT_SECONDS


def _training(job: PackJob) -> float:
    """Number of record visits in the training of one model of a pack: records times epochs."""
    hp = job.links[-1].hyperparameters
    return float(job.rows.shape[1] * hp.epochs * trainings(hp))


def _pace(system: TrainedSystem, job: PackJob, prefix: Prefix | None) -> float:
    """Seconds in which a pack trains on one record in one epoch, from a few updates."""
    link = job.links[-1]
    hp = dataclasses.replace(job.recipe, epochs=1)
    dataset = system.data[len(job.links) - 1]
    assert dataset is not None
    inputs = torch.from_numpy(dataset.inputs[: PROBE_STEPS * hp.batch_size].copy())
    labels = inputs if link.language else torch.from_numpy(dataset.labels[: len(inputs)])
    if hp.privacy is not None:
        alike = dataclasses.replace(hp.privacy, rate=min(1.0, hp.batch_size / len(inputs)), steps=PROBE_STEPS)
        hp = dataclasses.replace(hp, privacy=alike)
    parts = None
    if not job.heads:
        parts = parts_of(job.links, len(job.links) - 1, build_chain(job.links, len(job.links) - 1, 0, None))
    if link.frozen_prefix and job.links is system.links and prefix is not None:
        inputs = prefix.one.repeat(len(labels), *[1] * (prefix.one.ndim - 1))
    elif parts is not None and parts.frozen is not None:
        inputs = forward(parts.frozen, as_float(inputs[:1]), torch.device("cpu")).repeat_interleave(len(labels), 0)
    device, passes = torch.device(system.device), []
    for _ in range(3):  # the first pass pays for what PyTorch sets up once
        start = time.perf_counter()
        if parts is None:
            rows, seeds = np.tile(np.arange(len(inputs)), (len(job.models), 1)), [0] * len(job.models)
            teach_heads(inputs, labels, rows, pupil(hp), classes=link.classes, seeds=seeds, device=device)
        else:
            train(parts.trained, inputs, labels, made_up(pupil(hp), len(inputs)), seed=0, device=device)
        passes.append(time.perf_counter() - start)
    return float(min(passes)) / len(inputs)
