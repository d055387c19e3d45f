"""The interface of an attack."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

import numpy as np

from dosimeter.foundation.errors import AuditError
from dosimeter.foundation.package import PACKAGE
from dosimeter.foundation.wording import quote

G = TypeVar("G", contravariant=True)
E = TypeVar("E", covariant=True)


@runtime_checkable
class Attack(Protocol[G, E]):
    """An attack: a frozen dataclass of hyperparameters with one public method.

    Class attributes say what `plan`, `observe` and the report need: `paper` (authors, year, link), `control` (True for
    the constant and the count attack, which must stay at chance), and `reference` where it is True: an attack that no
    adversary could run, of which no finding is made. `needs` and `signals` may depend on hyperparameters.
    Five more are optional. `effective(classes)` gives the hyperparameters whose effective value differs for so many
    classes of the deployed model. `trainings` is the number of models that the attack trains for each target.
    `labels` is the number of records whose membership in the target it must be told for one score, those that only
    choose settings included. `reads_shadows` is the number of shadows that it reads, if those are not all. Both are
    shown beside what it finds. `game_seconds` is what one game takes beyond reading, where that is much, in seconds on
    one core.
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
        default: whether nobody named it, so that a family may leave it out without a word where it cannot run.
        beside: whether it stands beside a list that somebody wrote, since a check needs it.
    """

    id: str
    name: str
    attack: Attack[Any, Any]
    default: bool = False
    beside: bool = False

    @property
    def settings(self) -> dict[str, Any]:
        """The hyperparameters."""
        return dataclasses.asdict(self.attack)  # type: ignore[call-overload,no-any-return]

    def settings_for(self, classes: int) -> dict[str, Any]:
        """Returns the hyperparameters as they are used where the deployed model has so many classes.

        Raises:
            AuditError: `effective` gives no table.
        """
        effective = getattr(self.attack, "effective", None)
        changed = {} if effective is None else effective(classes)
        if not isinstance(changed, Mapping):
            raise AuditError(
                f"attack {self.id!r}: `effective` must give a table of settings, got {quote(changed)}: correct it"
            )
        return {**self.settings, **changed}

    @property
    def trainings(self) -> int | None:
        """Models that the attack trains for each target that it judges; None if it trains and does not say how many.

        Raises:
            AuditError: it is no whole number from 0 on.
        """
        found = getattr(self.attack, "trainings", None if getattr(self.attack.needs, "retrain", False) else 0)
        if found is not None and not (type(found) is int and found >= 0):
            raise AuditError(
                f"attack {self.id!r}: `trainings` must be a whole number from 0, got {quote(found)}: correct it"
            )
        return found

    def listed(self, refused: str, settings: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Entry of `run.json` about the attack.

        Args:
            refused: why it cannot run; empty if it can.
            settings: the hyperparameters as they are used, if those differ.
        """
        return {
            "id": self.id,
            "name": type(self.attack).__name__,
            "mode": getattr(self.attack, "mode", None),
            "paper": self.attack.paper,
            "control": self.attack.control,
            **({"reference": True} if getattr(self.attack, "reference", False) else {}),
            **({"beside": True} if self.beside else {}),
            "settings": dict(self.settings if settings is None else settings),
            "status": "refused" if refused else "ok",
            "reason": refused,
        }


@cache
def attack_code(kind: type) -> str:
    """Digest of an attack's code and of all that it reads, for keys of its plays.

    A user's attack that reads what no digest can hold gets another digest in every process, so that it is played anew.

    Args:
        kind: class of the attack.
    """
    import secrets

    from dosimeter.foundation.keys.code_keys import reading
    from dosimeter.foundation.keys.package_code import package_code

    if kind.__module__.partition(".")[0] == PACKAGE:
        return package_code(kind.__module__)
    found = reading(kind)
    return found.digest if not found.opaque else f"{found.digest} {secrets.token_hex(8)}"
