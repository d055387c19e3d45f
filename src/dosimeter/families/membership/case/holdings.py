"""Holdings of the adversary beside signals, as a threat on a chain or on a supplied model gives them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from dosimeter.data.entries import data_key
from dosimeter.families.attack import NamedAttack
from dosimeter.families.membership.game import FrozenHead
from dosimeter.families.membership.observe.signals import SIGNALS
from dosimeter.families.membership.play.frozen_head import (
    HeadRetrain,
    HeadSource,
    RetrainSource,
    can_retrain,
    has_frozen_head,
)
from dosimeter.families.membership.play.holdings import ColumnsJob, HoldingsSource
from dosimeter.foundation.seeds import seed_for

if TYPE_CHECKING:
    from dosimeter.families.membership.case.drawn import DrawnCase
    from dosimeter.families.membership.case.stated import StatedCase


def fleet_holdings(case: DrawnCase) -> HoldingsSource:
    """Holdings for a chain; what no attack asks for is None."""
    return HoldingsSource(_fleet_columns(case), head_source(case), retrain_source(case))


def supplied_holdings(case: StatedCase) -> HoldingsSource:
    """Holdings for a supplied model: its records."""
    if not asks_records(case.attacks):
        return HoldingsSource()
    system = case.system
    rows, seed = np.arange(len(system.pool)), seed_for(system.seed, "columns") % 2**31
    return HoldingsSource(ColumnsJob(system.store, data_key(system.pool), (), rows, seed, system.pool.tokens))


def asks_records(rows: Iterable[NamedAttack]) -> bool:
    """Returns whether some attack reads records."""
    return any(row.attack.needs.inputs for row in rows)


def _fleet_columns(case: DrawnCase) -> ColumnsJob | None:
    """Columns of candidates and population."""
    if not asks_records(case.attacks):
        return None
    system, jobs = case.system, case.jobs
    return ColumnsJob(
        store=system.store,
        data=data_key(system.at_risk),
        features=jobs.packs[0].features,
        rows=jobs.observations[0].rows,
        seed=seed_for(system.seed, "columns") % 2**31,
        tokens=system.at_risk.tokens,
    )


def head_source(case: DrawnCase) -> HeadSource | None:
    """Features and recipe of heads; None without a frozen backbone or an attack that asks."""
    if not has_frozen_head(case.system) or not any(row.attack.needs.features for row in case.attacks):
        return None
    hp, split, data = case.system.link.hyperparameters, case.split, case.system.at_risk
    pack = case.jobs.packs[0]
    updates = hp.epochs * -(-pack.rows.shape[1] // hp.batch_size)
    known = FrozenHead(
        features=np.empty((len(split.pool), 0), dtype=np.float32),
        labels=np.asarray(data.labels[split.pool], dtype=np.int64),
        classes=case.system.link.classes,
        candidates=split.candidates,
        rates=np.array([hp.lr_at(step, updates) for step in range(updates)]),
        momentum=hp.momentum,
        weight_decay=hp.weight_decay,
        standardise=hp.standardise,
    )
    return HeadSource(case.system.store, pack.features, split.pool, known)


def retrain_source(case: DrawnCase) -> RetrainSource | None:
    """The training of further heads; None where heads cannot be retrained or no attack asks."""
    if not can_retrain(case.system) or not any(row.attack.needs.retrain for row in case.attacks):
        return None
    link, pool, jobs = case.system.link, case.split.pool, case.jobs
    rows, canaries = pool, case.canaries
    if canaries is not None:
        rows = np.concatenate([pool, canaries.rows])
        canaries = replace(canaries, rows=np.arange(len(pool), len(rows)), member=canaries.member[:0])
    own = [job for job in jobs.features if job.data == jobs.packs[0].data]
    known = HeadRetrain(
        features=torch.empty((len(case.views), len(rows), 0)),
        labels=torch.from_numpy(np.asarray(case.system.at_risk.labels[rows], dtype=np.int64)),
        candidates=case.split.candidates,
        classes=link.classes,
        recipe=link.hyperparameters,
        signals=tuple(name for name in jobs.observations[0].signals if name in SIGNALS),
        access=case.threat.access_flag,
        device=case.system.device,
        canaries=canaries,
    )
    views = tuple(tuple(job for job in own if job.view == view) for view in case.views)
    return RetrainSource(case.system.store, views, rows, known)
