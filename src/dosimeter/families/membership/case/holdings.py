"""Holdings of the adversary beside signals, as a threat on a chain or on a supplied model gives them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from dosimeter.data.entries import data_key
from dosimeter.families.attack import NamedAttack
from dosimeter.families.membership.case.texts import texts_job
from dosimeter.families.membership.design.canaries import Canaries
from dosimeter.families.membership.design.design import Split
from dosimeter.families.membership.game import FrozenHead, Needs
from dosimeter.families.membership.observe.fleet_jobs import FleetJobs
from dosimeter.families.membership.observe.signals import SIGNALS
from dosimeter.families.membership.play.frozen_head import (
    HeadRetrain,
    HeadSource,
    RetrainSource,
    can_retrain,
    has_frozen_head,
)
from dosimeter.families.membership.play.holdings import ColumnsJob, HoldingsSource
from dosimeter.families.membership.play.modules import FleetModules, SuppliedModule, WeightsSource
from dosimeter.families.membership.play.texts import TextsHeld, TextsJob
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.seeds import seed_for
from dosimeter.models.access import Access
from dosimeter.training.system import SuppliedSystem, TrainedSystem


@dataclass(frozen=True)
class Fleet:
    """What holdings are made of on a chain.

    Attributes:
        system: the chain and its data.
        jobs: jobs that train and ask its models.
        split: split of the records at risk.
        views: query views.
        access: what the models give away.
        canaries: records planted in the data, or None.
    """

    system: TrainedSystem
    jobs: FleetJobs
    split: Split
    views: tuple[str, ...]
    access: Access
    canaries: Canaries | None


def fleet_holdings(fleet: Fleet, attacks: Sequence[NamedAttack]) -> HoldingsSource:
    """Holdings for a chain; what no attack asks for is None."""
    needs = [row.attack.needs for row in attacks]
    return HoldingsSource(
        _columns(fleet) if any(one.inputs for one in needs) else None,
        _head(fleet) if any(one.features for one in needs) and has_frozen_head(fleet.system) else None,
        _retrain(fleet) if any(one.retrain for one in needs) and can_retrain(fleet.system) else None,
        _weights(fleet) if any(one.weights for one in needs) else None,
        texts_held(fleet.system, attacks, fleet.split.pool[_read_as_texts(fleet.split, needs)]),
    )


def _read_as_texts(split: Split, needs: Sequence[Needs]) -> Array:
    """Positions in the pool of texts that attacks compare with the base: the judged ones, and the known ones after."""
    return np.concatenate([split.candidates, split.known]) if reads_known_texts(needs) else split.candidates


def reads_known_texts(needs: Sequence[Needs]) -> bool:
    """Returns whether an attack compares known texts with the base too."""
    return any(one.base and one.labelled for one in needs)


def texts_held(system: TrainedSystem, attacks: Sequence[NamedAttack], rows: Array) -> TextsJob | None:
    """The job about judged texts, which are rows of the data at risk; None if no attack reads them."""
    needed = any(row.attack.needs.texts or row.attack.needs.base for row in attacks)
    return texts_job(system, rows) if needed and system.link.language else None


def supplied_holdings(
    system: SuppliedSystem, attacks: Sequence[NamedAttack], records: int, texts: str = ""
) -> HoldingsSource:
    """Holdings for a supplied model: its records, and the model itself.

    Args:
        system: the model and its records.
        attacks: attacks to run.
        records: judged and labelled records, the first of all.
        texts: key of the judged texts and of what the base says of them; empty for other records.
    """
    needs, data = [row.attack.needs for row in attacks], data_key(system.pool)
    columns = weights = None
    if any(one.inputs for one in needs):
        rows, seed = np.arange(len(system.pool)), seed_for(system.seed, "columns") % 2**31
        columns = ColumnsJob(system.store, data, (), rows, seed, system.pool.tokens)
    if any(one.weights for one in needs) and system.adapted.module is not None:
        own = SuppliedModule(system.adapted.module, system.adapted.fingerprint, system.store, data)
        weights = WeightsSource(own, records)
    return HoldingsSource(columns, weights=weights, texts=TextsHeld(system.store, texts) if texts else None)


def _weights(fleet: Fleet) -> WeightsSource:
    """The models, and the records that they are asked about."""
    jobs = fleet.jobs.observations
    return WeightsSource(FleetModules(jobs), len(jobs[0].rows) - jobs[0].population)


def _columns(fleet: Fleet) -> ColumnsJob:
    """Columns of candidates and population."""
    system, jobs = fleet.system, fleet.jobs
    return ColumnsJob(
        store=system.store,
        data=data_key(system.at_risk),
        features=jobs.packs[0].features,
        rows=jobs.observations[0].rows,
        seed=seed_for(system.seed, "columns") % 2**31,
        tokens=system.at_risk.tokens,
    )


def _head(fleet: Fleet) -> HeadSource:
    """Features and recipe of heads."""
    hp, split, data = fleet.system.link.hyperparameters, fleet.split, fleet.system.at_risk
    pack = fleet.jobs.packs[0]
    updates = hp.epochs * -(-pack.rows.shape[1] // hp.batch_size)
    known = FrozenHead(
        features=np.empty((len(split.pool), 0), dtype=np.float32),
        labels=np.asarray(data.labels[split.pool], dtype=np.int64),
        classes=fleet.system.link.classes,
        candidates=split.candidates,
        rates=np.array([hp.lr_at(step, updates) for step in range(updates)]),
        momentum=hp.momentum,
        weight_decay=hp.weight_decay,
        standardise=hp.standardise,
    )
    return HeadSource(fleet.system.store, pack.features, split.pool, known)


def _retrain(fleet: Fleet) -> RetrainSource:
    """The training of further heads."""
    link, pool, jobs = fleet.system.link, fleet.split.pool, fleet.jobs
    rows, canaries = pool, fleet.canaries
    if canaries is not None:
        rows = np.concatenate([pool, canaries.rows])
        canaries = replace(canaries, rows=np.arange(len(pool), len(rows)), member=canaries.member[:0])
    own = [job for job in jobs.features if job.data == jobs.packs[0].data]
    known = HeadRetrain(
        features=torch.empty((len(fleet.views), len(rows), 0)),
        labels=torch.from_numpy(np.asarray(fleet.system.at_risk.labels[rows], dtype=np.int64)),
        candidates=fleet.split.candidates,
        classes=link.classes,
        recipe=link.hyperparameters,
        signals=tuple(name for name in jobs.observations[0].signals if name in SIGNALS),
        access=fleet.access,
        device=fleet.system.device,
        canaries=canaries,
    )
    views = tuple(tuple(job for job in own if job.view == view) for view in fleet.views)
    return RetrainSource(fleet.system.store, views, rows, known)
