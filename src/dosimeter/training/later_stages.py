"""Stages after the one at risk: each model of the fleet is transferred separately, to records drawn for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from dosimeter.foundation.arrays import Array
from dosimeter.foundation.seeds import generator, seed_for
from dosimeter.training.chain import Link, chain_key
from dosimeter.training.features import FeatureJob, feature_jobs
from dosimeter.training.packs import PackJob


@dataclass(frozen=True)
class StageJobs:
    """Jobs of one stage after the one at risk, for the whole fleet.

    Attributes:
        name: name of the stage.
        features: jobs that compute each model's frozen features of the stage's records; or empty.
        packs: one for each model.
    """

    name: str
    features: tuple[FeatureJob, ...]
    packs: tuple[PackJob, ...]


@dataclass(frozen=True)
class StageSpec:
    """A stage after the one at risk, before its jobs are known.

    Attributes:
        link: with those before it, the last of them.
        data: key of its records, and what their inputs are.
        records: how many there are.
        sample: share of them that each model draws.
        known: all models draw the same ones, as an adversary's would who knows the target's.
    """

    links: tuple[Link, ...]
    data: tuple[str, str]
    records: int
    sample: float
    known: bool


def draw_records(further: StageSpec, model: int, seed: int) -> Int[Array, " k"]:
    """Records that a model is finetuned on: a share of all, drawn for each model, at least one."""
    count = max(1, round(further.sample * further.records))
    rng = generator(seed, "finetuning records", len(further.links), 0 if further.known else model)
    return np.sort(rng.permutation(further.records)[:count])


def transfer(packs: Sequence[PackJob], stages: Sequence[StageSpec], seed: int) -> tuple[StageJobs, ...]:
    """Jobs that take each model of the stage at risk through the stages after it.

    Args:
        packs: the stage at risk, one whole model each.
        stages: in order.
        seed: seed of the audit.
    """
    found: list[StageJobs] = []
    for number, further in enumerate(stages):
        link, last = further.links[-1], number == len(stages) - 1
        cached = link.transfer == "head" and link.fit is None
        features: list[FeatureJob] = []
        later: list[PackJob] = []
        for before in found[-1].packs if found else packs:
            (model,) = before.models
            prefix = chain_key(further.links, len(further.links) - 1, before.key, before.device)
            own = feature_jobs(
                before.store, further.links, data=further.data, records=further.records, prefix=prefix,
                parent=before.key, device=before.device, views=("identity",) if cached else (), size=further.records,
            )  # fmt: skip
            features += own
            later.append(
                PackJob(
                    store=before.store,
                    links=further.links,
                    data=further.data[0],
                    features=tuple(own),
                    parent=before.key,
                    prefix=prefix,
                    models=(model,),
                    rows=draw_records(further, model, seed)[None],
                    seed=seed_for(seed, "stage", len(further.links) - 1),
                    device=before.device,
                    whole=not last,
                )
            )
        found.append(StageJobs(link.name, tuple(features), tuple(later)))
    return tuple(found)
