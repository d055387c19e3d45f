"""A deployed model and its origin, in the form that families of attack need: trained here, or supplied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int
from torch import Tensor

from dosimeter.data import Dataset
from dosimeter.data.cells import Held
from dosimeter.data.entries import data_key
from dosimeter.data.supplied import join_parts
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import TrainingError
from dosimeter.foundation.gate import Gate
from dosimeter.foundation.seeds import seed_for
from dosimeter.jobs.store import Store
from dosimeter.models.language.given import Finetuned
from dosimeter.models.supplied.adapt import Adapted, difference
from dosimeter.training.chain import Link, chain_key
from dosimeter.training.defending import DefenseRow, answering, sending
from dosimeter.training.features import FeatureJob, feature_jobs
from dosimeter.training.language.recipe import Finetuning
from dosimeter.training.later_stages import StageSpec
from dosimeter.training.packs import HEADS_PER_PACK, PackJob
from dosimeter.training.recipe import ChangesAnswers, FitsCut, Release
from dosimeter.training.user_fit import Fit

OF_POOL = ("members", "nonmembers", "labelled members", "labelled non-members", "population")
"""Parts whose records the shadows of a supplied model are trained on or asked about."""
CHANGED = 1e-3
"""Largest change of answers, nats, that rounding of float32 sums in another order explains."""


@runtime_checkable
class System(Protocol):
    """A deployed model and how it came to be.

    Families ask for its abilities, never who built it.
    """

    draws: ClassVar[bool]
    """Whether the rows that a model trains on can be chosen."""

    @property
    def store(self) -> Store:
        """The cache."""
        ...

    @property
    def device(self) -> str:
        """Device on which models are trained and queried."""
        ...

    @property
    def seed(self) -> int:
        """Root of all randomness."""
        ...

    def check_unchanged(self) -> None:
        """Checks, after all training, that the model is the one that was asked before.

        Raises:
            TrainingError: it is not.
        """
        ...


@dataclass(frozen=True)
class JointStage:
    """Who trains the last stage together.

    Attributes:
        parties: records of each party by name, in the order in which they take part.
        alignment: weight of the alignment, of methods that have one.
        local_steps: updates of each party in a round of "fedavg".
    """

    parties: Mapping[str, Dataset]
    alignment: float = 1.0
    local_steps: int = 1


@dataclass(frozen=True)
class TrainedSystem:
    """A chain of stages that dosimeter trains; nothing is trained yet.

    Attributes:
        store: the cache.
        device: device on which models are trained.
        seed: root of all randomness.
        links: the chain.
        data: of each stage, None for a given one; of a joint stage the records of its first party.
        test: test records of the last stage, or None.
        index: index of the stage at risk.
        samples: of each stage the share of its records that a model draws, where it follows the one at risk.
        sources: of each stage the name of its data in the audit file, None for a given one.
        defenses: of each stage.
        parts: parts of data by name, for the adversary.
        joint: who trains the last stage together; None if nobody does.
    """

    draws: ClassVar[bool] = True

    store: Store
    device: str
    seed: int
    links: tuple[Link, ...]
    data: tuple[Dataset | None, ...]
    test: Dataset | None
    index: int
    samples: tuple[float, ...]
    sources: tuple[str | None, ...]
    defenses: tuple[tuple[DefenseRow, ...], ...]
    parts: Mapping[str, Dataset] = field(default_factory=dict)
    joint: JointStage | None = None

    @property
    def datasets(self) -> list[Dataset]:
        """The data of all stages and of all parties, and the test records."""
        parties = () if self.joint is None else self.joint.parties.values()
        return [one for one in (*self.data, *parties, self.test) if one is not None]

    def check_unchanged(self) -> None:
        """Does nothing, since no model is deployed before it is trained."""

    @property
    def answers(self) -> tuple[ChangesAnswers, ...]:
        """Defenses of the deployed model's answers, in order."""
        return answering([row for rows in self.defenses[self.index :] for row in rows])

    @property
    def releases(self) -> tuple[Release | FitsCut, ...]:
        """Defenses of what a device sends over the cut of the deployed model, in order."""
        return sending(self.defenses[-1])

    @property
    def defended(self) -> bool:
        """Returns whether the stage at risk has defenses of any kind."""
        return bool(self.defenses[self.index])

    @property
    def at_risk(self) -> Dataset:
        """The data of the stage at risk."""
        data = self.data[self.index]
        assert data is not None
        return data

    @property
    def link(self) -> Link:
        """The stage at risk."""
        return self.links[self.index]

    @property
    def transferred(self) -> bool:
        """Returns whether stages follow the one at risk."""
        return len(self.links) > self.index + 1

    @property
    def inherits(self) -> bool:
        """Returns whether the stage at risk starts from the weights of the stage before it, trained here or given."""
        return self.index > 0 and self.link.transfer != "scratch"

    @property
    def before(self) -> tuple[PackJob, ...]:
        """Jobs of the stages before the one at risk, one model each, in order."""
        return self._before[0]

    @property
    def parent(self) -> str | None:
        """Key of the weights that the stage at risk starts from; None if they are given."""
        return self._before[1]

    @cached_property
    def _before(self) -> tuple[tuple[PackJob, ...], str | None]:
        """Jobs of the stages before the one at risk, and the key of the last one's weights."""
        jobs: list[PackJob] = []
        parent: str | None = None
        for index in range(self.index):
            dataset = self.data[index]
            if dataset is None:
                parent = None
                continue
            above = chain_key(self.links, index, parent, self.device) if index else None
            jobs.append(
                PackJob(
                    store=self.store,
                    links=self.links[: index + 1],
                    data=data_key(dataset),
                    features=(),
                    parent=parent,
                    prefix=above,
                    models=(0,),
                    rows=np.arange(len(dataset))[None],
                    seed=seed_for(self.seed, "stage", index),
                    device=self.device,
                    whole=True,
                )
            )
            parent = jobs[-1].key
        return tuple(jobs), parent

    def features(self, of: Dataset | None, views: Sequence[str]) -> tuple[FeatureJob, ...]:
        """Jobs of the frozen features of records under each view; none if no frozen part can be shared."""
        links = self.links[: self.index + 1]
        if of is None or self.transferred or not self.link.frozen_prefix:
            return ()
        parent = self.parent
        return tuple(
            feature_jobs(
                self.store,
                links,
                data=(data_key(of), of.inputs_fingerprint),
                records=len(of),
                prefix=chain_key(links, self.index, parent, self.device),
                parent=parent,
                device=self.device,
                views=views,
            )
        )

    def fleet(
        self, rows: Int[Array, "m k"], features: Sequence[FeatureJob], *, alike: bool = False
    ) -> tuple[PackJob, ...]:
        """Jobs that train the stage at risk; whole models one by one if stages follow.

        Args:
            rows: training rows of each model.
            features: features of all records at risk as they are, or none.
            alike: whether all models start from the same fresh weights.
        """
        links, parent = self.links[: self.index + 1], self.parent
        heads = self.link.transfer == "head" and self.link.fit is None and not self.transferred
        size = HEADS_PER_PACK if heads else 1
        prefixed = self.index or self.link.frozen_prefix
        prefix = chain_key(links, self.index, parent, self.device) if prefixed else None
        return tuple(
            PackJob(
                store=self.store,
                links=links,
                data=data_key(self.at_risk),
                features=tuple(features),
                parent=parent,
                prefix=prefix,
                models=tuple(range(start, min(start + size, len(rows)))),
                rows=rows[start : start + size],
                seed=self.seed,
                device=self.device,
                whole=self.transferred,
                alike=alike,
            )
            for start in range(0, len(rows), size)
        )

    def stages_after(self, *, known: bool) -> list[StageSpec]:
        """Stages after the one at risk; if `known`, all models draw the same records of them."""
        found = []
        for index in range(self.index + 1, len(self.links)):
            own = self.data[index]
            assert own is not None
            data = (data_key(own), own.inputs_fingerprint)
            found.append(StageSpec(self.links[: index + 1], data, len(own), self.samples[index], known))
        return found


@dataclass(frozen=True)
class SuppliedSystem:
    """A trained model of the user, the records that they named, and the training of its shadows.

    Attributes:
        store: the cache.
        device: device on which models are queried.
        seed: root of all randomness.
        adapted: the model as one query.
        parts: the records by name: "members", "nonmembers", "population" if there is one, and further ones.
        names: the user's name for each part's records, if they have one.
        fit: trains a shadow; None if there is no recipe.
        gates: checks that were decided when the model and its records were read.
        sources: hashes of the code that shadows depend on.
        probe: some members and non-members.
        answers: what the model said of them when it was first asked.
        noise: by how much that changed when it was asked again, nats.
        seconds: that it took to answer one of them.
        defenses: of what crosses its cut.
        language: the model and its base, if it is a language model; else None.
        finetuning: how the shadows of a language model are finetuned from its base, in the place of `fit`.
    """

    draws: ClassVar[bool] = False

    store: Store
    device: str
    seed: int
    adapted: Adapted
    parts: Mapping[str, Dataset]
    names: Mapping[str, str]
    fit: Fit | str | None
    gates: tuple[Gate, ...]
    probe: Held
    answers: Tensor
    noise: float
    sources: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    defenses: tuple[DefenseRow, ...] = ()
    language: Finetuned | None = None
    finetuning: Finetuning | None = None

    @property
    def trains(self) -> bool:
        """Returns whether shadows can be trained."""
        return self.fit is not None or self.finetuning is not None

    @cached_property
    def pool(self) -> Dataset:
        """Members, non-members, further ones of both kinds that the adversary knows, population, in this order.

        All records where no threat needs any of these.
        """
        return join_parts({name: part for name, part in self.parts.items() if name in OF_POOL} or self.parts)

    @property
    def datasets(self) -> list[Dataset]:
        """All records, as one."""
        return [self.pool]

    def check_unchanged(self) -> None:
        """Checks that the model still answers as it did before the user's `fit` was called.

        Raises:
            TrainingError: it does not, by more than it changes from one query to the next.
        """
        if self.fit is None:
            return
        change = difference(self.adapted.query(self.probe), self.answers)
        if change > max(CHANGED, 10 * self.noise):
            raise TrainingError(
                f"fit: must leave the audited model as it is, got log-confidences that changed by up to {change:.2g} "
                "nats while the shadows were trained: build a fresh model inside fit, since shadows that start from "
                "the audited one have seen its members"
            )
