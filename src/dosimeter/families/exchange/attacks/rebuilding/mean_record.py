"""Mean record: what somebody would draw who has seen nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dosimeter.families.exchange.attacks.rebuilding.making import each_batch
from dosimeter.families.exchange.game import Needs
from dosimeter.families.exchange.records.game import RecordsGame
from dosimeter.statistics.evidence import Reconstructions


@dataclass(frozen=True)
class MeanRecord:
    """Give the mean of the adversary's own records for every record: the yardstick of errors.

    Paper: none; the line that stands beside published figures.
    Threat model: records of their own.
    Cost: none.
    """

    paper: ClassVar[str] = "none; the mean record"
    control: ClassVar[bool] = False
    reference: ClassVar[bool] = True
    needs: ClassVar[Needs] = Needs(None, question="records")
    signals: ClassVar[tuple[str, ...]] = ()

    def run(self, game: RecordsGame, rng: np.random.Generator) -> Reconstructions:
        """Attacks nothing; `rng` is not used."""
        return each_batch(game, lambda seen: game.auxiliary.inputs[:0].float())
