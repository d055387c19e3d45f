"""What jobs of all questions share that let one attack play on one joint training."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool

from dosimeter.families.attack import NamedAttack
from dosimeter.families.exchange.play.received import ReceivedJob
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import AuditError
from dosimeter.foundation.user_code import relay
from dosimeter.foundation.wording import describe
from dosimeter.jobs.store import Store, key_of
from dosimeter.training.joint.job import JointJob


@dataclass(frozen=True)
class Arena:
    """Where the attacks of a case play; it holds no record, label, property or coin of the victim.

    Attributes:
        seed: root of all randomness.
        victim: the party whose batches are the secret.
        adversary: another party, or the coordinator.
        auxiliary: key of the adversary's own records.
        known: whether each of these has the property `[p]`.
    """

    seed: int
    victim: str
    adversary: str
    auxiliary: str
    known: Bool[Array, " p"]


@dataclass(frozen=True)
class AttackJob(ABC):
    """One attack on one joint training; abstract: a question adds its `definition`, its game and `perform`.

    Attributes:
        arena: where it plays.
        row: the attack.
        job: the joint training, or what was recorded of one.
    """

    arena: Arena
    row: NamedAttack
    job: JointJob | ReceivedJob

    @property
    @abstractmethod
    def definition(self) -> dict[str, Any]:
        """Everything that the key depends on."""

    @property
    def store(self) -> Store:
        """The store to read from and write to."""
        return self.job.store

    @cached_property
    def key(self) -> str:
        """Key of the entry."""
        return key_of(self.definition)

    @property
    def place(self) -> str:
        """The attack, in words."""
        return f"attack {self.row.id!r}"

    @property
    def users_code(self) -> tuple[str, ...]:
        """The user's own code in the model; what an attack raised, the play itself reports."""
        return self.job.users_code

    def played(self, game: Any, rng: np.random.Generator) -> Array:
        """What the attack says of a game, not yet checked.

        Raises:
            AuditError: the attack raised.
        """
        try:
            return np.asarray(self.row.attack.run(game, rng).values)
        except AuditError as error:
            raise relay(error, self.place) from error
        except (Exception, SystemExit) as error:
            raise AuditError(f"{self.place}: raised {describe(error)}: correct it or leave it out") from error

    def log_scores(self, game: Any, count: int, rng: np.random.Generator) -> Array:
        """Log-scores of both sides of so many things `[n 2]`.

        Raises:
            AuditError: the attack raised, or gives something else.
        """
        values, wanted = self.played(game, rng), (1, count, 2)
        if values.shape != wanted or np.isnan(values).any() or (values == np.inf).any():
            raise AuditError(
                f"{self.place}: must give log-scores of shape {wanted} without NaN, got {values.shape}: correct it"
            )
        found: Array = values[0].astype(np.float64)
        return found
