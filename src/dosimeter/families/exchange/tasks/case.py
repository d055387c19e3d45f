"""One threat about tasks, on a chain whose last stage parties train together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from dosimeter.families.attack import NamedAttack
from dosimeter.families.exchange.case.batches import shuffled
from dosimeter.families.exchange.case.case import ExchangeCase, require_joint, require_trainable
from dosimeter.families.exchange.case.further import NO_TEST, FurtherCase
from dosimeter.families.exchange.case.held import held_by_both, held_notes
from dosimeter.families.exchange.case.people import partners_without_property
from dosimeter.families.exchange.case.told import listed
from dosimeter.families.exchange.play.answers import worth_of
from dosimeter.families.exchange.stored import evidence_file, truth_file
from dosimeter.families.exchange.tasks.people import Asked, asked_of
from dosimeter.families.exchange.tasks.play import TasksJob
from dosimeter.families.exchange.threat import ExchangeThreat
from dosimeter.foundation.errors import DataError
from dosimeter.foundation.seeds import generator
from dosimeter.jobs.arrays import save_arrays
from dosimeter.jobs.job import Job
from dosimeter.training.joint.job import JointJob
from dosimeter.training.system import TrainedSystem


@dataclass(frozen=True)
class TasksCase(FurtherCase):
    """One threat about tasks on one chain; nothing is trained yet.

    Accuracy is of trainings in which the victim trains on all it has.

    Attributes:
        asked: the tasks.
    """

    asked: Asked

    def _halves(self, purpose: str) -> Bool[Array, "t n"]:
        """Of each training a random half of the tasks."""
        n, found = len(self.asked.names), []
        for one in range(self.threat.targets):
            order = generator(self.system.seed, purpose, one).permutation(n)
            found.append(order < n // 2)
        return np.stack(found)

    @cached_property
    def coins(self) -> Bool[Array, "t n"]:
        """Whether the victim trains on each task, in each training."""
        return self._halves("exchange tasks")

    @cached_property
    def null_coins(self) -> Bool[Array, "t n"]:
        """Halves that choose nothing."""
        return self._halves("exchange null tasks")

    @cached_property
    def runs(self) -> tuple[JointJob, ...]:
        """Joint trainings in which the victim's batches are of the chosen tasks alone."""
        return tuple(self._job(plain, one) for one, plain in enumerate(self.joint.plain))

    def _job(self, plain: JointJob, target: int) -> JointJob:
        """A joint training of which the victim's batches are replaced."""
        victim, members = self.joint.partners.victim, []
        rows, rng = self.asked.rows(self.coins[target]), generator(self.system.seed, "exchange task batches", target)
        for one in plain.members:
            if one.name == victim:
                steps, size = one.batches.shape
                if len(rows) < size:
                    raise DataError(
                        f"threat.property: half of the tasks must have a batch of records or more, got {len(rows)} "
                        f"with batch_size {size}: lower batch_size, or choose more records"
                    )
                one = replace(one, batches=rows[shuffled(steps, len(rows), size, rng)])
            members.append(one)
        return replace(plain, members=tuple(members))

    def plays(self, row: NamedAttack) -> tuple[tuple[TasksJob, ...], tuple[TasksJob, ...]]:
        """Plays of one attack by training; then those on trainings in which no coin chose."""
        real, null = (
            tuple(TasksJob(self.joint.arena, row, job, self.asked.probes, self.asked.pool) for job in jobs)
            for jobs in (self.runs, self.joint.plain)
        )
        return real, null

    def refusals(self) -> Mapping[str, str]:
        """Implements `Case`: everybody who takes part sees the shared layers."""
        return {}

    def phases(self) -> list[tuple[str, Sequence[Job]]]:
        """Implements `Case`."""
        return [
            *self.joint.stages([*self.joint.plain, *self.runs]),
            ("models", self.joint.answers),
            ("attacks", [play for row in self.joint.attacks for plays in self.plays(row) for play in plays]),
        ]

    def definition(self) -> Mapping[str, Any]:
        """Implements `Case`."""
        plays = [play for row in self.joint.attacks for plays in self.plays(row) for play in plays]
        return self.keys(runs=[*self.joint.plain, *self.runs], answers=self.joint.answers, plays=plays)

    def notes(self) -> list[str]:
        """Implements `Case`."""
        n, targets = len(self.asked.names), self.threat.targets
        notes = [
            f"tasks: {n} values of {self.threat.property}; in each of {targets} trainings the victim trains on a "
            f"random half of them, and in {targets} on all, for the null audit and the accuracy"
        ]
        if n * targets < 40:
            notes.append(f"tasks: {n * targets} in all show only a large leak; more tasks or targets are better")
        partners = self.joint.partners
        shared = held_notes(partners.parties, partners.victim)
        return [*notes, *([NO_TEST] if self.system.test is None else []), *shared]

    def collect(self, folder: Path) -> Mapping[str, Any]:
        """Implements `Case`."""
        truth = {"coins": self.coins[None], "null_coins": self.null_coins}
        save_arrays(truth_file(folder), {**truth, **worth_of(self.joint.answers)})
        partners = self.joint.partners
        for index, row in enumerate(self.joint.attacks):
            real, null = (np.stack([play.load() for play in plays]) for plays in self.plays(row))
            save_arrays(evidence_file(folder, index), {"guesses": real[None], "null_guesses": null})
        own = partners.parties[partners.victim]
        return {
            "threat": self.adversary(property=str(self.threat.property), mixtures=[[1.0, 0.0]]),
            "data": {
                "name": own.name, "records": len(own),
                "parties": {name: len(one) for name, one in partners.parties.items()},
                "auxiliary": len(partners.auxiliary), "tasks": len(self.asked.names),
                "probes": sum(len(one) for one in self.asked.probes), "pool": len(self.asked.pool),
                "test": None if self.system.test is None else len(self.system.test),
                "held": held_by_both(partners.parties, partners.victim),
            },
            "attacks": [listed(row, "") for row in self.joint.attacks],
            "gates": [],
        }  # fmt: skip


def tasks_case(system: TrainedSystem, threat: ExchangeThreat, attacks: Sequence[NamedAttack]) -> TasksCase:
    """One threat about tasks on one chain.

    Raises:
        AuditError: the threat does not fit the chain or the records.
    """
    require_joint(system, threat)
    partners = partners_without_property(threat, system)
    asked = asked_of(threat, partners.parties[partners.victim], partners.auxiliary)
    case = TasksCase(threat, ExchangeCase(system, threat, tuple(attacks), partners), asked)
    require_trainable(case.joint)
    _ = case.runs  # refuse what cannot be drawn
    return case
