"""Untrained encoder: the yardstick, which asks the shared layers as they began."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dosimeter.families.exchange.attacks.tasks.scoring import Statistic, guessed
from dosimeter.families.exchange.game import Needs
from dosimeter.families.exchange.tasks.game import TasksGame
from dosimeter.statistics.evidence import Guesses


@dataclass(frozen=True)
class UntrainedEncoder:
    """Read the same statistic of the shared layers before the training: what the split of tasks alone moves.

    Paper: a yardstick; with few tasks the split alone moves an AUC by a tenth and more.
    Threat model: the shared layers as they began.
    Cost: as of `task_inference`.

    Attributes:
        statistic: as of `task_inference`.
    """

    paper: ClassVar[str] = "a yardstick; the encoder before the training"
    control: ClassVar[bool] = False
    reference: ClassVar[bool] = True
    needs: ClassVar[Needs] = Needs(None, question="tasks")
    signals: ClassVar[tuple[str, ...]] = ()

    statistic: Statistic = "inner"

    def run(self, game: TasksGame, rng: np.random.Generator) -> Guesses:
        """Guesses each task; `rng` is not used."""
        return guessed(game, game.start, self.statistic)
