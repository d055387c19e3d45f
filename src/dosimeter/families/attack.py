"""The interface of an attack."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

import numpy as np

G = TypeVar("G", contravariant=True)
E = TypeVar("E", covariant=True)


@runtime_checkable
class Attack(Protocol[G, E]):
    """An attack: a frozen dataclass of hyperparameters with one public method.

    Class attributes say what `plan`, `observe` and the report need: `paper` (authors, year, link), `control` (True for
    the constant and the count attack, which must stay at chance), and `reference` where it is True: an attack that no
    adversary could run, of which no finding is made. `needs` and `signals` may depend on hyperparameters.
    Two more are optional. `effective(classes)` gives the hyperparameters whose effective value differs for so many
    classes of the deployed model. `trainings` is the number of models that the attack trains for each target.
    Every target of a fold is judged by itself: leaving one target out must not change another's scores.
    """

    paper: ClassVar[str]
    control: ClassVar[bool]

    @property
    def needs(self) -> Any:
        """Requirements of the attack, in the form that its family defines."""
        ...

    @property
    def signals(self) -> tuple[str, ...]:
        """Names of the signals it reads."""
        ...

    def run(self, game: G, rng: np.random.Generator) -> E:
        """Attacks one game; all randomness comes from `rng`."""
        ...


@dataclasses.dataclass(frozen=True)
class NamedAttack:
    """One `[[attack]]` row.

    Attributes:
        id: name in results; the attack's name and mode unless given.
        name: key of the registry, or `package.module:Class`.
        attack: the attack with its hyperparameters.
    """

    id: str
    name: str
    attack: Attack[Any, Any]

    @property
    def settings(self) -> dict[str, Any]:
        """The hyperparameters."""
        return dataclasses.asdict(self.attack)  # type: ignore[call-overload,no-any-return]

    def settings_for(self, classes: int) -> dict[str, Any]:
        """Hyperparameters with their effective values for so many classes of the deployed model."""
        effective = getattr(self.attack, "effective", None)
        return self.settings if effective is None else {**self.settings, **effective(classes)}

    @property
    def trainings(self) -> int | None:
        """Number of models that the attack trains for each target; None if only the attack knows it."""
        return getattr(self.attack, "trainings", None if self.attack.needs.retrain else 0)
