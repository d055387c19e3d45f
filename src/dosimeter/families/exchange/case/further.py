"""What the questions on records, tasks and distributions have in common, each asked of an `ExchangeCase`."""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from dosimeter.data import Dataset
from dosimeter.families.attack import NamedAttack
from dosimeter.families.exchange.case.case import ExchangeCase
from dosimeter.families.exchange.threat import ExchangeThreat
from dosimeter.jobs.job import Job
from dosimeter.training.system import TrainedSystem

C = TypeVar("C", bound="FurtherCase")

NO_TEST = "accuracy: stage has no `test`, so whether the joint training is worth it is not known"
"""Note of a plan without test records."""


@dataclass(frozen=True)
class FurtherCase(abc.ABC):
    """A threat that asks something else than a property of batches; nothing is trained yet.

    Attributes:
        threat: the adversary.
        joint: the chain, the attacks and the partners, with trainings in which nothing is chosen.
    """

    threat: ExchangeThreat
    joint: ExchangeCase

    @property
    def system(self) -> TrainedSystem:
        """The chain."""
        return self.joint.system

    @abc.abstractmethod
    def refusals(self) -> Mapping[str, str]:
        """Implements `Case`."""

    @cached_property
    def running(self) -> list[NamedAttack]:
        """Attacks that are not refused."""
        refused = self.refusals()
        return [row for row in self.joint.attacks if row.id not in refused]

    @property
    def shown_attacks(self) -> tuple[NamedAttack, ...]:
        """Implements `LeavesOutDefaults`."""
        return self.joint.attacks

    def datasets(self) -> list[Dataset]:
        """Implements `Case`."""
        return self.joint.datasets()

    def records(self) -> int:
        """Implements `Case`."""
        return self.joint.records()

    def begin(self: C, progress: Callable[[str, int, int], None]) -> C:
        """Implements `Case`: nothing is to be done."""
        return self

    def keys(self, **jobs: Sequence[Job]) -> Mapping[str, Any]:
        """What defines the case, for `Case.definition`.

        Args:
            jobs: all that its numbers depend on, by name.
        """
        return {
            "threat": self.threat.model_dump(mode="json", exclude={"id"}),
            "attacks": [[row.id, row.name, row.settings] for row in self.joint.attacks],
            **{name: [job.key for job in found] for name, found in jobs.items()},
        }

    def adversary(self, **more: Any) -> dict[str, Any]:
        """What a result says of the adversary, with what only this question has."""
        return {**self.joint.adversary(), "question": self.threat.question, "targets": self.threat.targets, **more}
