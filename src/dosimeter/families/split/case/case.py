"""One threat of split on a chain that is trained here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dosimeter.data import Dataset
from dosimeter.data.entries import data_key
from dosimeter.families.attack import NamedAttack
from dosimeter.families.family import evidence_file
from dosimeter.families.split.case.cuts import chosen_cuts, numbers_of
from dosimeter.families.split.case.partition import taken_away
from dosimeter.families.split.case.people import People, people_of, persons_of
from dosimeter.families.split.case.refusals import has_counterpart, listed, refusals, require_telling
from dosimeter.families.split.case.told import counted, notes_of, released, told
from dosimeter.families.split.play.exchanged import Exchanged, by_itself
from dosimeter.families.split.play.in_training import InTrainingJob, fought, values_said
from dosimeter.families.split.play.job import Arena, PlayJob, by_coin
from dosimeter.families.split.play.judge import JudgeJob
from dosimeter.families.split.play.radii import RadiusJob
from dosimeter.families.split.play.recogniser import RecogniserJob, recognisable
from dosimeter.families.split.play.record import RecordJob
from dosimeter.families.split.play.steered import not_steered
from dosimeter.families.split.stored import (
    SHOWN,
    in_training_file,
    pictures_file,
    small_pictures,
    truth_file,
)
from dosimeter.families.split.threat import SplitThreat
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.seeds import generator
from dosimeter.jobs.arrays import save_arrays
from dosimeter.jobs.job import Job
from dosimeter.models.architectures import as_float
from dosimeter.models.cuts.places import ModelCut
from dosimeter.training.construction.settings import ATTRIBUTE, INPUT
from dosimeter.training.deployment.hosts import Host, TrainedHost
from dosimeter.training.features import FeatureJob
from dosimeter.training.packs import PackJob
from dosimeter.training.system import TrainedSystem


@dataclass(frozen=True)
class Plays:
    """All plays of one attack.

    Attributes:
        row: the attack.
        real: of each secret, target and source `[s][t][c]`; one secret without a name if the input is sought.
        null: of each secret, at the first source of the first target; exchanged afterwards where that is the same.
    """

    row: NamedAttack
    real: tuple[tuple[tuple[PlayJob, ...], ...], ...]
    null: tuple[PlayJob | Exchanged, ...]

    @property
    def all(self) -> list[PlayJob | Exchanged]:
        """All of them."""
        return [*(one for secret in self.real for target in secret for one in target), *self.null]

    @property
    def jobs(self) -> list[PlayJob]:
        """Those that are played."""
        return [one for one in self.all if isinstance(one, PlayJob)]


@dataclass(frozen=True)
class SplitCase:
    """One threat on one chain; nothing is trained yet.

    Attributes:
        system: the chain.
        threat: the adversary.
        attacks: to run, in order.
        people: victims and auxiliary records.
        places: the cuts.
        left_out: cuts of "all" that are left out for the time that they would take.
    """

    system: TrainedSystem
    threat: SplitThreat
    attacks: tuple[NamedAttack, ...]
    people: People
    places: tuple[ModelCut, ...]
    left_out: int = 0

    @cached_property
    def features(self) -> tuple[FeatureJob, ...]:
        """Jobs of the frozen features of the records that the model is trained on."""
        return self.system.features(self.system.at_risk, ("identity",))

    @cached_property
    def packs(self) -> tuple[PackJob, ...]:
        """The models: the same records, trained anew."""
        rows = np.tile(np.arange(len(self.system.at_risk)), (self.threat.targets, 1))
        return self.system.fleet(rows, self.features)

    @property
    def hosts(self) -> tuple[Host, ...]:
        """The models as they are deployed."""
        return tuple(TrainedHost(pack, number) for pack in self.packs for number in range(len(pack.models)))

    @cached_property
    def recordings(self) -> tuple[RecordJob, ...]:
        """What crosses the cuts of each model."""
        people, sizes = self.people, (len(self.people.victims), len(self.people.auxiliary))
        data = (data_key(people.victims), data_key(people.auxiliary))
        width = sum(numbers_of(one) for one in self.places)
        names = tuple(one.name for one in self.places)
        return tuple(
            RecordJob(one, names, data, sizes, self.system.releases, people.pictures, width, repeats=self.repeats)
            for one in self.hosts
        )

    @property
    def repeats(self) -> int:
        """How often each record is sent: once where no defense changes what is sent, since all would be alike."""
        return self.threat.repeats if self.system.releases else 1

    @cached_property
    def recogniser(self) -> RecogniserJob | None:
        """The classifier that says which class a reconstruction shows; None where no input is sought, or none can."""
        people, auxiliary = self.people, self.people.auxiliary
        sought = any(own.row.attack.needs.goal == "input" for own in self.plays)
        if not sought or not recognisable(people.victims, auxiliary):
            return None
        shape = len(auxiliary), int(np.prod(auxiliary.inputs.shape[1:]))
        return RecogniserJob(self.system.store, data_key(auxiliary), shape)

    @cached_property
    def moved(self) -> Array:
        """Rows by which the null audit exchanges the victims."""
        return generator(self.system.seed, "split null").permutation(len(self.people.victims))

    @cached_property
    def plays(self) -> tuple[Plays, ...]:
        """All plays of the attacks that are not refused."""
        refused = self.refusals()
        return tuple(self._plays_of(row) for row in self.attacks if row.id not in refused)

    def _plays_of(self, row: NamedAttack) -> Plays:
        """The plays of one attack: for each secret, target and source, and one with nothing to find.

        An attack with a counterpart plays on the answers too, in the last places: features must tell more than that.
        """
        people, needs = self.people, row.attack.needs
        arena = Arena(self.system.seed, people.victims.ids.astype(str), persons_of(people.auxiliary))
        at_cuts = needs.reads == "features" or (needs.reads == "answers" and bool(self.system.releases))
        sources: tuple[int | None, ...] = tuple(range(len(self.places))) if at_cuts else (None,)
        # Behind defenses of the cut each cut has answers of its own.
        others = () if not self._counterpart(row) else sources if self.system.releases else (None,)
        places = (*((one, False) for one in sources), *((one, True) for one in others))
        secrets = people.secrets if needs.goal == "attribute" else (None,)
        real = tuple(
            tuple(
                tuple(PlayJob(arena, row, one, source, secret, counterpart=other) for source, other in places)
                for one in self.recordings
            )
            for secret in secrets
        )
        if by_itself(row):
            return Plays(row, real, (Exchanged(real[0][0][0], self.moved),))
        first = self.recordings[0]
        coins = (None if one is None else by_coin(one, arena.seed) for one in secrets)
        return Plays(row, real, tuple(PlayJob(arena, row, first, sources[0], one, self.moved) for one in coins))

    def _counterpart(self, row: NamedAttack) -> bool:
        """Returns whether an attack plays on the answers too, which the adversary must see for that."""
        return self.threat.answers == "seen" and has_counterpart(row)

    @cached_property
    def judged(self) -> Mapping[str, JudgeJob]:
        """The judging of each play after the input, by the key of the play."""
        return {
            play.key: JudgeJob(play, self.people.lineup, self.people.pictures, self.recogniser)
            for own in self.plays
            if own.row.attack.needs.goal == "input"
            for play in own.all
        }

    @cached_property
    def asked(self) -> tuple[InTrainingJob, ...]:
        """What the adversaries of the training say of the victims, of each model; none where the cut is another."""
        source = fought(self.system, self.places)
        return () if source is None else tuple(
            InTrainingJob(one, source, self.people.pictures) for one in self.recordings
        )  # fmt: skip

    @cached_property
    def radii(self) -> tuple[RadiusJob, ...]:
        """The within-class radius of what crosses; nothing where the victims have other classes than the model."""
        own = self.people.victims.classes == self.system.at_risk.classes
        return tuple(RadiusJob(one) for one in self.recordings) if own else ()

    def refusals(self) -> Mapping[str, str]:
        """Implements `Case`."""
        names = tuple(one.names for one in self.places)
        finished = not_steered(self.system, names, self.threat.knows)
        return refusals(self.attacks, self.threat, self.people, finished=finished)

    def phases(self) -> list[tuple[str, Sequence[Job]]]:
        """Implements `Case`."""
        return self._phases(self.system.before)

    def _phases(self, before: Sequence[PackJob]) -> list[tuple[str, Sequence[Job]]]:
        """All jobs, after those of the stages before the one that is cut."""
        return [
            *((f"stage {job.links[-1].name}", [job]) for job in before),
            ("features", self.features),
            ("models", self.packs),
            ("queries", self.recordings),
            ("attacks", [play for own in self.plays for play in own.jobs]),
            ("classifier", [] if self.recogniser is None else [self.recogniser]),
            ("judging", [*self.judged.values(), *self.asked, *self.radii]),
        ]

    def datasets(self) -> list[Dataset]:
        """Implements `Case`."""
        return [*self.system.datasets, self.people.victims, self.people.auxiliary]

    def records(self) -> int:
        """Implements `Case`."""
        return len(self.system.at_risk)

    def definition(self) -> Mapping[str, Any]:
        """Implements `Case`."""
        return {
            "threat": self.threat.model_dump(mode="json", exclude={"id"}),
            "attacks": [[row.id, row.name, row.settings] for row in self.attacks],
            "recordings": [job.key for job in self.recordings],
            "plays": [play.key for own in self.plays for play in own.all],
            "judged": [
                *(job.key for job in self.judged.values()),
                *(job.key for job in self.asked),
                *(job.key for job in self.radii),
            ],
        }

    def begin(self, progress: Callable[[str, int, int], None]) -> SplitCase:
        """Implements `Case`: nothing is to be done."""
        return self

    def notes(self) -> list[str]:
        """Implements `Case`."""
        return notes_of(self.system, self.threat, self.people, self.places, self.counterparts, left_out=self.left_out)

    @property
    def counterparts(self) -> list[str]:
        """Ids of the attacks that play on the answers too."""
        refused = self.refusals()
        return [row.id for row in self.attacks if self._counterpart(row) and row.id not in refused]

    def collect(self, folder: Path) -> Mapping[str, Any]:
        """Implements `Case`."""
        save_arrays(truth_file(folder), self._truth())
        refused, by_id = self.refusals(), {own.row.id: own for own in self.plays}
        for index, row in enumerate(self.attacks):
            if row.id not in refused:
                save_arrays(evidence_file(folder, index), self._evidence(by_id[row.id]))
        if self.asked:
            save_arrays(in_training_file(folder), self._in_training())
        people, threat, system = self.people, self.threat, self.system
        if threat.show_records and people.pictures:
            rows = people.lineup[:SHOWN]
            save_arrays(pictures_file(folder), small_pictures(people.victims.inputs[rows]))
        return {
            "threat": {
                "at_risk": system.link.name, "access": threat.access, "targets": threat.targets,
                "knows": threat.knows, "answers": threat.answers, "labels": threat.labels,
                "gradients": threat.gradients, "active": threat.active,
                "cuts": [one.name for one in self.places],
                "attributes": list(threat.attributes), "victims": people.victims.name,
                "auxiliary": str(threat.auxiliary), "show_records": threat.show_records, "repeats": self.repeats,
                "limits": {} if threat.limits is None else threat.limits.model_dump(exclude_none=True),
            },
            "data": self._counted(),
            "cuts": [told(one) for one in self.places],
            "cuts_left_out": self.left_out,
            "attributes": [
                {"name": one.name, "values": list(one.values), "labels": len(one.rows)} for one in people.secrets
            ],
            "partition": self._taken_away(folder),
            "in_training": self.places[self.asked[0].source].name if self.asked else None,
            "attacks": [
                listed(row, refused.get(row.id, ""), counterpart=self._counterpart(row)) for row in self.attacks
            ],
            "releases": [released(one, self.repeats) for one in system.releases],
            "gates": self._gates(),
        }  # fmt: skip

    def _counted(self) -> dict[str, Any]:
        """What a result says of the records, in numbers."""
        return counted(self.people, self.system)

    def _taken_away(self, folder: Path) -> dict[str, Any] | None:
        """What is left in a folder so that the halves can be taken away; None without a model."""
        if not self.packs:
            return None
        return taken_away(self.packs[0], self.system, self.people.victims, self.recordings[0], folder)

    def _gates(self) -> list[dict[str, Any]]:
        """Checks that were decided before any attack."""
        return []

    def _truth(self) -> dict[str, Any]:
        """Whose each victim is, the lineup, the attributes, and whether the answers are right."""
        people, system = self.people, self.system
        found = {"person": persons_of(people.victims), "lineup": people.lineup}
        if people.victims.classes == system.at_risk.classes:
            found |= self._correct()
        if self.recogniser is not None:
            shown = self.recogniser.classes_of(as_float(torch.from_numpy(people.victims.inputs)).numpy())
            found["recognised"] = shown == people.victims.labels
        if system.releases:
            for cut in range(len(self.places)):
                own = [job.information(cut) for job in self.recordings]
                found |= {f"{name}-{cut}": np.stack([one[name] for one in own]) for name in own[0]}
        if self.radii:
            seen = [job.load() for job in self.radii]
            found |= {f"radius-{name}": np.stack([one[name] for one in seen]) for name in seen[0]}
        for index, secret in enumerate(people.secrets):
            found[f"value-{index}"] = people.truth[secret.name]
            found[f"prior-{index}"] = np.bincount(secret.known, minlength=len(secret.values)) / len(secret.known)
        return found

    def _correct(self) -> dict[str, Array]:
        """Whether each model's answer for each victim is right `[t n]`; behind each cut where defenses stand there."""
        known, found = self.people.victims.labels, {}
        behind = [(f"correct-{cut}", cut) for cut in range(len(self.places))]
        for name, source in behind if self.system.releases else [("correct", None)]:
            found[name] = np.stack([job.answered(source).numpy().argmax(1) for job in self.recordings]) == known
        return found

    def _in_training(self) -> dict[str, Any]:
        """What the adversaries of the training said: `guesses-i` of attributes of the threat, `mse`, each by model."""
        said, found = [one.load() for one in self.asked], {}
        for index, secret in enumerate(self.people.secrets):
            if f"{ATTRIBUTE}{secret.name}" in said[0]:
                trained = [str(one) for one in np.unique(self.system.at_risk.attributes[secret.name]).tolist()]
                own = np.stack([one[f"{ATTRIBUTE}{secret.name}"] for one in said])
                found[f"guesses-{index}"] = values_said(own, trained, secret.values)
        if INPUT in said[0]:
            found["mse"] = np.stack([one[INPUT] for one in said])
        return found

    def _evidence(self, own: Plays) -> dict[str, Any]:
        """What one attack came to: `[t c n ...]` of real plays, `[1 n ...]` of those with nothing to find."""
        if own.row.attack.needs.goal == "attribute":
            found = {}
            for index, (real, null) in enumerate(zip(own.real, own.null, strict=True)):
                found[f"guesses-{index}"] = np.stack([np.stack([one.load() for one in row]) for row in real])
                found[f"null_guesses-{index}"] = null.load()[None]
            return found
        (real,), (null,) = own.real, own.null
        seen = [[self.judged[one.key].load() for one in row] for row in real]
        arrays = {name: np.stack([np.stack([one[name] for one in row]) for row in seen]) for name in seen[0][0]}
        arrays["null_lineup"] = self.judged[null.key].load()["lineup"][None]
        if self.threat.show_records and self.people.pictures:
            shown = [one.load()[self.people.lineup[:SHOWN]] for one in real[0]]
            arrays["pictures"] = np.stack([small_pictures(one)["pictures"] for one in shown])
        return arrays


def split_case(system: TrainedSystem, threat: SplitThreat, attacks: Sequence[NamedAttack]) -> SplitCase:
    """One threat on one chain.

    Raises:
        AuditError: the threat does not fit the model or the records.
    """
    people = people_of(threat, system)
    case = SplitCase(system, threat, tuple(attacks), people, *chosen_cuts(threat, system))
    require_telling(case.attacks, case.refusals())
    return case
