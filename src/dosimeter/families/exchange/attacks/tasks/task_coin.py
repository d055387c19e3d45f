"""Task coin: a control that sees nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dosimeter.families.exchange.game import Needs
from dosimeter.families.exchange.tasks.game import TasksGame
from dosimeter.statistics.evidence import Guesses


@dataclass(frozen=True)
class TaskCoin:
    """Guess each task by a coin of one's own: it must be at chance, whatever leaks.

    Paper: none.
    Threat model: nothing.
    """

    paper: ClassVar[str] = "none; a control"
    control: ClassVar[bool] = True
    needs: ClassVar[Needs] = Needs(None, question="tasks")
    signals: ClassVar[tuple[str, ...]] = ()

    def run(self, game: TasksGame, rng: np.random.Generator) -> Guesses:
        """Guesses each task; all randomness comes from `rng`."""
        drawn = rng.normal(size=(1, len(game.ids)))
        return Guesses(game.ids, np.stack([-drawn, drawn], -1))
