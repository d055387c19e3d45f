"""Mean input: what somebody would draw who has seen nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dosimeter.families.split.attacks.reading import remade
from dosimeter.families.split.game import Needs, SplitGame
from dosimeter.statistics.evidence import Reconstructions


@dataclass(frozen=True)
class MeanInput:
    """Give the mean auxiliary record for every victim: the control, which must be at chance.

    Paper: none; the anchor below which a learned attack is under-trained, and not defeated.
    Threat model: nothing of the victims.
    Cost: none.
    """

    paper: ClassVar[str] = "none; the mean record"
    control: ClassVar[bool] = True
    counterpart: ClassVar[bool] = False
    needs: ClassVar[Needs] = Needs("input", reads="answers", knows="nothing")
    separate: ClassVar[bool] = True
    signals: ClassVar[tuple[str, ...]] = ()

    def run(self, game: SplitGame, rng: np.random.Generator) -> Reconstructions:
        """Attacks nothing; `rng` is not used."""
        mean = game.auxiliary.inputs.float().mean(0)
        return remade(game, mean.expand(len(game.ids), *mean.shape))
