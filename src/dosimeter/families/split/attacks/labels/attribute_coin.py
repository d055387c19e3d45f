"""Attribute coin: a control that sees nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dosimeter.families.split.attacks.reading import sought
from dosimeter.families.split.game import Needs, SplitGame
from dosimeter.statistics.evidence import Guesses


@dataclass(frozen=True)
class AttributeCoin:
    """Guess the attribute of each victim by a coin of one's own: it must be at chance, whatever leaks.

    Paper: none.
    Threat model: nothing of the victims.
    Cost: none.
    """

    paper: ClassVar[str] = "none; a control"
    control: ClassVar[bool] = True
    counterpart: ClassVar[bool] = False
    needs: ClassVar[Needs] = Needs("attribute", reads="answers", knows="nothing")
    signals: ClassVar[tuple[str, ...]] = ()

    def run(self, game: SplitGame, rng: np.random.Generator) -> Guesses:
        """Guesses one attribute; all randomness comes from `rng`."""
        drawn = rng.normal(size=(1, len(game.ids), len(sought(game).values)))
        return Guesses(game.ids, drawn)
