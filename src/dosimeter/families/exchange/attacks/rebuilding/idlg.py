"""iDLG: infer the classes of a batch from the gradient of the last layer, then seek its records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dosimeter.families.exchange.attacks.rebuilding.making import each_batch
from dosimeter.families.exchange.attacks.rebuilding.searching import Searching
from dosimeter.families.exchange.game import Needs
from dosimeter.families.exchange.inverting.matching import idlg
from dosimeter.families.exchange.records.game import RecordsGame
from dosimeter.statistics.evidence import Reconstructions


@dataclass(frozen=True)
class IDlg(Searching):
    """Seek records alone by L-BFGS on the squared distance of gradients; the classes are inferred first.

    Paper: Zhao, Mopuri, Bilen, "iDLG: Improved Deep Leakage from Gradients", 2020, https://arxiv.org/abs/2001.02610.
    Threat model: the gradient of the whole model and the model, its last layer too.
    Deviations: classes of more than one record by the counts of `inferring labels`, with the model's mean prediction
    of noise.
    Cost: as of `dlg`.
    """

    paper: ClassVar[str] = "Zhao, Mopuri, Bilen, 2020, https://arxiv.org/abs/2001.02610"

    @property
    def needs(self) -> Needs:
        """Messages of the channel, and the last layer."""
        return Needs(self.channel, question="records", head=True)

    def run(self, game: RecordsGame, rng: np.random.Generator) -> Reconstructions:
        """Makes records of each batch; `rng` draws the starts."""
        return each_batch(game, lambda seen: idlg(seen, rng, search=self._search()).records)
