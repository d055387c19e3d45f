"""The interface of an attack."""

from __future__ import annotations

from typing import ClassVar, Protocol, TypeVar, runtime_checkable

import numpy as np

from dosimeter.families.membership.game import Needs

G = TypeVar("G", contravariant=True)
E = TypeVar("E", covariant=True)


@runtime_checkable
class Attack(Protocol[G, E]):
    """An attack: a frozen dataclass of hyperparameters with one public method.

    Class attributes say what `plan`, `observe` and the report need: `paper` (authors, year, link), `control` (True for
    the constant and the count attack, which must stay at chance), and `reference` where it is True: an attack that no
    adversary could run, of which no finding is made. `needs` and `signals` may depend on hyperparameters.
    Every target of a fold is judged by itself: leaving one target out must not change another's scores.
    """

    paper: ClassVar[str]
    control: ClassVar[bool]

    @property
    def needs(self) -> Needs:
        """What it must be given."""
        ...

    @property
    def signals(self) -> tuple[str, ...]:
        """Names of the signals it reads."""
        ...

    def run(self, game: G, rng: np.random.Generator) -> E:
        """Attack one game; all randomness comes from `rng`."""
        ...
