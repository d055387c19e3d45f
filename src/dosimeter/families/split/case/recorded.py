"""One threat of split on recorded traffic, whose model is elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from dosimeter.data import Dataset
from dosimeter.data.entries import data_key
from dosimeter.families.attack import NamedAttack
from dosimeter.families.split.case.case import SplitCase
from dosimeter.families.split.case.order import order_gate
from dosimeter.families.split.case.people import people_of
from dosimeter.families.split.case.refusals import refusals, require_telling
from dosimeter.families.split.play.replayed import ReplayJob
from dosimeter.families.split.threat import ALL, AUXILIARY, VICTIMS, SplitThreat
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.checks import suggest
from dosimeter.foundation.errors import ConfigError, DataError
from dosimeter.foundation.wording import quote
from dosimeter.jobs.job import Job
from dosimeter.models.cuts.places import WIDTHS, Crossing, ModelCut
from dosimeter.training.chain import Link
from dosimeter.training.deployment.recorded import RecordedSystem, Transcript
from dosimeter.training.system import TrainedSystem

SENT = "needs a training, whose gradients it returns, but recorded traffic is over"
"""Why no attack on recorded traffic acts in a training."""


@dataclass(frozen=True)
class RecordedCase(SplitCase):
    """One threat on recorded traffic: attacks play as on a model that is here, and nothing is trained but they.

    Attributes:
        recorded: the traffic.
    """

    recorded: RecordedSystem | None = None

    @property
    def traffic(self) -> RecordedSystem:
        """The traffic."""
        assert self.recorded is not None
        return self.recorded

    @cached_property
    def features(self) -> tuple[()]:
        """None, since no model is trained."""
        return ()

    @cached_property
    def packs(self) -> tuple[()]:
        """None, since no model is trained."""
        return ()

    @cached_property
    def recordings(self) -> tuple[ReplayJob, ...]:  # type: ignore[override]
        """What crossed the cuts."""
        people, names = self.people, tuple(one.name for one in self.places)
        shape = tuple(int(side) for side in people.victims.inputs.shape[1:])
        return (ReplayJob(self.traffic, names, (data_key(people.victims), data_key(people.auxiliary)), shape),)

    @cached_property
    def asked(self) -> tuple[()]:
        """None: adversaries of a training elsewhere are not here."""
        return ()

    def refusals(self) -> Mapping[str, str]:
        """Implements `Case`."""
        return refusals(self.attacks, self.threat, self.people, recorded=True, finished=SENT)

    def phases(self) -> list[tuple[str, Sequence[Job]]]:
        """Implements `Case`."""
        own = ("queries", "attacks", "classifier", "judging")
        return [(name, jobs) for name, jobs in self._phases(()) if name in own]

    def datasets(self) -> list[Dataset]:
        """Implements `Case`."""
        return [self.people.victims, self.people.auxiliary]

    def records(self) -> int:
        """Implements `Case`."""
        return len(self.people.auxiliary)

    def notes(self) -> list[str]:
        """Implements `Case`."""
        shapes = ", ".join(f"{name} {'x'.join(map(str, one))}" for name, one in self.traffic.transcript.shapes.items())
        notes = [
            f"cuts: {shapes}, as recorded in {self.traffic.transcript.folder}",
            "training records: not known, so that victims and auxiliary records are none of them is yours to see to",
        ]
        return [*notes, *self.people.notes]

    def collect(self, folder: Path) -> Mapping[str, Any]:
        """Implements `Case`."""
        told = dict(super().collect(folder))
        cuts = [{**one, "parameters": None, "multiply_adds": None} for one in told["cuts"]]
        return {**told, "cuts": cuts}

    def _gates(self) -> list[dict[str, Any]]:
        """Whether the traffic is of the records beside it."""
        (seen,) = self.recordings
        answers, *sent = (seen.load(source) for source in (None, *range(len(self.places))))
        parts = {VICTIMS: self.people.victims.inputs, AUXILIARY: self.people.auxiliary.inputs}
        traffic = {part: [one[side] for one in (answers, *sent)] for side, part in enumerate(parts)}
        return [asdict(order_gate(parts, traffic, [one.name for one in self.places], self.system.seed))]

    def _correct(self) -> dict[str, Array]:
        """None where answers have another number of columns than there are classes, of which none is then named."""
        wide = self.recordings[0].answered(None).shape[1] == len(self.people.victims.classes)
        return super()._correct() if wide else {}

    def _counted(self) -> dict[str, Any]:
        """What a result says of the records; of training records nothing is known."""
        unknown = {"trained": None, "victims_trained_on": None, "auxiliary_trained_on": None}
        return {**super()._counted(), **unknown}


def recorded_case(system: RecordedSystem, threat: SplitThreat, attacks: Sequence[NamedAttack]) -> RecordedCase:
    """One threat on recorded traffic.

    Raises:
        AuditError: records, traffic and threat do not fit each other.
    """
    names = {"auxiliary": threat.auxiliary or AUXILIARY, "victims": threat.victims or VICTIMS}
    known = {**names, "knows": "queries"}
    threat = threat.model_copy(update=known)
    chain = _elsewhere(system)
    people = people_of(threat, chain)
    sizes = (len(people.victims), len(people.auxiliary))
    if sizes != system.transcript.sizes:
        a, b = system.transcript.sizes
        raise DataError(
            f"transcript: must have one row for each record, {sizes[0]} victims and {sizes[1]} auxiliary ones, got {a} "
            f"and {b}: give the records in the order in which they were sent"
        )
    case = RecordedCase(chain, threat, tuple(attacks), people, _places(system.transcript, threat), recorded=system)
    require_telling(case.attacks, case.refusals())
    return case


def _places(transcript: Transcript, threat: SplitThreat) -> tuple[ModelCut, ...]:
    """The cuts of a threat, or all that were recorded; what is before them is not known.

    Raises:
        ConfigError: one was not recorded.
    """
    names = () if threat.cuts == ALL else threat.cuts
    wrong = [one for one in names if one not in transcript.cuts]
    if wrong:
        raise ConfigError(
            f"threat.cuts: must be among those that were recorded, got {quote(wrong[0])}, "
            f"{suggest(wrong[0], transcript.cuts)}"
        )
    return tuple(_place(name, transcript.shapes[name]) for name in names or transcript.cuts)


def _place(name: str, shape: tuple[int, ...]) -> ModelCut:
    """A recorded cut."""
    numbers = 1
    for side in shape:
        numbers *= side
    sizes = {form: width * numbers for form, width in WIDTHS.items()}
    return ModelCut(name, (name,), 0, (Crossing(name, shape, "float32"),), sizes, 0, 0, counted=False, modes=())


def _elsewhere(system: RecordedSystem) -> TrainedSystem:
    """Records and seed of recorded traffic in the form of a chain, of which nothing else is known and nothing trained.

    Args:
        system: the traffic.
    """
    records = next(iter(system.parts.values()))
    link = Link("target", None, tuple(int(side) for side in records.inputs.shape[1:]), len(records.classes))
    return TrainedSystem(
        system.store, system.device, system.seed, (link,), (records,), None, 0, (1.0,), (None,), ((),), system.parts
    )
