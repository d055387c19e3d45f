"""Builds what a game tells of a frozen backbone: the features of the pool and the recipe of the heads on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dosimeter.families.membership.case import Case
from dosimeter.families.membership.design.canaries import Canaries
from dosimeter.families.membership.game import FrozenHead
from dosimeter.families.membership.observe.signals import SIGNALS, signals_of
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.seeds import generator, seed_for
from dosimeter.jobs.runners import one_thread
from dosimeter.models.access import Access
from dosimeter.training.features import load_features
from dosimeter.training.heads import train_heads
from dosimeter.training.packs import HEADS_PER_PACK
from dosimeter.training.recipe import Hyperparameters


def has_frozen_head(case: Case) -> bool:
    """Returns whether the models at risk are linear heads on frozen features that SGD trains, by the built-in loop."""
    link = case.system.link
    hp = link.hyperparameters
    return link.transfer == "head" and link.fit is None and hp.optimizer == "sgd" and not hp.defenses


def frozen_head(case: Case) -> FrozenHead | None:
    """Features and recipe, once the features are in the store; None without a frozen backbone or attack that asks."""
    if not has_frozen_head(case) or not any(row.attack.needs.features for row in case.attacks):
        return None
    hp, split, data = case.system.link.hyperparameters, case.split, case.system.at_risk
    features = load_features(case.system.store, case.jobs.packs[0].features).numpy()
    updates = hp.epochs * -(-case.jobs.packs[0].rows.shape[1] // hp.batch_size)
    return FrozenHead(
        features=features[split.pool],
        labels=np.asarray(data.labels[split.pool], dtype=np.int64),
        classes=case.system.link.classes,
        candidates=split.candidates,
        rates=np.array([hp.lr_at(step, updates) for step in range(updates)]),
        momentum=hp.momentum,
        weight_decay=hp.weight_decay,
        standardise=hp.standardise,
    )


def can_retrain(case: Case) -> bool:
    """Returns whether an adversary can train hundreds of such models: heads on frozen features, without a defense."""
    link = case.system.link
    return link.transfer == "head" and link.fit is None and not case.defended


@dataclass(frozen=True, eq=False)
class HeadRetrain:
    """Trains heads as the stage at risk does; a `games.Retrain`. It holds neither membership nor seed of the fleet.

    Planted canaries belong to the stage's training, so every head trains on half of each grade, drawn anew.

    Attributes:
        features: features of the pool, and of the canaries after it, under each view `[q a d]`.
        labels: their classes `[a]`.
        candidates: the judged records, as positions in the pool `[n]`.
        classes: number of classes.
        recipe: recipe of the heads.
        signals: that are read of them.
        access: what they give away.
        device: device to train on.
        canaries: the planted records, as positions in `features`, in no model; None without any.
    """

    features: Float[Tensor, "q a d"]
    labels: Int[Tensor, " a"]
    candidates: Int[Array, " n"]
    classes: int
    recipe: Hyperparameters
    signals: tuple[str, ...]
    access: Access
    device: str
    canaries: Canaries | None = None

    def __call__(self, member: Bool[Array, "k n"], seed: int) -> Mapping[str, Float[Array, "k q n"]]:
        """Implements `games.Retrain`."""
        rows = self._rows(member, seed)
        seeds = [seed_for(seed, "retrained head", number) for number in range(len(rows))]
        judged = self.features[:, self.candidates].double()
        labels, found = self.labels[self.candidates], []
        with one_thread():
            for start in range(0, len(rows), HEADS_PER_PACK):
                pack = slice(start, start + HEADS_PER_PACK)
                heads = train_heads(
                    self.features[0], self.labels, rows[pack], self.recipe, classes=self.classes, seeds=seeds[pack],
                    device=torch.device(self.device),
                )  # fmt: skip
                for weight, bias in zip(heads.weight.double(), heads.bias.double(), strict=True):
                    answers = [torch.addmm(bias, view, weight.T) for view in judged]
                    found.append(signals_of(answers, labels, self.signals, self.access))
        return {name: torch.stack([one[name] for one in found]).numpy() for name in self.signals}

    def _rows(self, member: Bool[Array, "k n"], seed: int) -> Int[Array, "k h"]:
        """Training rows of each head: candidates as asked for, others at random up to half of the pool, canaries."""
        planted = None
        if self.canaries is not None:
            planted = self.canaries.redraw(len(member), seed_for(seed, "retrained canaries"))
        pool = len(self.labels) - (0 if planted is None else len(planted.rows))
        rng = generator(seed, "retrained membership")
        others, rows = np.setdiff1d(np.arange(pool), self.candidates), []
        for number, row in enumerate(member):
            wanted = pool // 2 - int(row.sum())
            if not 0 <= wanted <= len(others):
                raise ValueError(
                    f"member must leave {pool // 2 - len(others)} to {pool // 2} candidates in each row, got "
                    f"{int(row.sum())}: every shadow trains on half of the pool of {pool}"
                )
            chosen = rng.choice(others, wanted, replace=False)
            natural = np.sort(np.concatenate([self.candidates[row], chosen]))
            rows.append(natural if planted is None else np.concatenate([natural, planted.training_rows(number)]))
        return np.stack(rows)


def head_retrain(case: Case) -> HeadRetrain | None:
    """Builds the handle, once the features are in the store; None where heads cannot be retrained or no attack asks."""
    if not can_retrain(case) or not any(row.attack.needs.retrain for row in case.attacks):
        return None
    link, pool, jobs = case.system.link, case.split.pool, case.jobs
    rows, canaries = pool, case.canaries
    if canaries is not None:
        rows = np.concatenate([pool, canaries.rows])
        canaries = replace(canaries, rows=np.arange(len(pool), len(rows)), member=canaries.member[:0])
    own = [job for job in jobs.features if job.data == jobs.packs[0].data]
    views = [load_features(case.system.store, [job for job in own if job.view == view]) for view in case.views]
    return HeadRetrain(
        features=torch.stack([view[rows] for view in views]),
        labels=torch.from_numpy(np.asarray(case.system.at_risk.labels[rows], dtype=np.int64)),
        candidates=case.split.candidates,
        classes=link.classes,
        recipe=link.hyperparameters,
        signals=tuple(name for name in jobs.observations[0].signals if name in SIGNALS),
        access=case.threat.access_flag,
        device=case.system.device,
        canaries=canaries,
    )
