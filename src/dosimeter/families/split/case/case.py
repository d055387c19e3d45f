"""One threat of split on a chain that is trained here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from dosimeter.data import Dataset
from dosimeter.data.entries import data_key
from dosimeter.families.attack import NamedAttack
from dosimeter.families.split.case.cuts import chosen_cuts, numbers_of
from dosimeter.families.split.case.overlap import trained_on
from dosimeter.families.split.case.people import People, people_of, persons_of
from dosimeter.families.split.play.job import Arena, PlayJob, by_coin
from dosimeter.families.split.play.judge import JudgeJob
from dosimeter.families.split.play.radii import RadiusJob
from dosimeter.families.split.play.record import RecordJob
from dosimeter.families.split.stored import SHOWN, evidence_file, pictures_file, small_pictures, truth_file
from dosimeter.families.split.threat import GRADES, SplitThreat
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import ConfigError
from dosimeter.foundation.seeds import generator
from dosimeter.jobs.arrays import save_arrays
from dosimeter.jobs.job import Job
from dosimeter.models.cuts.places import ModelCut
from dosimeter.training.features import FeatureJob
from dosimeter.training.packs import PackJob
from dosimeter.training.system import TrainedSystem


@dataclass(frozen=True)
class Plays:
    """All plays of one attack.

    Attributes:
        row: the attack.
        real: of each secret, target and source `[s][t][c]`; one secret without a name if the input is sought.
        null: of each secret, at the first source of the first target.
    """

    row: NamedAttack
    real: tuple[tuple[tuple[PlayJob, ...], ...], ...]
    null: tuple[PlayJob, ...]

    @property
    def all(self) -> list[PlayJob]:
        """All of them."""
        return [*(one for secret in self.real for target in secret for one in target), *self.null]


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

    @cached_property
    def recordings(self) -> tuple[RecordJob, ...]:
        """What crosses the cuts of each model."""
        people, sizes = self.people, (len(self.people.victims), len(self.people.auxiliary))
        data = (data_key(people.victims), data_key(people.auxiliary))
        width = sum(numbers_of(one) for one in self.places)
        names = tuple(one.name for one in self.places)
        return tuple(
            RecordJob(pack, number, names, data, sizes, self.system.releases, width)
            for pack in self.packs
            for number in range(len(pack.models))
        )

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
        """The plays of one attack: for each secret, target and source, and one with nothing to find."""
        people, needs = self.people, row.attack.needs
        arena = Arena(self.system.seed, people.victims.ids.astype(str), persons_of(people.auxiliary))
        sources = range(len(self.places)) if needs.reads == "features" else (None,)
        secrets = people.secrets if needs.goal == "attribute" else (None,)
        real = tuple(
            tuple(tuple(PlayJob(arena, row, one, source, secret) for source in sources) for one in self.recordings)
            for secret in secrets
        )
        null = tuple(
            PlayJob(
                arena, row, self.recordings[0], sources[0], None if one is None else by_coin(one, arena.seed),
                self.moved,
            )
            for one in secrets
        )  # fmt: skip
        return Plays(row, real, null)

    @cached_property
    def judged(self) -> Mapping[str, JudgeJob]:
        """The judging of each play after the input, by the key of the play."""
        return {
            play.key: JudgeJob(play, self.people.lineup, self.people.pictures)
            for own in self.plays
            if own.row.attack.needs.goal == "input"
            for play in own.all
        }

    @cached_property
    def radii(self) -> tuple[RadiusJob, ...]:
        """The within-class radius of what crosses; nothing where the victims have other classes than the model."""
        own = self.people.victims.classes == self.system.at_risk.classes
        return tuple(RadiusJob(one) for one in self.recordings) if own else ()

    def refusals(self) -> Mapping[str, str]:
        """Implements `Case`."""
        found, granted = {}, GRADES.index(self.threat.knows)
        plain = not self.people.victims.tokens and self.people.victims.inputs.dtype.kind in "fu"
        for row in self.attacks:
            needs = row.attack.needs
            if GRADES.index(needs.knows) > granted:
                found[row.id] = (
                    f"needs knows = {needs.knows!r}, but threat.knows is {self.threat.knows!r}: grant it or leave the "
                    "attack out"
                )
            elif needs.goal == "attribute" and not self.people.secrets:
                found[row.id] = "needs an attribute to seek: name `attributes` in the threat, or leave the attack out"
            elif (needs.goal == "input" or needs.reads == "inputs") and not plain:
                found[row.id] = "needs pictures or other plain numbers, got texts: leave the attack out"
            elif needs.pictures and not self.people.pictures:
                found[row.id] = "needs pictures with numbers in [0, 1], got other records: leave the attack out"
        return found

    def phases(self) -> list[tuple[str, Sequence[Job]]]:
        """Implements `Case`."""
        return [
            *((f"stage {job.links[-1].name}", [job]) for job in self.system.before),
            ("features", self.features),
            ("models", self.packs),
            ("queries", self.recordings),
            ("attacks", [play for own in self.plays for play in own.all]),
            ("judging", [*self.judged.values(), *self.radii]),
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
            "judged": [*(job.key for job in self.judged.values()), *(job.key for job in self.radii)],
        }

    def begin(self, progress: Callable[[str, int, int], None]) -> SplitCase:
        """Implements `Case`: nothing is to be done."""
        return self

    def notes(self) -> list[str]:
        """Implements `Case`."""
        people, threat = self.people, self.threat
        cuts = ", ".join(f"{one.name} ({numbers_of(one):,} numbers)" for one in self.places)
        notes = [f"cuts: {cuts}; features of all cuts come from one pass of each model"]
        if self.left_out:
            notes.append(
                f"cuts: {len(self.places)} of {len(self.places) + self.left_out} places, since each attack is trained "
                "at each; name others to test those"
            )
        notes.append(
            f"null audit: each attack plays once more, on victims that were exchanged, at {self.places[0].name}"
        )
        if len(people.lineup) < 20:
            notes.append(f"lineup: {len(people.lineup)} persons show only a large leak; 20 and more are better")
        if 2 <= threat.targets < 4:
            notes.append(f"targets: intervals over {threat.targets} models are very wide; take 1, or 4 and more")
        if count := trained_on(people.victims, self.system):
            notes.append(f"victims: {count} of them are records that a stage is trained on")
        if count := trained_on(people.auxiliary, self.system):
            notes.append(f"auxiliary: the adversary has {count} records that a stage is trained on")
        if threat.show_records:
            notes.append(
                "show_records: the report will show inputs of victims, and what attacks made of their features"
            )
        return notes

    def collect(self, folder: Path) -> Mapping[str, Any]:
        """Implements `Case`."""
        save_arrays(truth_file(folder), self._truth())
        refused, by_id = self.refusals(), {own.row.id: own for own in self.plays}
        for index, row in enumerate(self.attacks):
            if row.id not in refused:
                save_arrays(evidence_file(folder, index), self._evidence(by_id[row.id]))
        people, threat, system = self.people, self.threat, self.system
        if threat.show_records and people.pictures:
            rows = people.lineup[:SHOWN]
            save_arrays(pictures_file(folder), small_pictures(people.victims.inputs[rows]))
        return {
            "threat": {
                "at_risk": system.link.name, "access": threat.access, "targets": threat.targets,
                "knows": threat.knows, "labels": threat.labels, "cuts": [one.name for one in self.places],
                "attributes": list(threat.attributes), "victims": people.victims.name,
                "auxiliary": str(threat.auxiliary), "show_records": threat.show_records,
                "limits": {} if threat.limits is None else threat.limits.model_dump(exclude_none=True),
            },
            "data": {
                "name": system.sources[system.index], "records": len(people.victims),
                "persons": None if people.victims.persons is None else int(len(np.unique(people.victims.persons))),
                "lineup": len(people.lineup), "auxiliary": len(people.auxiliary), "pictures": people.pictures,
                "trained": len(system.at_risk), "shape": list(people.victims.inputs.shape[1:]),
                "victims_trained_on": trained_on(people.victims, system),
                "auxiliary_trained_on": trained_on(people.auxiliary, system),
            },
            "cuts": [_told(one) for one in self.places],
            "cuts_left_out": self.left_out,
            "attributes": [
                {"name": one.name, "values": list(one.values), "labels": len(one.rows)} for one in people.secrets
            ],
            "attacks": [_listed(row, refused.get(row.id, "")) for row in self.attacks],
            "gates": [],
        }  # fmt: skip

    def _truth(self) -> dict[str, Any]:
        """Whose each victim is, the lineup, the attributes, and whether the answers are right."""
        people, system = self.people, self.system
        found = {"person": persons_of(people.victims), "lineup": people.lineup}
        if people.victims.classes == system.at_risk.classes:
            named = np.stack([job.answered().numpy().argmax(1) for job in self.recordings])
            found["correct"] = named == people.victims.labels
        if self.radii:
            seen = [job.load() for job in self.radii]
            found |= {f"radius-{name}": np.stack([one[name] for one in seen]) for name in seen[0]}
        for index, secret in enumerate(people.secrets):
            found[f"value-{index}"] = people.truth[secret.name]
            found[f"prior-{index}"] = np.bincount(secret.known, minlength=len(secret.values)) / len(secret.known)
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
    refused = case.refusals()
    telling = [
        row
        for row in attacks
        if row.attack.needs.reads == "features"
        and not row.attack.control
        and not getattr(row.attack, "reference", False)
    ]
    if all(row.id in refused for row in telling):
        told = "; ".join(f"{row.id}: {refused[row.id]}" for row in telling) or "none reads features"
        raise ConfigError(f"threat.family: split needs an attack that can run, got {told}")
    return case


def _listed(row: NamedAttack, refused: str) -> dict[str, Any]:
    """Entry of `run.json` about an attack, with what it is after and what it reads."""
    needs = row.attack.needs
    return {**row.listed(refused), "goal": needs.goal, "reads": needs.reads}


def _told(cut: ModelCut) -> dict[str, Any]:
    """What a result says of a cut."""
    return {
        "name": cut.name, "shapes": [list(one.shape) for one in cut.tensors], "numbers": numbers_of(cut),
        "bytes": dict(cut.bytes), "parameters": cut.parameters, "multiply_adds": cut.multiply_adds,
        "counted": cut.counted,
    }  # fmt: skip
