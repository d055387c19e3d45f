"""What was recorded elsewhere, with its records: what is known before attacks play."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from dosimeter.config.recorded import RecordedAudit
from dosimeter.config.tables import Report
from dosimeter.config.threat_rows import ThreatRow
from dosimeter.data import Dataset
from dosimeter.families.family import Case
from dosimeter.foundation.errors import ConfigError
from dosimeter.foundation.user_code import import_from
from dosimeter.jobs.store import Store
from dosimeter.pipeline.durations import REPORT_SECONDS
from dosimeter.pipeline.plan import Plan, StagePlan, attack_plans, case_notes, free_space
from dosimeter.pipeline.prepared import Prepared
from dosimeter.pipeline.recipe.parts import read_parts
from dosimeter.training.defending import DefenseRow
from dosimeter.training.deployment.received import ReceivedSystem, is_received, receive
from dosimeter.training.deployment.recorded import RecordedSystem, read_transcript
from dosimeter.training.deployment.replaying import replayed
from dosimeter.training.preflight import Together, about, check_device


@dataclass(frozen=True)
class Recorded:
    """An audit of recorded traffic.

    Attributes:
        name: name of the audit.
        seed: root of all randomness.
        transcript: folder of the traffic.
        data: the records by name.
        threats: the adversaries, in order.
        report: wording of the report.
        base: folder that user modules come from.
        given: settings as the user gave them, for the run's folder.
        model: of a joint training: `model`, `options` and `head` of the network that its parties shared.
        variants: further audits, each with one defense tried on the messages.
    """

    name: str
    seed: int
    transcript: Path
    data: Mapping[str, Dataset]
    threats: tuple[ThreatRow, ...]
    report: Report
    base: Path
    given: Mapping[str, Any] = field(default_factory=dict)
    model: Mapping[str, Any] = field(default_factory=dict)
    variants: tuple[DefenseRow, ...] = ()

    def settings(self) -> Mapping[str, Any]:
        """Settings as the user gave them."""
        return self.given


@dataclass(frozen=True)
class PreparedRecorded(Prepared):
    """Recorded traffic with its jobs listed.

    Attributes:
        audit: the settings.
        system: the traffic, or the messages.
        cases: the cases by id of their threat.
    """

    audit: Recorded
    system: RecordedSystem | ReceivedSystem
    cases: Mapping[str, Case]

    @property
    def door(self) -> str:
        """Implements `Prepared`."""
        return "transcript"

    @cached_property
    def variants(self) -> tuple[tuple[DefenseRow, PreparedRecorded], ...]:
        """Implements `Prepared`: the same messages, with each defense that leaves the training as it was."""
        found, together = [], Together()
        for row in self.audit.variants:
            with together, about(f"defense {row.id!r}"):
                assert isinstance(self.system, ReceivedSystem)
                system = replace(self.system, transcript=replayed(self.system.transcript, row, self.system.seed))
                cases = {one.id: one.family.case(system, one.threat, one.attacks) for one in self.audit.threats}
                told = {key: one for key, one in self.audit.given.items() if key != "defense"}
                audit = replace(self.audit, name=f"{self.audit.name}: {row.id}", variants=(), given=told)
                found.append((row, PreparedRecorded(audit, system, cases)))
        together.tell()
        return tuple(found)

    def origin(self) -> dict[str, Any]:
        """Implements `Prepared`."""
        return {
            "data_sha256": next(iter(self.system.parts.values())).fingerprint,
            "target_sha256": self.system.transcript.digest,
            "sources": {},
        }


def read_recorded(audit: RecordedAudit) -> Recorded:
    """The records that an audit file names.

    Raises:
        AuditError: every problem found, one line each.
    """
    import_from(audit.base)
    together = Together()
    parts = read_parts(audit.parts, None, seed=audit.seed, base=audit.base, together=together)
    together.tell()
    return Recorded(
        name=audit.name, seed=audit.seed, transcript=audit.base / audit.transcript, data=parts, threats=audit.threats,
        report=audit.report, base=audit.base, given=audit.settings(), model=audit.model,
        variants=audit.variants,
    )  # fmt: skip


def prepare_recorded(recorded: Recorded, *, store: Store, device: str) -> PreparedRecorded:
    """Reads the traffic, or the messages, and lists the jobs of the attacks.

    Raises:
        AuditError: every problem found, one line each.
    """
    check_device(device)
    system = _system(recorded, store, device)
    together, cases = Together(), dict[str, Case]()
    for row in recorded.threats:
        with together:
            cases[row.id] = row.family.case(system, row.threat, row.attacks)
    together.tell()
    return PreparedRecorded(recorded, system, cases)


def _system(recorded: Recorded, store: Store, device: str) -> RecordedSystem | ReceivedSystem:
    """What was recorded, by what its folder holds.

    Raises:
        AuditError: it cannot be read, or a threat reads another kind.
    """
    folder = recorded.transcript
    joint, kinds = is_received(folder), ("traffic over a cut", "messages of a joint training")
    odd = [
        f"{row.place}.family: {row.family.name!r} reads {kinds['parties' in row.family.takes]}, got {kinds[joint]} in "
        f"{folder}: give the other folder, or use family = {'exchange' if joint else 'split'!r}"
        for row in recorded.threats
        if ("parties" in row.family.takes) != joint
    ]
    if folder.is_dir() and odd:
        raise ConfigError(*odd)
    if joint:
        return ReceivedSystem(store, device, recorded.seed, receive(folder), recorded.model, recorded.data)
    return RecordedSystem(store, device, recorded.seed, read_transcript(folder), recorded.data)


def _words(system: RecordedSystem | ReceivedSystem) -> tuple[str, dict[str, Any]]:
    """What stands in the place of a model, in words, and its settings."""
    if isinstance(system, ReceivedSystem):
        told = system.transcript.agreement
        settings = {"method": told.method, "parties": list(told.parties), "steps": system.transcript.steps}
        if (replay := system.transcript.replay) is not None:
            settings["defenses"] = [{"id": replay.row.id, "name": replay.row.name, **replay.row.settings}]
        return "recorded joint training", {**system.target, **settings}
    return "recorded traffic", {"cuts": list(system.transcript.cuts)}


def about_recorded(prepared: PreparedRecorded) -> dict[str, Any]:
    """What `run.json` says of recorded traffic: `noun` and `chain`."""
    records = prepared.system.parts
    told = ", ".join(f"{len(one):,} {name}" for name, one in records.items())
    model, settings = _words(prepared.system)
    stage = {
        "stage": "target", "data": told, "model": model, "transfer": "given", "given": True,
        "at_risk": True, "settings": settings,
    }  # fmt: skip
    return {"noun": prepared.audit.report.noun or next(iter(records.values())).noun, "chain": [stage]}


def plan_recorded(prepared: PreparedRecorded) -> Plan:
    """What a run would do; plays nothing."""
    audit, system = prepared.audit, prepared.system
    told = ", ".join(f"{len(one):,} {name}" for name, one in system.parts.items())
    size = sum(one.inputs.nbytes for one in system.parts.values())
    stages = [StagePlan("target", _words(system)[0], told, 0, 0, "")]
    for row, _ in prepared.variants:
        settings = ", ".join(f"{key} {value}" for key, value in row.settings.items())
        stages.append(
            StagePlan("target again", f"variant {row.id}: {row.name} ({settings})", "the same messages", 0, 0, "")
        )
    return Plan(
        key=prepared.key,
        stages=tuple(stages),
        attacks=attack_plans(audit.threats, prepared.cases),
        seconds=None,
        memory=int(3e8 + 4 * size),
        disk=2 * size,
        free=free_space(system.store.root),
        hashed={"transcript": system.transcript.digest},
        notes=tuple(case_notes(audit.threats, prepared.cases)),
    )


def recorded_seconds_left() -> float:
    """Duration of a run apart from its attacks, seconds; bars show the time left of those."""
    return REPORT_SECONDS
