"""DLG: seek records, and what the head sent back for each, whose gradient is the one that was seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dosimeter.families.exchange.attacks.rebuilding.making import each_batch
from dosimeter.families.exchange.attacks.rebuilding.searching import Searching
from dosimeter.families.exchange.game import Needs
from dosimeter.families.exchange.inverting.matching import dlg
from dosimeter.families.exchange.records.game import RecordsGame
from dosimeter.statistics.evidence import Reconstructions


@dataclass(frozen=True)
class Dlg(Searching):
    """Seek records by L-BFGS on the squared distance of gradients, with classes, or with errors of features.

    Paper: Zhu, Liu, Han, "Deep Leakage from Gradients", NeurIPS 2019, https://arxiv.org/abs/1906.08935, algorithm 1.
    Threat model: the gradient of the trunk and the trunk; the last layer where the threat says that it is seen.
    Deviations: with a private last layer, the loss's gradient by the features is sought in place of classes.
    Cost: `rounds * steps * attempts` gradients of each batch, each of them differentiated.
    """

    paper: ClassVar[str] = "Zhu, Liu, Han, NeurIPS 2019, https://arxiv.org/abs/1906.08935"

    @property
    def needs(self) -> Needs:
        """Messages of the channel."""
        return Needs(self.channel, question="records", takes_head=True)

    def run(self, game: RecordsGame, rng: np.random.Generator) -> Reconstructions:
        """Makes records of each batch; `rng` draws the starts."""
        return each_batch(game, lambda seen: dlg(seen, rng, self._search()).records)
