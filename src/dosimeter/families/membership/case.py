"""Membership on a chain that is trained here: who is trained on what, and all jobs by key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Int

from dosimeter.data.entries import data_key
from dosimeter.families.attack import NamedAttack
from dosimeter.families.membership.design.canaries import Canaries
from dosimeter.families.membership.design.design import Design, Split
from dosimeter.families.membership.design.draw import matrix_of
from dosimeter.families.membership.observe.observations import Observations, gather, with_reference
from dosimeter.families.membership.observe.observe import ObserveJob, situation_of
from dosimeter.families.membership.observe.probes import PROBES, lacking
from dosimeter.families.membership.observe.signals import SIGNALS, readable
from dosimeter.families.membership.threat import Threat
from dosimeter.foundation.arrays import Array
from dosimeter.jobs.job import Job
from dosimeter.models.access import Access
from dosimeter.training.features import FeatureJob
from dosimeter.training.later_stages import StageJobs, transfer
from dosimeter.training.packs import PackJob
from dosimeter.training.recipe import ChangesAnswers
from dosimeter.training.system import TrainedSystem


@dataclass(frozen=True)
class Jobs:
    """All work of a run, in the order of its dependencies.

    Attributes:
        common: stages before the one at risk, one model each, in order.
        features: frozen features of all records and views.
        packs: the fleet.
        observations: the deployed fleet's outputs.
        canaries: the fleet's outputs on natural records and canaries together; empty if none were planted.
        later: jobs of the stages after the one at risk.
        before: outputs of the models at risk themselves, if later stages follow; else empty.
        canaries_before: outputs of the models at risk on natural records and canaries together.
    """

    common: tuple[PackJob, ...]
    features: tuple[FeatureJob, ...]
    packs: tuple[PackJob, ...]
    observations: tuple[ObserveJob, ...]
    canaries: tuple[ObserveJob, ...] = ()
    later: tuple[StageJobs, ...] = ()
    before: tuple[ObserveJob, ...] = ()
    canaries_before: tuple[ObserveJob, ...] = ()

    @property
    def phases(self) -> list[tuple[str, Sequence[Job]]]:
        """All jobs, grouped by kind in order; jobs of one phase do not depend on each other."""
        found: list[tuple[str, Sequence[Job]]] = [(f"stage {job.links[-1].name}", [job]) for job in self.common]
        found += [("features", self.features), ("models", self.packs)]
        for one in self.later:
            found += [(f"features for stage {one.name}", one.features), (f"stage {one.name}", one.packs)]
        return [*found, ("queries", (*self.observations, *self.before, *self.canaries, *self.canaries_before))]

    @property
    def everything(self) -> list[Job]:
        """The jobs of all phases."""
        return [job for _, kind in self.phases for job in kind]

    def gathered(self, *, canaries: bool = False) -> Observations:
        """Observations of natural records, or of canaries together with them."""
        deployed = gather(self.canaries if canaries else self.observations)
        return (
            with_reference(deployed, gather(self.canaries_before if canaries else self.before))
            if self.before
            else deployed
        )


@dataclass(frozen=True)
class Case:
    """One threat of membership on a chain that is trained; nothing is trained yet.

    Attributes:
        system: the chain and its data.
        threat: the adversary.
        views: query views.
        attacks: attacks to run, in order.
        answers: defenses of the deployed model's answers, in order.
        defended: whether the stage at risk has defenses of any kind.
        split: split of the records at risk.
        design: the design of the audit.
        canaries: records planted in the data of the stage at risk, or None.
    """

    system: TrainedSystem
    threat: Threat
    views: tuple[str, ...]
    attacks: tuple[NamedAttack, ...]
    answers: tuple[ChangesAnswers, ...]
    defended: bool
    split: Split
    design: Design
    canaries: Canaries | None = None

    @cached_property
    def matrix(self) -> Bool[Array, "m p"]:
        """Membership matrix: which model trains on which record of the pool."""
        return matrix_of(self.threat, self.system.seed, self.system.at_risk, self.split)

    @property
    def null_matrix(self) -> Bool[Array, "m n"]:
        """Membership of the candidates in another matrix, drawn in the same way, that no model was trained on."""
        matrix = matrix_of(self.threat, self.system.seed, self.system.at_risk, self.split, "null membership")
        return matrix[:, self.split.candidates]

    @property
    def signals(self) -> set[str]:
        """Names of the signals that the attacks read."""
        return {signal for row in self.attacks for signal in row.attack.signals}

    @property
    def knows_classes(self) -> bool:
        """Returns whether records at risk have the deployed model's classes, so that a record's own class is one."""
        last = self.system.data[-1]
        return last is None or last.classes == self.system.at_risk.classes

    @property
    def withheld(self) -> Mapping[str, str]:
        """Signals of probes that attacks ask for but these models cannot give, each with the reason."""
        link = self.system.link
        if self.system.transferred:
            reason = (
                f"asks the models of stage {link.name!r} themselves, which are transferred before anyone sees them: "
                "end the chain at that stage, or leave the attack out"
            )
            return {name: reason for name in self.signals if name in PROBES}
        single = self.threat.unit == "record" and self.canaries is None
        population = len(self.split.population)
        return lacking(situation_of(link, self.system.at_risk.inputs, population, single=single), self.signals)

    @cached_property
    def jobs(self) -> Jobs:
        """All jobs of the run, with their keys."""
        system = self.system
        own, test = system.features(system.at_risk, self.views), system.features(system.test, self.views[:1])
        packs = system.fleet(
            self._training_rows(),
            [job for job in own if job.view == self.views[0]],
            alike="initialisation" in self.threat.knows,
        )
        stages = system.stages_after(known="finetuning-data" in self.threat.knows)
        later = transfer(packs, stages, system.seed)
        observations = tuple(self._observation(pack, own, test) for pack in (later[-1].packs if later else packs))
        before = tuple(
            replace(job, pack=pack, test=None, signals=("logit_confidence",), access=Access.LOGITS, defenses=())
            for job, pack in zip(observations, packs, strict=True)
            if later
        )
        jobs = Jobs(system.before, (*own, *test), packs, observations, later=later, before=before)
        if self.canaries is None:
            return jobs
        rows = self._observed(self.canaries.rows)
        canaries, others = (
            tuple(replace(job, rows=rows, test=None, test_features=()) for job in known)
            for known in (observations, before)
        )
        return replace(jobs, canaries=canaries, canaries_before=others)

    def _training_rows(self) -> Int[Array, "m k"]:
        """Rows that each model trains on: its half of the pool, and canaries as often as their grade says."""
        found = []
        for model, row in enumerate(self.matrix):
            natural = np.asarray(self.split.pool[row])
            planted = None if self.canaries is None else self.canaries.training_rows(model)
            found.append(natural if planted is None else np.concatenate([natural, planted]))
        return np.stack(found)

    def _observed(self, planted: Int[Array, " k"]) -> Int[Array, " r"]:
        """Rows of the records at risk that models are queried about: candidates, canaries, population."""
        return np.concatenate([self.split.pool[self.split.candidates], planted, self.split.population])

    def _observation(self, pack: PackJob, own: Sequence[FeatureJob], test: Sequence[FeatureJob]) -> ObserveJob:
        """The job that queries one pack."""
        system, data = self.system, data_key(self.system.at_risk)
        return ObserveJob(
            pack=pack,
            rows=self._observed(np.empty(0, dtype=self.split.pool.dtype)),
            population=len(self.split.population),
            views=self.views,
            features=tuple(own),
            test=None if system.test is None else data_key(system.test),
            test_features=tuple(test),
            signals=self._readable(self.signals - self.withheld.keys()),
            access=self.threat.access_flag,
            defenses=self.answers,
            data=None if data == pack.data else data,
        )

    def _readable(self, wanted: set[str]) -> tuple[str, ...]:
        """Signals among the wanted ones that this access and the deployed model's classes allow."""
        found = readable(sorted(wanted), self.threat.access_flag)
        if self.knows_classes:
            return found
        kept = tuple(name for name in found if name in SIGNALS and not SIGNALS[name].labels)
        return kept or ("entropy" if Access.PROBS in self.threat.access_flag.includes else "predicted_class",)
