"""Membership on a chain that is trained here: who is trained on what, and all jobs by key."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from dosimeter.data import Dataset
from dosimeter.data.entries import data_key
from dosimeter.data.views import unfit
from dosimeter.families.attack import NamedAttack
from dosimeter.families.membership.case.collect import CANARY_ROLES, copies_in_chain, save_canaries, save_evidence
from dosimeter.families.membership.case.holdings import Fleet, fleet_holdings, texts_held
from dosimeter.families.membership.case.refusals import Offer, cheapest, refusals
from dosimeter.families.membership.case.resources import resources_of
from dosimeter.families.membership.case.sizes import other_sizes, shown_with
from dosimeter.families.membership.case.texts import (
    classes_or_tokens,
    no_base,
    notes_of_texts,
    told_of_texts,
    usual_tokens,
    withheld_of_texts,
)
from dosimeter.families.membership.design.canaries import Canaries, plant, with_canaries
from dosimeter.families.membership.design.design import Design, Split
from dosimeter.families.membership.design.draw import NULL, check_drawn_halves, design_of, matrix_of, split_of
from dosimeter.families.membership.gates.numbers import saturation
from dosimeter.families.membership.observe.fleet_jobs import FleetJobs
from dosimeter.families.membership.observe.observe import ObserveJob, situation_of
from dosimeter.families.membership.observe.probes import PROBES, lacking
from dosimeter.families.membership.observe.probes.activations import chain_can_be_cut
from dosimeter.families.membership.observe.signals import SIGNALS, readable, unlike_task
from dosimeter.families.membership.play.arena import Arena
from dosimeter.families.membership.play.frozen_head import can_retrain, has_frozen_head
from dosimeter.families.membership.play.holdings import HoldingsSource
from dosimeter.families.membership.play.job import PlayJob, play_jobs
from dosimeter.families.membership.play.leaders import Plays, plays_of
from dosimeter.families.membership.stored import save_game
from dosimeter.families.membership.threat import HALVES_SET_THRESHOLDS, Threat, rehearses
from dosimeter.families.resources import Resources
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import ConfigError
from dosimeter.jobs.job import Job
from dosimeter.models.access import Access
from dosimeter.training.features import FeatureJob
from dosimeter.training.later_stages import transfer
from dosimeter.training.packs import PackJob
from dosimeter.training.system import TrainedSystem


@dataclass(frozen=True)
class DrawnCase:
    """One threat of membership on a chain that is trained; nothing is trained yet.

    Attributes:
        system: the chain and its data, the canaries among them.
        threat: the adversary.
        attacks: attacks to run, in order.
        split: split of the records at risk.
        design: the design of the audit.
        canaries: records planted in the data of the stage at risk, or None.
    """

    system: TrainedSystem
    threat: Threat
    attacks: tuple[NamedAttack, ...]
    split: Split
    design: Design
    canaries: Canaries | None = None

    @cached_property
    def views(self) -> tuple[str, ...]:
        """Query views."""
        return self.threat.views_for(self.system.link.hyperparameters.augment)

    @cached_property
    def matrix(self) -> Bool[Array, "m p"]:
        """Membership matrix: which model trains on which record of the pool."""
        return matrix_of(self.threat, self.system.seed, self.system.at_risk, self.split)

    @cached_property
    def null_matrix(self) -> Bool[Array, "m n"]:
        """Membership of the candidates in another matrix, drawn in the same way, that no model was trained on."""
        matrix = matrix_of(self.threat, self.system.seed, self.system.at_risk, self.split, NULL)
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
        if link.language:
            return withheld_of_texts(self.signals, len(self.split.population))
        if self.system.transferred:
            reason = (
                f"asks the models of stage {link.name!r} themselves, which are transferred before anyone sees them: "
                "end the chain at that stage, or leave the attack out"
            )
            return {name: reason for name in self.signals if name in PROBES}
        single = self.threat.unit == "record" and self.canaries is None
        population, records = len(self.split.population), self.system.at_risk.inputs
        cut = "activations" not in self.signals or chain_can_be_cut(self.system.links)
        found = lacking(situation_of(link, records, population, single=single, cut=cut), self.signals)
        return {**found, **unlike_task(self.signals, language=False)}

    @cached_property
    def offer(self) -> Offer:
        """What the threat gives an attack."""
        system = self.system
        return Offer(
            self.threat.access_flag,
            len(self.split.population),
            self.threat.shadows,
            features=has_frozen_head(system) and not system.transferred,
            cells=len(self.split.pool) * self.design.classes,
            retrain=can_retrain(system) and not system.transferred,
            withheld=self.withheld,
            classes=self.knows_classes,
            transferred=system.transferred,
            views=len(self.views),
            labelled=self.design.known_of_each,
            baseless=no_base(system),
            tokens=usual_tokens(system.at_risk),
        )

    def refusals(self) -> Mapping[str, str]:
        """Implements `Case`."""
        return refusals(self.attacks, self.offer)

    def resources(self) -> Mapping[str, Resources]:
        """Implements `UsesResources`."""
        return resources_of(self.running, self.threat.shadows, len(self.views))

    @property
    def running(self) -> tuple[NamedAttack, ...]:
        """Attacks that are not refused."""
        refused = self.refusals()
        return tuple(row for row in self.attacks if row.id not in refused)

    @cached_property
    def jobs(self) -> FleetJobs:
        """All jobs that train and ask models, with their keys."""
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
        jobs = FleetJobs(system.before, (*own, *test), packs, observations, later=later, before=before)
        if self.canaries is None:
            return jobs
        rows = self._observed(self.canaries.rows)
        canaries, others = (
            tuple(replace(job, rows=rows, test=None, test_features=()) for job in known)
            for known in (observations, before)
        )
        return replace(jobs, canaries=canaries, canaries_before=others)

    @cached_property
    def arena(self) -> Arena:
        """Where the attacks play."""
        access = self.threat.access_flag
        fleet = Fleet(self.system, self.jobs, self.split, self.views, access, self.canaries)
        return Arena(
            store=self.system.store,
            seed=self.system.seed,
            design=self.design,
            null_member=self.null_matrix,
            answers=self.jobs.answers(),
            views=len(self.views),
            holdings=fleet_holdings(fleet, self.attacks),
        )

    @cached_property
    def canary_arena(self) -> Arena | None:
        """Where attacks that hold no more than answers play with the canaries among their candidates; None without any.

        So an attack that pools over its candidates has nearly the same pool as for the natural records, whose
        thresholds are applied to the canaries; and no natural record is judged beside a canary.
        """
        if self.canaries is None:
            return None
        design = with_canaries(self.design, self.system.at_risk, self.canaries)
        return Arena(
            store=self.system.store,
            seed=self.system.seed,
            design=design,
            null_member=design.member,
            answers=self.jobs.answers(canaries=True),
            views=len(self.views),
            holdings=HoldingsSource(texts=texts_held(self.system, self.attacks, self.jobs.canaries[0].rows)),
        )

    @cached_property
    def plays(self) -> Plays:
        """Plays of the attacks that are not refused."""
        return plays_of(self.arena, self.running, self.jobs.packs[0])

    @cached_property
    def canary_plays(self) -> tuple[PlayJob, ...]:
        """Plays on canaries; their thresholds come from rehearsals, so nothing else is played."""
        if self.canary_arena is None:
            return ()
        rows = [row for row in self.running if not row.attack.needs.holds_more]
        return tuple(job for job in play_jobs(self.canary_arena, rows) if job.part.role in CANARY_ROLES)

    def phases(self) -> list[tuple[str, Sequence[Job]]]:
        """Implements `Case`."""
        canaries = [] if self.canary_arena is None else self.canary_arena.holdings.phases
        return [*self.jobs.phases, *self.arena.holdings.phases, *canaries, *self.plays.phases(self.canary_plays)]

    def definition(self) -> Mapping[str, Any]:
        """Implements `Case`."""
        return {
            "threat": self.threat.model_dump(mode="json", exclude={"id"}),
            "attacks": [[row.id, row.name, row.settings] for row in self.attacks],
            "observations": [job.key for job in self.jobs.observations],
        }

    def datasets(self) -> list[Dataset]:
        """Implements `Case`."""
        return self.system.datasets

    def records(self) -> int:
        """Implements `Case`."""
        return len(self.split.pool) // 2

    def begin(self, progress: Callable[[str, int, int], None]) -> DrawnCase:
        """Implements `Case`: refuses attacks that say of themselves what is no count."""
        self.resources()
        return self

    def notes(self) -> list[str]:
        """Implements `Case`."""
        notes, targets = notes_of_texts(self.system.at_risk), self.threat.targets
        if 2 <= targets < 4:
            notes.append(
                f"targets: intervals over {targets} models are very wide; take 1, or 4 and more, best 8 and more"
            )
        if not rehearses(self.threat.shadows):
            notes.append(f"shadows: {self.threat.shadows or 'none'}, so none rehearses; {HALVES_SET_THRESHOLDS}")
        natural, planted = len(self.split.pool) // 2, self.canaries
        if planted is not None:
            many = len(planted.training_rows(0))
            notes.append(f"spike: {len(planted.rows)} canaries are planted in stage {self.system.link.name}")
            if 10 * many > natural:
                notes.append(f"spike: {many} of a model's {natural + many} training records are canaries: plant fewer?")
        classes = self.system.links[-1].classes
        signs = [row.id for row in self.attacks if row.settings_for(classes) != row.settings]
        if signs:
            notes.append(f"attack {signs[0]}: two classes leave a direction only its sign, so `unit` is switched off")
        return [*notes, *cheapest(self.attacks, self.threat.shadows, texts=self.system.link.language)] + [
            f"time: the estimate leaves out the models that {row.id} trains"
            for row in self.running
            if row.trainings is None
        ]

    def sizes(self) -> Mapping[str, DrawnCase]:
        """Implements `Resizable`."""
        system, found = self.system, {}
        for threat in other_sizes(self.threat):
            design = design_of(threat, system.seed, system.at_risk, self.split)
            planted = None if self.canaries is None else self.canaries.redraw(threat.models, system.seed)
            other = replace(self, threat=threat, design=design, canaries=planted)
            found[shown_with(threat.shadows, other.running)] = other
        return found

    def collect(self, folder: Path) -> Mapping[str, Any]:
        """Implements `Case`."""
        system, threat, design, split = self.system, self.threat, self.design, self.split
        observations = self.arena.answers.load()
        save_game(folder, design, observations, self.null_matrix)
        refused = self.refusals()
        save_evidence(self.attacks, self.plays.every, self.arena, folder)
        if self.canaries is not None:
            save_canaries(self.canaries, self.attacks, self.canary_plays, design, folder)
        owners = {"persons": system.at_risk.persons, "groups": system.at_risk.groups}
        classes = system.links[-1].classes
        gates = [
            saturation(observations.signals, threat.access_flag),
            copies_in_chain(system, self.split.pool[self.split.candidates]),
        ]
        return {
            "threat": {
                "at_risk": system.link.name,
                "access": threat.access,
                "shadows": threat.shadows,
                "targets": threat.targets,
                "population": len(self.split.population),
                "views": list(self.views),
                **({"unit": "person"} if threat.unit == "person" else {}),
                **({"knows": list(threat.knows)} if threat.knows else {}),
                **({"fold_pairs": threat.fold_pairs} if threat.fold_pairs > 1 else {}),
                **({"labelled": len(self.split.known)} if threat.labelled else {}),
            },
            "data": {
                "name": system.sources[system.index],
                "records": len(system.at_risk) - (0 if self.canaries is None else len(self.canaries.rows)),
                "candidates": len(design.ids),
                "population": len(self.split.population),
                "members_per_target": len(self.split.pool) // 2,
                **classes_or_tokens(system.at_risk, design.labels),
                **{name: None if values is None else len(np.unique(values)) for name, values in owners.items()},
            },
            "attacks": [row.listed(refused.get(row.id, ""), row.settings_for(classes)) for row in self.attacks],
            "gates": [dataclasses.asdict(gate) for gate in gates],
            **told_of_texts(system.at_risk, split.pool[split.candidates], self.arena, observations, self.running),
            "resources": {name: dataclasses.asdict(one) for name, one in self.resources().items()},
        }

    def _training_rows(self) -> Int[Array, "m k"]:
        """Rows that each model trains on: its half of the pool, and canaries as often as their grade says."""
        found = []
        for model, row in enumerate(self.matrix):
            natural = np.asarray(self.split.pool[row])
            planted = None if self.canaries is None else self.canaries.training_rows(model)
            found.append(natural if planted is None else np.concatenate([natural, planted]))
        return np.stack(found)

    def _observed(self, planted: Int[Array, " k"]) -> Int[Array, " r"]:
        """Rows of the records at risk that models are queried about: candidates, canaries, labelled, population."""
        pool, split = self.split.pool, self.split
        return np.concatenate([pool[split.candidates], planted, pool[split.known], split.population])

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
            defenses=system.answers,
            data=None if data == pack.data else data,
        )

    def _readable(self, wanted: set[str]) -> tuple[str, ...]:
        """Signals among the wanted ones that this access and the deployed model's classes allow."""
        found = readable(sorted(wanted), self.threat.access_flag)
        if self.knows_classes:
            return found
        kept = tuple(name for name in found if name in SIGNALS and not SIGNALS[name].labels)
        return kept or ("entropy" if Access.PROBS in self.threat.access_flag.includes else "predicted_class",)


def drawn_case(system: TrainedSystem, threat: Threat, attacks: Sequence[NamedAttack]) -> DrawnCase:
    """Draws the membership of one threat.

    Raises:
        ConfigError: the threat does not fit the records at risk.
    """
    records = system.at_risk
    if threat.views != "auto" and (wrong := unfit("threat.views", threat.views, records)):
        raise ConfigError(*wrong)
    split, canaries = split_of(threat, system.seed, records), None
    if threat.spike is not None:
        records, split, canaries = plant(records, split, threat.spike, models=threat.models, seed=system.seed)
        data = tuple(records if index == system.index else one for index, one in enumerate(system.data))
        system = replace(system, data=data)
    design = design_of(threat, system.seed, records, split)
    check_drawn_halves(design, system.seed)
    return DrawnCase(system, threat, tuple(attacks), split, design, canaries)
