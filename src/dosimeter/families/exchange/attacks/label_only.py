"""Label only: the yardstick, which is told the classes of each batch and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from dosimeter.families.exchange.attacks.drawing import drawn
from dosimeter.families.exchange.attacks.learning import CLASSIFIERS, checked, log_odds
from dosimeter.families.exchange.game import ExchangeGame, Needs
from dosimeter.foundation.errors import AccessError
from dosimeter.statistics.evidence import Guesses


@dataclass(frozen=True)
class LabelOnly:
    """Guess the side from how often each class is in the batch: where a property goes with the task, that tells much.

    Paper: Melis et al., IEEE S&P 2019, https://arxiv.org/abs/1805.04049, which asks for properties that are
    independent of the task.
    Threat model: classes of the victim's batches, which no message holds. So no finding is made of it: attacks on
    messages must tell more.
    Cost: two small classifiers.

    Attributes:
        simulated: batches of each side that it learns from, for each step.
        classifiers: as of `batch_property`.
    """

    paper: ClassVar[str] = "a yardstick, after Melis et al., IEEE S&P 2019, https://arxiv.org/abs/1805.04049"
    control: ClassVar[bool] = False
    reference: ClassVar[bool] = True
    needs: ClassVar[Needs] = Needs(None, reads="labels")
    signals: ClassVar[tuple[str, ...]] = ()

    simulated: int = 4
    classifiers: tuple[str, ...] = CLASSIFIERS

    def __post_init__(self) -> None:
        checked(self.classifiers, simulated=self.simulated)

    def run(self, game: ExchangeGame, rng: np.random.Generator) -> Guesses:
        """Guesses each step of one training; `rng` draws simulated batches."""
        if game.classes is None:
            raise AccessError("needs the classes of each batch, and the game has none: it is a yardstick of the audit")
        own = drawn(game, self.simulated * len(game.ids), rng)
        counts = torch.nn.functional.one_hot(own.labels.long(), game.classes.shape[1]).sum(1).numpy()
        odds = log_odds(counts.astype(float), own.sides, game.classes, self.classifiers, rng)
        return Guesses(game.ids, np.stack([-odds, odds], -1)[None] / 2)
