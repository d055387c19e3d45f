"""Any record: a control that guesses records of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from dosimeter.families.exchange.game import Needs
from dosimeter.families.exchange.records.game import RecordsGame
from dosimeter.statistics.evidence import Reconstructions


@dataclass(frozen=True)
class AnyRecord:
    """Guess each batch to be some records of the adversary's own: it must be at chance, whatever leaks.

    Paper: none.
    Threat model: records of their own.
    """

    paper: ClassVar[str] = "none; a control"
    control: ClassVar[bool] = True
    needs: ClassVar[Needs] = Needs(None, question="records")
    signals: ClassVar[tuple[str, ...]] = ()

    def run(self, game: RecordsGame, rng: np.random.Generator) -> Reconstructions:
        """Draws own records for each batch; all randomness comes from `rng`."""
        count = len(game.auxiliary.inputs)
        rows = np.stack([rng.choice(count, game.size, replace=count < game.size) for _ in game.ids])
        made = game.auxiliary.inputs.float()[torch.from_numpy(rows)]
        return Reconstructions(game.ids, made[None].double().numpy())
