"""Heads on a frozen backbone in a game: the features of the pool, the recipe of the heads, and their training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dosimeter.families.membership.design.canaries import Canaries
from dosimeter.families.membership.game import FrozenHead
from dosimeter.families.membership.observe.signals import signals_of
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.seeds import generator, seed_for
from dosimeter.jobs.arrays import arrays_hash
from dosimeter.jobs.runners import one_thread
from dosimeter.jobs.store import Store
from dosimeter.models.access import Access
from dosimeter.training.features import FeatureJob, load_features
from dosimeter.training.heads import train_heads
from dosimeter.training.packs import HEADS_PER_PACK
from dosimeter.training.recipe import Hyperparameters
from dosimeter.training.system import TrainedSystem


def has_frozen_head(system: TrainedSystem) -> bool:
    """Returns whether the models at risk are linear heads on frozen features that SGD trains, by the built-in loop."""
    link = system.link
    hp = link.hyperparameters
    return link.transfer == "head" and link.fit is None and hp.optimizer == "sgd" and not hp.defenses


def can_retrain(system: TrainedSystem) -> bool:
    """Returns whether an adversary can train hundreds of such models: heads on frozen features, without a defense."""
    return system.link.transfer == "head" and system.link.fit is None and not system.defended


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


@dataclass(frozen=True)
class HeadSource:
    """Description of a `FrozenHead` whose features are in the store.

    Attributes:
        store: the store.
        features: jobs of the features of all records at risk.
        pool: records of which every head trains on one half, as rows of the data.
        known: the head, as yet without features.
    """

    store: Store
    features: tuple[FeatureJob, ...]
    pool: Int[Array, " p"]
    known: FrozenHead

    @property
    def definition(self) -> dict[str, Any]:
        """Content of the key of a play that reads the head."""
        known = self.known
        arrays = arrays_hash(pool=self.pool, labels=known.labels, candidates=known.candidates, rates=known.rates)
        settings = [known.classes, known.momentum, known.weight_decay, known.standardise]
        return {"features": [job.key for job in self.features], "arrays": arrays, "settings": settings}

    def load(self) -> FrozenHead:
        """The head with its features."""
        return replace(self.known, features=load_features(self.store, self.features).numpy()[self.pool])


@dataclass(frozen=True)
class RetrainSource:
    """Description of a `HeadRetrain` whose features are in the store.

    Attributes:
        store: the store.
        features: jobs of the features of all records at risk, for each view.
        rows: records of the pool, then canaries, as rows of the data `[a]`.
        known: the handle, as yet without features.
    """

    store: Store
    features: tuple[tuple[FeatureJob, ...], ...]
    rows: Int[Array, " a"]
    known: HeadRetrain

    @property
    def definition(self) -> dict[str, Any]:
        """Content of the key of a play that trains heads."""
        known = self.known
        planted = {}
        if known.canaries is not None:
            own = known.canaries
            planted = {"canaries": arrays_hash(rows=own.rows, kind=own.kind, copies=own.copies)}
        return {
            "features": [[job.key for job in view] for view in self.features],
            "arrays": arrays_hash(rows=self.rows, labels=known.labels.numpy(), candidates=known.candidates),
            "classes": known.classes,
            "recipe": known.recipe.settings,
            "signals": list(known.signals),
            "access": str(known.access.name),
            "device": known.device.split(":")[0],
            **planted,
        }

    def load(self) -> HeadRetrain:
        """The handle with its features."""
        views = [load_features(self.store, jobs)[torch.from_numpy(self.rows)] for jobs in self.features]
        return replace(self.known, features=torch.stack(views))
