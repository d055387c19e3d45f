"""World coin: a control that sees nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dosimeter.families.exchange.distribution.game import DistributionGame
from dosimeter.families.exchange.game import Needs
from dosimeter.statistics.evidence import Guesses


@dataclass(frozen=True)
class WorldCoin:
    """Guess the world of each training by a coin of one's own: it must be at chance, whatever leaks.

    Paper: none.
    Threat model: nothing.
    """

    paper: ClassVar[str] = "none; a control"
    control: ClassVar[bool] = True
    needs: ClassVar[Needs] = Needs(None, question="distribution")
    signals: ClassVar[tuple[str, ...]] = ()

    def run(self, game: DistributionGame, rng: np.random.Generator) -> Guesses:
        """Guesses each training; all randomness comes from `rng`."""
        drawn = rng.normal(size=(1, len(game.ids)))
        return Guesses(game.ids, np.stack([-drawn, drawn], -1))
