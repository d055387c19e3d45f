"""One threat of exchange on a joint training that ran elsewhere, of which its messages were recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from dosimeter.data import Dataset
from dosimeter.data.entries import data_key
from dosimeter.families.attack import NamedAttack
from dosimeter.families.exchange.case.counted import counted_p
from dosimeter.families.exchange.case.people import Watched, count_of, watched_of
from dosimeter.families.exchange.case.refusals import named_or_able, refusals, require_telling
from dosimeter.families.exchange.case.seen import check_sent, steps_seen
from dosimeter.families.exchange.case.told import listed
from dosimeter.families.exchange.play.job import Arena, PlayJob
from dosimeter.families.exchange.play.model import divided
from dosimeter.families.exchange.play.received import ReceivedJob
from dosimeter.families.exchange.stored import evidence_file, truth_file
from dosimeter.families.exchange.threat import ExchangeThreat
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import ConfigError, DataError
from dosimeter.foundation.wording import quote
from dosimeter.jobs.arrays import save_arrays
from dosimeter.jobs.job import Job
from dosimeter.training.defending import DefenseRow
from dosimeter.training.deployment.received import FEWEST, Received, ReceivedSystem
from dosimeter.training.joint.transcript import COORDINATOR, Agreement
from dosimeter.training.joint.truth import UNKNOWN
from dosimeter.training.preflight import about
from dosimeter.training.recipe import GuardsMessages, HidesParts

FEWEST_OF_A_SIDE = 5
"""Judged batches of each side, at least."""


@dataclass(frozen=True)
class ReceivedCase:
    """One threat on one recorded training; nothing is trained but what attacks train.

    Attributes:
        system: the recorded training.
        threat: the adversary.
        attacks: to run, in order.
        watched: who watches whom, with which records of their own.
        batch: records of a batch of the victim.
    """

    system: ReceivedSystem
    threat: ExchangeThreat
    attacks: tuple[NamedAttack, ...]
    watched: Watched
    batch: int

    @property
    def mixture(self) -> tuple[float, float]:
        """Shares of records with the property, of both sides."""
        return self.threat.mixtures[0]

    @cached_property
    def sides(self) -> Int[Array, " n"]:
        """Of each step 1 or 0, for the side that the victim's batch is of, or -1 where it is not judged."""
        return sides_of(self.system.transcript, self.mixture, self.batch)

    @property
    def _who(self) -> tuple[str, str]:
        """The victim, then the adversary."""
        return self.watched.victim, self.watched.adversary

    @cached_property
    def _refused(self) -> Mapping[str, str]:
        """Why attacks cannot run, whatever was recorded of the messages that the method sends."""
        told = self.system.transcript.agreement
        found = dict(refusals(self.attacks, self.watched, told.method, self.system.transcript.recipe(self.batch)[0]))
        for row in self.attacks:
            if told.method == "dann" and row.attack.needs.channel in ("gradient", "alignment_gradient"):
                found[row.id] = "needs the discriminator of 'dann', which no message holds: leave the attack out"
        return found

    @cached_property
    def _seen(self) -> Mapping[str, Bool[Array, " n"]]:
        """Of each attack on messages the steps in which it sees something of the victim."""
        rows = [row for row in self.attacks if row.id not in self._refused]
        channels = {row.id: row.attack.needs.channel for row in rows}
        return {
            name: steps_seen(self.system.transcript, self._who, one)
            for name, one in channels.items()
            if one is not None
        }

    @cached_property
    def judged(self) -> Bool[Array, " n"]:
        """Whether each step is judged: its side is known, and the attack that sees most sees something of it."""
        most = max(self._seen.values(), key=np.sum, default=np.ones(len(self.sides), bool))
        found: Array = (self.sides >= 0) & most
        return found

    @property
    def left_out(self) -> tuple[str, ...]:
        """A sentence for each thing that was left out; of the last step of "soft" nothing ever crosses."""
        found, away = self.system.transcript, (self.sides >= 0) & ~self.judged
        if found.agreement.method == "soft":
            away = away[:-1]
        told = f"{int(away.sum())} steps of which the adversary sees nothing of the victim are not judged"
        return (*found.left_out, *([told] if away.any() else []))

    @cached_property
    def training(self) -> ReceivedJob:
        """What stands in the place of a joint training."""
        link = self.system.link(self.watched.auxiliary, self.batch)
        found, victim = self.system.transcript, self.watched.victim
        return ReceivedJob(self.system.store, found, link, victim, self.batch, self.system.seed)

    def play(self, row: NamedAttack) -> PlayJob:
        """The play of one attack on the recorded training."""
        own = self.watched
        arena = Arena(self.system.seed, own.victim, own.adversary, data_key(own.auxiliary), own.known)
        return PlayJob(arena, row, self.training, self.mixture)

    @property
    def running(self) -> list[NamedAttack]:
        """Attacks that are not refused."""
        refused = self.refusals()
        return [row for row in self.attacks if row.id not in refused]

    @property
    def shown_attacks(self) -> tuple[NamedAttack, ...]:
        """Implements `LeavesOutDefaults`."""
        return self.attacks

    def refusals(self) -> Mapping[str, str]:
        """Implements `Case`."""
        found, victim, judged = dict(self._refused), self.watched.victim, self.judged
        for name, seen in self._seen.items():
            missing = int((judged & ~seen).sum())
            if missing or not seen.any():
                steps = f"{missing} of {int(judged.sum())} judged steps" if seen.any() else "any step"
                found[name] = (
                    f"needs messages that tell of {victim!r}, of which none were recorded in {steps}: record all, or "
                    "leave the attack out"
                )
        return found

    def phases(self) -> list[tuple[str, Sequence[Job]]]:
        """Implements `Case`."""
        return [("queries", [self.training]), ("attacks", [self.play(row) for row in self.running])]

    def datasets(self) -> list[Dataset]:
        """Implements `Case`."""
        return [self.watched.auxiliary]

    def records(self) -> int:
        """Implements `Case`."""
        return len(self.watched.auxiliary)

    def definition(self) -> Mapping[str, Any]:
        """Implements `Case`."""
        return {
            "threat": self.threat.model_dump(mode="json", exclude={"id"}),
            "attacks": [[row.id, row.name, row.settings] for row in self.attacks],
            "training": self.training.key,
            "plays": [self.play(row).key for row in self.running],
        }

    def begin(self, progress: Callable[[str, int, int], None]) -> ReceivedCase:
        """Implements `Case`: nothing is to be done."""
        return self

    def notes(self) -> list[str]:
        """Implements `Case`."""
        found, told = self.system.transcript, self.system.transcript.agreement
        first = int((self.sides[self.judged] == 1).sum())
        notes = [
            f"transcript: {found.steps} steps of {told.method!r} between {' and '.join(told.parties)}; "
            f"{int(self.judged.sum())} are judged, of which {first} are of the first side",
            "order: steps are taken to come in an order that does not depend on the property, as by a coin or a "
            "shuffle; a check tests it",
            f"auxiliary: must hold no record of {self.watched.victim!r}, whose records are not here to compare",
            *(f"transcript: {one}" for one in self.left_out),
        ]
        if found.agreement.method == "fedavg":
            notes.append("agreement: no message tells whether rates, momentum and local_steps are right: see to it")
        if note := found.recipe(self.batch)[1]:
            notes.append(note)
        if int(self.judged.sum()) < 100:
            notes.append(f"steps: {int(self.judged.sum())} batches show only a large leak; 100 and more are better")
        return notes

    def collect(self, folder: Path) -> Mapping[str, Any]:
        """Implements `Case`."""
        kept = self.judged
        truth = {"coins": (self.sides[kept] == 1)[None, None]}
        victim, adversary = self._who
        if (p := counted_p(self.system.transcript, victim, self.system.seed, adversary)) is not None:
            truth["counted_p"] = np.array(p)
        save_arrays(truth_file(folder), truth)
        refused = self.refusals()
        for index, row in enumerate(self.attacks):
            if row.id not in refused:
                save_arrays(evidence_file(folder, index), {"guesses": self.play(row).load()[kept][None, None]})
        return {
            "threat": self._adversary(),
            "data": self._counted(),
            "attacks": [listed(row, refused.get(row.id, "")) for row in self.attacks],
            "gates": [],
        }

    def _adversary(self) -> dict[str, Any]:
        """What a result says of the adversary."""
        own, found, told = self.watched, self.system.transcript, self.system.transcript.agreement
        receiver = "receiver" if "receiver" in told.parties else told.parties[-1]
        return {
            "at_risk": "target", "access": self.threat.access, "targets": 1, "method": told.method,
            "parties": list(told.parties), "victim": own.victim, "adversary": own.adversary, "receiver": receiver,
            "property": str(self.threat.property), "value": own.value, "mixtures": [list(self.mixture)],
            "auxiliary": str(self.threat.auxiliary), "steps": found.steps, "batch_size": self.batch,
            "recorded": {
                "judged": int(self.judged.sum()), "planned": found.planned, "left_out": list(self.left_out),
                **({} if found.replay is None else {"same": found.replay.why}),
            },
        }  # fmt: skip

    def _counted(self) -> dict[str, Any]:
        """What a result says of the records; those of the parties are not here."""
        own, truth, kept = self.watched, self.system.transcript.truth, self.judged
        return {
            "name": None, "records": int(truth.sizes[kept].sum()), "parties": {}, "auxiliary": len(own.auxiliary),
            "having": int(truth.having[kept].sum()), "auxiliary_having": int(own.known.sum()),
            "correlation": own.correlation, "test": None,
        }  # fmt: skip


def sides_of(recorded: Received, mixture: tuple[float, float], batch: int) -> Int[Array, " n"]:
    """Side of the victim's batch at each step: 1 with so many records of the property or more, 0 with so few or fewer.

    Args:
        recorded: with what the victim knows.
        mixture: shares of both sides.
        batch: records of a batch; steps of another size are not judged, -1.
    """
    local, truth = recorded.agreement.local_steps, recorded.truth
    high, low = (local * count_of(share, batch) for share in mixture)
    known = (truth.having != UNKNOWN) & (truth.sizes == local * batch)
    found: Array = np.where(known & (truth.having >= high), 1, np.where(known & (truth.having <= low), 0, -1))
    return found


def received_case(system: ReceivedSystem, threat: ExchangeThreat, attacks: Sequence[NamedAttack]) -> ReceivedCase:
    """One threat on one recorded training.

    Raises:
        AuditError: the threat does not fit the transcript, or the records do not fit one of them.
    """
    told, truth = system.transcript.agreement, system.transcript.truth
    sizes, often = np.unique(truth.sizes, return_counts=True)
    batch = int(sizes[often.argmax()]) // told.local_steps
    if batch < 2:
        raise DataError(
            f"transcript: the victim's batches must have two records or more, got {batch} in most steps: count the "
            "records of each batch in `classes`"
        )
    watched = watched_of(threat, system.parts, told.parties, batch)
    _check_fit(system, threat, watched, batch)
    check_sent(system.transcript, watched.victim, watched.adversary)
    case = ReceivedCase(system, threat, tuple(attacks), watched, batch)
    require_telling(case.attacks, case.refusals())
    sides = case.sides[case.judged]
    counts = [int((sides == one).sum()) for one in (1, 0)]
    if sum(counts) < FEWEST or min(counts) < FEWEST_OF_A_SIDE:
        high, low = (count_of(one, batch) for one in case.mixture)
        raise DataError(
            f"transcript: {FEWEST} batches or more must be judged, {FEWEST_OF_A_SIDE} of each side or more, got "
            f"{counts[0]} with {high} records of the property and {counts[1]} with {low} or fewer, of {batch}: choose "
            "`mixtures` that lie closer together, or record more steps"
        )
    return replace(case, attacks=named_or_able(case.attacks, case.refusals()))


def _check_seen(row: DefenseRow, threat: ExchangeThreat, told: Agreement) -> None:
    """Refuses a defense of messages that the adversary does not see, of which nothing could be said.

    Raises:
        ConfigError: why not.
    """
    source, receiver, *_ = told.parties
    if isinstance(row.defense, HidesParts) and threat.adversary != COORDINATOR:
        raise ConfigError(
            f"{row.name} hides the parts of a sum from the coordinator and changes nothing of what a party sees, got "
            f"threat.adversary {threat.adversary!r}: let 'coordinator' watch, or remove it"
        )
    if isinstance(row.defense, GuardsMessages) and (threat.victim, threat.adversary) != (source, receiver):
        raise ConfigError(
            f"{row.name} changes the features that {source!r} shows to {receiver!r}, but {threat.adversary!r} watches "
            f"{threat.victim!r}: let {receiver!r} watch {source!r}, or remove it"
        )


def _check_fit(system: ReceivedSystem, threat: ExchangeThreat, watched: Watched, batch: int) -> None:
    """Refuses a threat that nobody could carry out on these messages, and a network that is not theirs.

    Raises:
        AuditError: which of them, and why.
    """
    told, classes = system.transcript.agreement, system.transcript.truth.classes.shape[1]
    if (replay := system.transcript.replay) is not None:
        _check_seen(replay.row, threat, told)
    if told.method == "soft" and threat.adversary == COORDINATOR:
        raise ConfigError(
            "threat.adversary: transfer 'soft' has no coordinator, got 'coordinator': name the other party"
        )
    if told.sum_bits is not None and threat.adversary != COORDINATOR:
        raise ConfigError(
            f"threat.adversary: what a party itself gave to a secure sum crosses no wire, got {threat.adversary!r}: "
            "let 'coordinator' watch"
        )
    if classes != len(watched.auxiliary.classes):
        raise DataError(
            f"threat.auxiliary: must have the {classes} classes that the batches were counted by, got "
            f"{len(watched.auxiliary.classes)}: name the same `classes` in data_options, in the same order"
        )
    with about("target.model"):
        trunk, _ = divided((system.link(watched.auxiliary, batch),), 0, None)
    here, sent = (
        {name: tuple(one.shape) for name, one in arrays} for arrays in (trunk.named_parameters(), system.trunk.items())
    )
    if here != sent:
        odd = sorted(set(here.items()) ^ set(sent.items()))[0]
        raise DataError(
            f"target.model: its shared layers must have the arrays of the transcript, {quote(', '.join(sent))}, got "
            f"{quote(', '.join(here))}; they differ in {quote(odd[0])}: name the network that was trained, with its "
            "options"
        )
