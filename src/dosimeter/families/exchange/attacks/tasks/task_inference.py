"""Task inference: an encoder spreads what it was trained to tell apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dosimeter.families.exchange.attacks.tasks.scoring import Statistic, guessed
from dosimeter.families.exchange.game import Needs
from dosimeter.families.exchange.tasks.game import TasksGame
from dosimeter.statistics.evidence import Guesses


@dataclass(frozen=True)
class TaskInference:
    """Embed own records of each task with the shared layers: two of a trained task have a larger inner product.

    Paper: "Task inference" on shared representations, ICLR 2026, https://openreview.net/forum?id=mTsWEVhcZM.
    Threat model: the shared layers as the training left them; a few records of each task, none of which was trained on,
    and records of other tasks for the whitening. No shadow models.
    Cost: one pass over these records.

    Attributes:
        statistic: "inner", the mean absolute inner product of two records; or "compact", how little they vary.
    """

    paper: ClassVar[str] = "ICLR 2026, https://openreview.net/forum?id=mTsWEVhcZM"
    control: ClassVar[bool] = False
    needs: ClassVar[Needs] = Needs("trunk", question="tasks")
    signals: ClassVar[tuple[str, ...]] = ()

    statistic: Statistic = "inner"

    @property
    def mode(self) -> str:
        """The statistic, which names the attack in results."""
        return self.statistic

    def run(self, game: TasksGame, rng: np.random.Generator) -> Guesses:
        """Guesses each task; `rng` is not used."""
        return guessed(game, game.encoder, self.statistic)
