"""One threat of inversion on a model of the user's, with members and with records of the same people apart."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dosimeter.data import Dataset
from dosimeter.data.entries import data_key
from dosimeter.families.attack import NamedAttack
from dosimeter.families.family import evidence_file
from dosimeter.families.inversion.case.checks import checked_prior, checked_strangers, shared_records
from dosimeter.families.inversion.case.held import HeldRecords, held_records, plain
from dosimeter.families.inversion.case.refusals import refusals
from dosimeter.families.inversion.play.given import GivenModel, ask, given_model
from dosimeter.families.inversion.play.judges import JudgeJob
from dosimeter.families.inversion.play.perturbed import MOST, range_of, sampled
from dosimeter.families.inversion.play.priors import PriorJob, PriorKind
from dosimeter.families.inversion.play.sets import RealSetJob, made_kernels
from dosimeter.families.inversion.play.supplied import Arena, Played, null_model, play_all
from dosimeter.families.inversion.stored import small_pictures, truth_file
from dosimeter.families.inversion.threat import TRAINED, InversionThreat
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.keys.package_code import package_code
from dosimeter.jobs.arrays import save_arrays
from dosimeter.jobs.job import Job
from dosimeter.training.learners.given import Given
from dosimeter.training.sensitivity.perturbations import SIZES, classify_perturbed
from dosimeter.training.system import OF_POOL, SuppliedSystem

STAGE = "target"
"""Name of the only stage of a supplied model."""


def _quiet(phase: str, done: int, total: int) -> None:
    """Tells nothing."""


@dataclass(frozen=True)
class SuppliedCase:
    """One threat on one supplied model; it is not attacked yet.

    Attributes:
        system: the model, with its records.
        threat: the adversary.
        attacks: to run, in order.
        public: records of other people.
        held: members and records apart.
        generator: what is known of the user's generator; None without one.
        verifier: records of further people, from whom the judges alone learn; None if they learn from the public ones.
        progress: is told how many attacks are done.
    """

    system: SuppliedSystem
    threat: InversionThreat
    attacks: tuple[NamedAttack, ...]
    public: Dataset
    held: HeldRecords
    generator: Given | None = None
    verifier: Dataset | None = None
    progress: Callable[[str, int, int], None] = _quiet

    @cached_property
    def model(self) -> GivenModel:
        """The model as the adversary has it."""
        return given_model(self.system.adapted, self.public.inputs[:2], self.system.device)

    @cached_property
    def prior(self) -> PriorJob:
        """The adversary's prior."""
        shape, threat = tuple(int(side) for side in self.public.inputs.shape[1:]), self.threat
        steps = (threat.prior_steps or TRAINED[threat.prior]) if threat.prior in TRAINED else 0
        kind = PriorKind(threat.prior, threat.latent, steps, self.system.seed, self.generator)
        return PriorJob(self.system.store, data_key(self.public), len(self.public), shape, kind, self.system.device)

    @cached_property
    def judge(self) -> JudgeJob:
        """The judges, who learn on records that the model was not trained on."""
        own, others = data_key(self.held.at_risk), data_key(self.public if self.verifier is None else self.verifier)
        shape, kind = self.prior.shape, self.threat.judges
        return JudgeJob(self.system.store, own, others, self.held.split, shape, kind, self.system.seed)

    @cached_property
    def real_set(self) -> RealSetJob | None:
        """Real pictures, looked at as a set; None unless the threat asks for it."""
        if not self.threat.kid:
            return None
        held, own, public = self.held, data_key(self.held.at_risk), data_key(self.public)
        return RealSetJob(self.system.store, own, public, held.split, len(self.public), self.system.seed)

    def refusals(self) -> Mapping[str, str]:
        """Implements `Case`."""
        return refusals(self.attacks, self.threat, self.public, closed=self.model.closed)

    def phases(self) -> list[tuple[str, Sequence[Job]]]:
        """Implements `Case`: attacks are no jobs, since a model of the user's need not be one for other processes."""
        sets = () if self.real_set is None else (self.real_set,)
        return [("prior", (self.prior,)), ("judges", (self.judge,)), ("sets", sets)]

    def datasets(self) -> list[Dataset]:
        """Implements `Case`."""
        return [self.held.at_risk, self.public, *(() if self.verifier is None else (self.verifier,))]

    def records(self) -> int:
        """Implements `Case`."""
        return len(self.held.split.trained)

    def definition(self) -> Mapping[str, Any]:
        """Implements `Case`."""
        system = self.system
        return {
            "threat": self.threat.model_dump(mode="json", exclude={"id"}),
            "attacks": [[row.id, row.name, row.settings] for row in self.attacks],
            "model": system.adapted.fingerprint,
            "data": [data_key(one) for one in self.datasets()],
            "fit": None if system.fit is None else dict(system.sources),
            "judge": self.judge.key,
            "prior": self.prior.key,
            "sets": None if self.real_set is None else self.real_set.key,
            "code": package_code(__name__),
        }

    def begin(self, progress: Callable[[str, int, int], None]) -> SuppliedCase:
        """Implements `Case`: keeps who is told; the attacks need the prior first."""
        return replace(self, progress=progress)

    def notes(self) -> list[str]:
        """Implements `Case`."""
        notes = []
        if self.system.fit is None:
            notes.append(
                "null audit: there is none, since nothing can train the model anew; with `fit` one more model is "
                "trained on exchanged names"
            )
        else:
            notes.append("null audit: one more model is trained by `fit`, on the members under exchanged names")
        if self.held.left_out:
            notes.append(f"identities: {self.held.left_out} classes have members and no non-member, and are left out")
        if self.model.closed:
            notes.append(f"access: {self.model.closed}, so only attacks run that ask it")
        if len(self.held.outputs) < 20:
            notes.append(f"identities: {len(self.held.outputs)} show only a large leak; 20 and more are better")
        if self.threat.show_records:
            notes.append("show_records: the report will show pictures of people in the training data")
        return notes

    def collect(self, folder: Path) -> Mapping[str, Any]:
        """Implements `Case`: here the attacks are played."""
        refused = self.refusals()
        rows = [row for row in self.attacks if row.id not in refused]
        found = play_all(self._arena, self.model, rows)
        nulls: Mapping[str, Played] = {}
        if self.system.fit is not None:
            nulls = play_all(self._arena, null_model(self.system, self.held), rows, told="null audit")
        save_arrays(truth_file(folder), self._truth())
        for index, row in enumerate(self.attacks):
            if row.id in found:
                save_arrays(evidence_file(folder, index), self._evidence(found[row.id], nulls.get(row.id)))
        if self.threat.show_records:
            labels, trained = self.held.at_risk.labels, self.held.split.trained
            first = [int(trained[labels[trained] == one][0]) for one in range(len(self.held.outputs))]
            save_arrays(truth_file(folder).with_name("pictures.npz"), small_pictures(self.held.at_risk.inputs[first]))
        return self._summary(refused)

    @property
    def _arena(self) -> Arena:
        """Where the attacks play."""
        return Arena(
            self.system.seed, self.threat.access_flag, self.public, self.prior, self.judge, self.held.outputs,
            self.progress,
        )  # fmt: skip

    def _truth(self) -> dict[str, Array]:
        """Who is who, which record served what, and how well model and judges do."""
        at_risk, split, outputs = self.held.at_risk, self.held.split, np.array(self.held.outputs)
        answers = ask(self.system.adapted, torch.from_numpy(at_risk.inputs)).argmax(1).numpy()
        held_out = sampled(np.setdiff1d(np.arange(len(at_risk)), split.trained), self.system.seed, MOST)
        found = {name: getattr(split, name) for name in ("trained", "known", "tested")}
        found |= {"correct": (answers == outputs[at_risk.labels])[None], "perturbed_rows": held_out}
        found |= {"perturbed_sizes": np.array(SIZES), "perturbed": self._perturbed(held_out)}
        names = np.array(at_risk.classes, dtype=str)
        sets = {} if self.real_set is None else self.real_set.truth(len(outputs))
        return {**found, **self.judge.tested(), **sets, "labels": at_risk.labels, "names": names}

    def _perturbed(self, rows: Array) -> Array:
        """Whether each held-out record stays right under small changes `[1 e n]`; empty without gradients."""
        if self.model.opened is None:
            return np.zeros((1, 0, len(rows)), bool)
        at_risk = self.held.at_risk
        inputs, labels = torch.from_numpy(at_risk.inputs), np.array(self.held.outputs)[at_risk.labels[rows]]
        low, high = range_of(inputs)
        found = classify_perturbed(
            self.model.opened.model, inputs[torch.from_numpy(rows)], torch.from_numpy(labels),
            sizes=[(high - low) * size for size in SIZES], limits=(low, high), device=self.system.device,
        )  # fmt: skip
        return found.correct[None]

    def _evidence(self, made: Played, null: Played | None) -> dict[str, Array]:
        """What one attack made, as the judges see it `[1 n 1 v]`, on the model and on the null one if there is one."""
        arrays = {name: one[None, :, :1] for name, one in made.similarity.items()}
        arrays["queries"] = np.array([made.queries])
        if null is not None:
            arrays |= {f"null_{name}": one[None, :, :1] for name, one in null.similarity.items()}
        if self.real_set is not None:
            kernels = made_kernels(self.real_set, made.records[:, 0], len(made.records))
            arrays |= {name: one[None] for name, one in kernels.items()}
        if self.threat.show_records:
            arrays |= small_pictures(made.records[:, 0])
        return arrays

    def _summary(self, refused: Mapping[str, str]) -> dict[str, Any]:
        """The case's entry of `run.json`."""
        threat, system, split = self.threat, self.system, self.held.split
        public = int(len(np.unique(self.public.labels)))
        latent = threat.latent if self.generator is None else self.generator.latent
        return {
            "threat": {
                "at_risk": STAGE, "access": threat.access, "targets": 1, "public": str(threat.public),
                "prior": threat.prior, "latent": latent, "steps": self.prior.kind.steps,
                "show_records": threat.show_records, "judges": threat.judges, "verifier": threat.verifier,
            },
            "data": {
                "name": system.names.get("members"), "records": len(self.held.at_risk),
                "identities": len(self.held.outputs), "trained": len(split.trained), "known": len(split.known),
                "tested": len(split.tested), "public": len(self.public), "public_identities": public,
                "left_out": self.held.left_out,
            },
            "attacks": [row.listed(refused.get(row.id, "")) for row in self.attacks],
            "gates": [dataclasses.asdict(one) for one in (*system.gates, shared_records(self.held.at_risk, split))],
        }  # fmt: skip


def supplied_case(system: SuppliedSystem, threat: InversionThreat, attacks: Sequence[NamedAttack]) -> SuppliedCase:
    """One threat on one supplied model.

    Raises:
        AuditError: the threat does not fit the records.
    """
    held = held_records(system.parts, system.seed)
    further = {name: one for name, one in system.parts.items() if name not in OF_POOL}
    others = {name: plain(one, f"data[{name!r}]") for name, one in further.items()}
    public, verifier = checked_strangers(threat, held.at_risk, others, supplied=True)
    return SuppliedCase(system, threat, tuple(attacks), public, held, checked_prior(threat, public), verifier)
