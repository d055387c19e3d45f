"""One threat about the records of some batches, on a chain whose last stage parties train together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from dosimeter.data.entries import data_key
from dosimeter.families.attack import NamedAttack
from dosimeter.families.exchange.case.case import ExchangeCase, require_joint, require_trainable
from dosimeter.families.exchange.case.further import FurtherCase
from dosimeter.families.exchange.case.people import partners_without_property
from dosimeter.families.exchange.case.refusals import named_or_able, require_telling
from dosimeter.families.exchange.play.answers import AnswersJob, worth_of
from dosimeter.families.exchange.play.model import divided
from dosimeter.families.exchange.records.alike import alike_batches
from dosimeter.families.exchange.records.heads import HeadsJob
from dosimeter.families.exchange.records.judge import JudgeJob
from dosimeter.families.exchange.records.play import PORTION, RebuildJob
from dosimeter.families.exchange.records.refusals import records_refusals, without_head
from dosimeter.families.exchange.records.told import counted, listed, notes_of
from dosimeter.families.exchange.stored import evidence_file, truth_file
from dosimeter.families.exchange.threat import ExchangeThreat
from dosimeter.families.pictures import shrink
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import ConfigError
from dosimeter.foundation.seeds import generator
from dosimeter.jobs.arrays import save_arrays
from dosimeter.jobs.job import Job
from dosimeter.training.joint.job import JointJob
from dosimeter.training.system import TrainedSystem

SHOWN = 12
"""Most records whose pictures a report shows."""


@dataclass(frozen=True)
class RecordsCase(FurtherCase):
    """One threat about records on one chain; nothing is trained yet."""

    @property
    def size(self) -> int:
        """Records of the victim in one message."""
        return self.joint.size * self.joint.local_steps

    @cached_property
    def pictures(self) -> bool:
        """Returns whether records are pictures with numbers in [0, 1]."""
        partners = self.joint.partners
        both = (partners.parties[partners.victim].inputs, partners.auxiliary.inputs)
        if any(one.ndim != 4 for one in both):
            return False
        return all(one.dtype == np.uint8 or (one.min() >= 0 and one.max() <= 1) for one in both)

    @cached_property
    def steps(self) -> Int[Array, " n"]:
        """Steps whose batches are sought, spread over the training; of the last one of "soft" nothing is seen."""
        able = self.joint.steps - (str(self.system.link.transfer) == "soft")
        if self.threat.batches > able:
            raise ConfigError(
                f"threat.batches: must be at most the {able} steps of the training that are seen, got "
                f"{self.threat.batches}: lower it, or raise steps"
            )
        return np.linspace(0, able - 1, self.threat.batches).round().astype(np.int64)

    @cached_property
    def rows(self) -> tuple[tuple[Int[Array, "n b"], Int[Array, " n"]], ...]:
        """Of each training the rows of the batches that are sought, and of records that are in none of them."""
        partners, seed = self.joint.partners, self.system.seed
        labels = partners.parties[partners.victim].labels
        return tuple(
            alike_batches(
                labels, self.threat.batches, self.size, generator(seed, "exchange sought", one), partners.victim
            )
            for one in range(self.threat.targets)
        )

    @cached_property
    def runs(self) -> tuple[JointJob, ...]:
        """Joint trainings: batches in random order, but for those that are sought."""
        return tuple(self._job(plain, rows) for plain, (rows, _) in zip(self.joint.plain, self.rows, strict=True))

    def _job(self, plain: JointJob, rows: Int[Array, "n b"]) -> JointJob:
        """A joint training in which the victim's batches at some steps are given."""
        local, victim = self.joint.local_steps, self.joint.partners.victim
        members = []
        for one in plain.members:
            if one.name == victim:
                batches = one.batches.copy()
                for step, own in zip(self.steps, rows, strict=True):
                    batches[step * local : (step + 1) * local] = own.reshape(local, -1)
                one = replace(one, batches=batches)
            members.append(one)
        return replace(plain, members=tuple(members))

    @cached_property
    def answers(self) -> tuple[AnswersJob, ...]:
        """Answers of the receiver's models for the test records; none without any."""
        if self.system.test is None:
            return ()
        partners = self.joint.partners
        receiver = partners.order.index(partners.receiver)
        return tuple(AnswersJob(one, receiver, data_key(self.system.test)) for one in self.runs)

    @cached_property
    def heads(self) -> tuple[HeadsJob, ...]:
        """What the victim's last layer was in each training; none where no attack reads it."""
        if not any(self._reads_head(row) for row in self.running):
            return ()
        victim = self.joint.partners.order.index(self.joint.partners.victim)
        return tuple(HeadsJob(one, victim, tuple(self.steps.tolist())) for one in self.runs)

    def _reads_head(self, row: NamedAttack) -> bool:
        """Returns whether an attack reads the victim's last layer."""
        needs = row.attack.needs
        return (needs.head or needs.takes_head) and not without_head(self.threat, self.joint.partners, self.system)

    def plays(self, row: NamedAttack, target: int) -> tuple[RebuildJob, ...]:
        """Plays of one attack on one training, in the order of the steps."""
        heads = self.heads[target] if self._reads_head(row) else None
        box = (0.0, 1.0) if self.pictures else None
        steps = self.steps.tolist()
        return tuple(
            RebuildJob(self.joint.arena, row, self.runs[target], tuple(steps[at : at + PORTION]), box, heads)
            for at in range(0, len(steps), PORTION)
        )

    def judges(self, row: NamedAttack) -> tuple[JudgeJob, ...]:
        """What the plays of one attack are worth, by training."""
        return tuple(
            JudgeJob(self.plays(row, target), *self.rows[target], self.pictures) for target in range(len(self.runs))
        )

    def refusals(self) -> Mapping[str, str]:
        """Implements `Case`."""
        trunk, _ = divided(self.system.links, 0, None)
        return records_refusals(self.joint.attacks, self.threat, self.joint.partners, self.system, trunk)

    def phases(self) -> list[tuple[str, Sequence[Job]]]:
        """Implements `Case`."""
        plays = [play for row in self.running for one in range(len(self.runs)) for play in self.plays(row, one)]
        return [
            *self.joint.stages(self.runs),
            ("models", [*self.answers, *self.heads]),
            ("attacks", plays),
            ("judging", [one for row in self.running for one in self.judges(row)]),
        ]

    def definition(self) -> Mapping[str, Any]:
        """Implements `Case`."""
        judged = [one for row in self.running for one in self.judges(row)]
        return self.keys(runs=self.runs, answers=self.answers, judged=judged)

    def notes(self) -> list[str]:
        """Implements `Case`."""
        return notes_of(self.system, self.threat, self.joint.partners, self.size)

    def collect(self, folder: Path) -> Mapping[str, Any]:
        """Implements `Case`."""
        truth = {"rows": np.stack([rows for rows, _ in self.rows]), "steps": self.steps, **worth_of(self.answers)}
        if self._shows:
            truth["pictures"] = shrink(self._inputs()[self.rows[0][0][0, :SHOWN]])
        save_arrays(truth_file(folder), truth)
        refused, threat = self.refusals(), self.threat
        for index, row in enumerate(self.joint.attacks):
            if row.id not in refused:
                save_arrays(evidence_file(folder, index), self._evidence(row))
        return {
            "threat": self.adversary(
                local_steps=self.joint.local_steps, batches=threat.batches, head=threat.head,
                show_records=threat.show_records,
            ),
            "data": counted(self.system, self.joint.partners, pictures=self.pictures),
            "attacks": [listed(row, refused.get(row.id, "")) for row in self.joint.attacks],
            "gates": [],
        }  # fmt: skip

    @property
    def _shows(self) -> bool:
        """Returns whether pictures of records are kept."""
        return self.threat.show_records and self.pictures

    def _inputs(self) -> Array:
        """The victim's records."""
        inputs: Array = self.joint.partners.parties[self.joint.partners.victim].inputs
        return inputs if inputs.shape[1] in (1, 3) else inputs[:, :1]

    def _evidence(self, row: NamedAttack) -> dict[str, Array]:
        """What one attack came to: `error` `[t n b]`, `lineup` `[t b n n]`, `null_lineup` `[t n n]`, `pictures`."""
        judges = self.judges(row)
        seen = [one.load() for one in judges]
        found = {name: np.stack([one[name] for one in seen]) for name in ("error", "lineup", "null_lineup")}
        if self._shows and row.attack.needs.makes == "records":
            made = self.plays(row, 0)[0].load()[0][seen[0]["made"][0, :SHOWN]]
            found["pictures"] = shrink(made if made.shape[1] in (1, 3) else made[:, :1])
        return found


def records_case(system: TrainedSystem, threat: ExchangeThreat, attacks: Sequence[NamedAttack]) -> RecordsCase:
    """One threat about records on one chain.

    Raises:
        AuditError: the threat does not fit the chain or the records.
    """
    require_joint(system, threat)
    partners = partners_without_property(threat, system)
    case = RecordsCase(threat, ExchangeCase(system, threat, tuple(attacks), partners))
    require_trainable(case.joint)
    _ = case.steps, case.rows  # refuse what cannot be drawn
    require_telling(case.joint.attacks, case.refusals())
    return replace(case, joint=replace(case.joint, attacks=named_or_able(case.joint.attacks, case.refusals())))
