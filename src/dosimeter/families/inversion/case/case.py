"""One threat of inversion on a chain that is trained here."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from dosimeter.data import Dataset
from dosimeter.data.entries import data_key
from dosimeter.families.attack import NamedAttack
from dosimeter.families.family import evidence_file
from dosimeter.families.inversion.case.checks import checked_prior, checked_strangers, shared_records
from dosimeter.families.inversion.case.records import RecordSplit, split_records
from dosimeter.families.inversion.case.refusals import has_origin, refusals
from dosimeter.families.inversion.play.beside import Beside, GuidedJob, Held, StudentsJob, beside
from dosimeter.families.inversion.play.information import SAMPLES, InformationJob, aimed
from dosimeter.families.inversion.play.job import Arena, PlayJob, VerdictJob, chunks
from dosimeter.families.inversion.play.judges import JudgeJob
from dosimeter.families.inversion.play.learners import AnswersJob
from dosimeter.families.inversion.play.perturbed import MOST, PerturbedJob, sampled
from dosimeter.families.inversion.play.priors import PriorJob, PriorKind
from dosimeter.families.inversion.play.sets import MadeSetJob, RealSetJob
from dosimeter.families.inversion.stored import information_file, small_pictures, truth_file
from dosimeter.families.inversion.threat import TRAINED, InversionThreat
from dosimeter.foundation.arrays import Array
from dosimeter.jobs.arrays import save_arrays
from dosimeter.jobs.job import Job
from dosimeter.training.features import FeatureJob
from dosimeter.training.learners.given import Given
from dosimeter.training.packs import PackJob
from dosimeter.training.sensitivity.perturbations import SIZES
from dosimeter.training.system import TrainedSystem


@dataclass(frozen=True)
class InversionCase:
    """One threat on one chain; nothing is trained yet.

    Attributes:
        system: the chain.
        threat: the adversary.
        attacks: to run, in order.
        public: records of other people.
        split: which of the records at risk serve what.
        generator: what is known of the user's generator; None without one.
        verifier: records of further people, from whom the judges alone learn; None if they learn from the public ones.
    """

    system: TrainedSystem
    threat: InversionThreat
    attacks: tuple[NamedAttack, ...]
    public: Dataset
    split: RecordSplit
    generator: Given | None = None
    verifier: Dataset | None = None

    @cached_property
    def null_system(self) -> TrainedSystem:
        """The same chain whose last stage has the trained records with labels that were exchanged at random."""
        system, labels = self.system, self.system.at_risk.labels.copy()
        labels[self.split.trained] = self.split.named
        data = tuple(
            replace(system.at_risk, labels=labels) if index == system.index else own
            for index, own in enumerate(system.data)
        )
        return replace(system, data=data)

    @cached_property
    def features(self) -> tuple[FeatureJob, ...]:
        """Jobs of the frozen features of the records at risk."""
        return self.system.features(self.system.at_risk, ("identity",))

    @cached_property
    def packs(self) -> tuple[PackJob, ...]:
        """The audited models: the same records, trained anew."""
        return self.system.fleet(np.tile(self.split.trained, (self.threat.targets, 1)), self.features)

    @cached_property
    def null_packs(self) -> tuple[PackJob, ...]:
        """One model that learned the same records under exchanged names."""
        return self.null_system.fleet(self.split.trained[None], self.features)

    @cached_property
    def prior(self) -> PriorJob:
        """The adversary's prior."""
        shape, threat = tuple(int(side) for side in self.public.inputs.shape[1:]), self.threat
        steps = (threat.prior_steps or TRAINED[threat.prior]) if threat.prior in TRAINED else 0
        kind = PriorKind(threat.prior, threat.latent, steps, self.system.seed, self.generator)
        return PriorJob(self.system.store, data_key(self.public), len(self.public), shape, kind, self.system.device)

    @cached_property
    def judge(self) -> JudgeJob:
        """The judges, without any defense."""
        system, others = self.system, data_key(self.public if self.verifier is None else self.verifier)
        shape, kind = self.prior.shape, self.threat.judges
        return JudgeJob(system.store, data_key(system.at_risk), others, self.split, shape, kind, system.seed)

    @cached_property
    def answers(self) -> tuple[AnswersJob, ...]:
        """How well the audited models do their task."""
        system, test = self.system, self.system.test
        return tuple(
            AnswersJob(pack, len(system.at_risk), None if test is None else data_key(test)) for pack in self.packs
        )

    @cached_property
    def held_out(self) -> Int[np.ndarray, " h"]:
        """Rows at risk that no model is trained on."""
        found: Array = np.setdiff1d(np.arange(len(self.system.at_risk)), self.split.trained)
        return found

    @cached_property
    def perturbed(self) -> tuple[PerturbedJob, ...]:
        """How often the audited models stay right under small changes of held-out records."""
        rows = sampled(self.held_out, self.system.seed, MOST)
        return tuple(PerturbedJob(pack, rows) for pack in self.packs)

    @cached_property
    def verdicts(self) -> Mapping[str, tuple[VerdictJob, ...]]:
        """By attack that is not refused, what the judges say of each audited model, and last of the null model."""
        system, refused = self.system, self.refusals()
        arena = Arena(system.seed, self.threat.access_flag, data_key(self.public), self.prior, system.answers)
        models = [
            (pack, number)
            for packs in (self.packs, self.null_packs)
            for pack in packs
            for number in range(len(pack.models))
        ]
        return {
            row.id: tuple(
                VerdictJob(
                    tuple(
                        PlayJob(arena, row, *model, part, self._beside(row, *model)) for part in chunks(self.identities)
                    ),
                    self.judge,
                )
                for model in models
            )
            for row in self.attacks
            if row.id not in refused
        }

    def _beside(self, row: NamedAttack, pack: PackJob, number: int) -> Beside:
        """What an attack has beside one model."""
        held = Held(pack, number, data_key(self.public), len(self.public), self.system.seed)
        return beside(row.attack.needs, held)

    @property
    def trained_beside(self) -> list[GuidedJob | StudentsJob]:
        """Jobs of what attacks train beside the models, each once."""
        plays = [play for jobs in self.verdicts.values() for job in jobs for play in job.plays]
        return list({job.key: job for play in plays for job in play.beside.jobs}.values())

    @cached_property
    def information(self) -> tuple[InformationJob, ...]:
        """Which layers of the first audited model the losses depend on; nothing unless the threat asks for it."""
        if not self.threat.fisher:
            return ()
        asked = {
            index: self.verdicts[row.id][0]
            for index, row in enumerate(self.attacks)
            if row.id in self.verdicts and not row.attack.control
        }
        learned, others = (sampled(one, self.system.seed, SAMPLES) for one in (self.split.trained, self.held_out))
        return (InformationJob(self.packs[0], learned, others, self.prior, data_key(self.public), asked),)

    @cached_property
    def real_set(self) -> RealSetJob | None:
        """Real pictures, looked at as a set; None unless the threat asks for it."""
        if not self.threat.kid:
            return None
        system, public = self.system, data_key(self.public)
        return RealSetJob(system.store, data_key(system.at_risk), public, self.split, len(self.public), system.seed)

    @cached_property
    def made_sets(self) -> Mapping[str, tuple[MadeSetJob, ...]]:
        """By attack, what it made on each audited model, looked at as a set; nothing unless the threat asks for it."""
        if (real := self.real_set) is None:
            return {}
        return {
            attack: tuple(MadeSetJob(job, real, self.identities) for job in jobs[:-1])  # the last is of the null model
            for attack, jobs in self.verdicts.items()
        }

    @property
    def identities(self) -> int:
        """Number of identities."""
        return len(self.system.at_risk.classes)

    def refusals(self) -> Mapping[str, str]:
        """Implements `Case`."""
        return refusals(self.attacks, self.threat, self.public, self.system)

    def phases(self) -> list[tuple[str, Sequence[Job]]]:
        """Implements `Case`."""
        verdicts = [job for jobs in self.verdicts.values() for job in jobs]
        return [
            *((f"stage {job.links[-1].name}", [job]) for job in self.system.before),
            ("features", self.features),
            ("models", (*self.packs, *self.null_packs)),
            ("prior", (self.prior,)),
            ("judges", (self.judge,)),
            ("queries", (*self.answers, *self.perturbed)),
            ("learners", self.trained_beside),
            ("attacks", [play for job in verdicts for play in job.plays]),
            ("judging", verdicts),
            ("sets", () if self.real_set is None else (self.real_set,)),
            ("sets made", [job for jobs in self.made_sets.values() for job in jobs]),
            ("layers", self.information),
        ]

    def datasets(self) -> list[Dataset]:
        """Implements `Case`."""
        further = () if self.verifier is None else (self.verifier,)
        return [*self.system.datasets, self.null_system.at_risk, self.public, *further]

    def records(self) -> int:
        """Implements `Case`."""
        return len(self.split.trained)

    def definition(self) -> Mapping[str, Any]:
        """Implements `Case`."""
        return {
            "threat": self.threat.model_dump(mode="json", exclude={"id"}),
            "attacks": [[row.id, row.name, row.settings] for row in self.attacks],
            "answers": [*(job.key for job in self.answers), *(job.key for job in self.perturbed)],
            "null": [pack.key for pack in self.null_packs],
            "judge": self.judge.key,
            "prior": self.prior.key,
            "information": [job.key for job in self.information],
            "sets": [job.key for jobs in self.made_sets.values() for job in jobs],
        }

    def begin(self, progress: Callable[[str, int, int], None]) -> InversionCase:
        """Implements `Case`: nothing is to be done."""
        return self

    def notes(self) -> list[str]:
        """Implements `Case`."""
        notes = ["null audit: one more model is trained, on the same records under exchanged names"]
        if steps := self.prior.kind.steps:
            notes.append(
                f"prior: a generator is trained on the public records, {steps:,} steps of {self.threat.prior!r}"
            )
        if trained := self.trained_beside:
            notes.append(
                f"attacks: {len(trained)} trainings beside the models, for each model anew and for the null audit's too"
            )
        if 2 <= self.threat.targets < 4:
            many = self.threat.targets
            notes.append(f"targets: intervals over {many} models are very wide; take 1, or 4 and more")
        if self.identities < 20:
            notes.append(f"identities: {self.identities} show only a large leak; 20 and more are better")
        if self.threat.show_records:
            notes.append("show_records: the report will show pictures of people in the training data")
        return notes

    def collect(self, folder: Path) -> Mapping[str, Any]:
        """Implements `Case`."""
        threat, system, refused = self.threat, self.system, self.refusals()
        answered = [system.store.load(job.key) for job in self.answers]
        found = {name: np.concatenate([one[name].numpy() for one in answered]) == 1 for name in answered[0]}
        found |= {"perturbed": np.concatenate([job.load().numpy() for job in self.perturbed])}
        rows = {name: getattr(self.split, name) for name in ("trained", "known", "tested")}
        rows |= {"perturbed_rows": self.perturbed[0].rows, "perturbed_sizes": np.array(SIZES)}
        tested = self.judge.tested()
        who = {"labels": system.at_risk.labels, "names": np.array(system.at_risk.classes, dtype=str)}
        sets = {} if self.real_set is None else self.real_set.truth(self.identities)
        save_arrays(truth_file(folder), {**rows, **tested, **found, **who, **sets})
        for index, row in enumerate(self.attacks):
            if row.id not in refused:
                save_arrays(evidence_file(folder, index), self._evidence(row.id))
        for job in self.information:
            save_arrays(information_file(folder), self._layers(job))
        if threat.show_records:
            first = [
                int(rows["trained"][system.at_risk.labels[rows["trained"]] == one][0]) for one in range(self.identities)
            ]
            save_arrays(truth_file(folder).with_name("pictures.npz"), small_pictures(system.at_risk.inputs[first]))
        return {
            "threat": {
                "at_risk": system.link.name, "access": threat.access, "targets": threat.targets,
                "public": str(threat.public), "prior": threat.prior,
                "latent": threat.latent if self.generator is None else self.generator.latent,
                "steps": self.prior.kind.steps, "show_records": threat.show_records,
                "origin": [one.id for one in self.attacks if one.id not in refused and has_origin(one.attack.needs)],
                "judges": threat.judges, "verifier": threat.verifier,
            },
            "data": {
                "name": system.sources[system.index], "records": len(system.at_risk),
                "identities": self.identities, "trained": len(self.split.trained),
                "known": len(self.split.known), "tested": len(self.split.tested), "public": len(self.public),
                "public_identities": int(len(np.unique(self.public.labels))),
            },
            "attacks": [row.listed(refused.get(row.id, "")) for row in self.attacks],
            "gates": [dataclasses.asdict(shared_records(system.at_risk, self.split))],
        }  # fmt: skip

    def _layers(self, job: InformationJob) -> dict[str, Any]:
        """Squared gradients by layer, with the rows and the losses that they are of."""
        losses = np.array([aimed(row.attack) for row in self.attacks], dtype=str)
        return {**job.load(), "train_rows": job.learned, "held_out_rows": job.held_out, "losses": losses}

    def _evidence(self, attack: str) -> dict[str, Any]:
        """What one attack made, as the judges see it, on the audited models `[t n k v]` and on the null model."""
        jobs = self.verdicts[attack]
        seen = [job.load() for job in jobs]
        seen = [{name: one[name][:, :1] for name in one} for one in seen]  # of each identity the one that counts
        arrays = {name: np.stack([one[name] for one in seen[:-1]]) for name in ("lineup", "classifier", "nearest")}
        arrays |= {f"null_{name}": seen[-1][name][None] for name in ("lineup", "classifier")}
        arrays["queries"] = np.array([job.queries() for job in jobs[:-1]])
        kernels = [job.load() for job in self.made_sets.get(attack, ())]
        arrays |= {name: np.stack([one[name] for one in kernels]) for name in (kernels[0] if kernels else ())}
        if self.threat.show_records:
            arrays |= small_pictures(jobs[0].records()[:, 0])
        return arrays


def inversion_case(system: TrainedSystem, threat: InversionThreat, attacks: Sequence[NamedAttack]) -> InversionCase:
    """One threat on one chain.

    Raises:
        AuditError: the threat does not fit the records.
    """
    public, verifier = checked_strangers(threat, system.at_risk, system.parts)
    split = split_records(system.at_risk, threat.pictures, system.seed)
    generator = checked_prior(threat, public)
    return InversionCase(system, threat, tuple(attacks), public, split, generator, verifier)
