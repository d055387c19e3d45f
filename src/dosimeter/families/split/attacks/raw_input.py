"""Raw input: the same classifiers on the inputs themselves, which no adversary has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dosimeter.families.split.attacks.reading import CLASSIFIERS, checked, guessed
from dosimeter.families.split.game import Needs, SplitGame
from dosimeter.statistics.evidence import Guesses


@dataclass(frozen=True)
class RawInput:
    """Read the attribute from the victims' inputs: the ceiling of what their features could tell these classifiers.

    Paper: Song, Shmatikov, "Overlearning Reveals Sensitive Attributes", ICLR 2020, https://arxiv.org/abs/1905.11742.
    Threat model: none; a yardstick that sees what nobody sees.
    Cost: as of `attribute_pool`, once.

    Attributes:
        classifiers: of the pool, as of `attribute_pool`.
    """

    paper: ClassVar[str] = "Song, Shmatikov, ICLR 2020, https://arxiv.org/abs/1905.11742"
    control: ClassVar[bool] = False
    reference: ClassVar[bool] = True
    counterpart: ClassVar[bool] = False
    needs: ClassVar[Needs] = Needs("attribute", reads="inputs")
    signals: ClassVar[tuple[str, ...]] = ()

    classifiers: tuple[str, ...] = CLASSIFIERS

    def __post_init__(self) -> None:
        checked(self.classifiers)

    def run(self, game: SplitGame, rng: np.random.Generator) -> Guesses:
        """Reads one attribute; `rng` gives the seed of all trainings."""
        return guessed(game, self.classifiers, rng)
