"""DLG: seek records, and what the head sent back for each, whose gradient is the one that was seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from torch import Tensor

from dosimeter.families.exchange.attacks.rebuilding.making import SearchesByNewton
from dosimeter.families.exchange.game import Needs
from dosimeter.families.exchange.inverting.matching import dlg
from dosimeter.families.exchange.inverting.observed import Observed


@dataclass(frozen=True)
class Dlg(SearchesByNewton):
    """Seek records by L-BFGS on the squared distance of gradients, with classes, or with errors of features.

    Paper: Zhu, Liu, Han, "Deep Leakage from Gradients", NeurIPS 2019, https://arxiv.org/abs/1906.08935, algorithm 1.
    Threat model: the gradient of the trunk and the trunk; the last layer where the threat says that it is seen.
    Deviations: with a private last layer, the loss's gradient by the features is sought in place of classes.
    Cost: `rounds * steps * attempts` gradients of each batch, each of them differentiated.

    Attributes:
        channel: what of the messages is read.
        rounds: calls of the optimiser.
        steps: of each call.
        attempts: starts at most; another one is made while the gradient is not met.
    """

    paper: ClassVar[str] = "Zhu, Liu, Han, NeurIPS 2019, https://arxiv.org/abs/1906.08935"

    channel: Literal["gradient", "update"] = "gradient"
    rounds: int = 15
    steps: int = 20
    attempts: int = 2

    @property
    def needs(self) -> Needs:
        """Messages of the channel."""
        return Needs(self.channel, question="records", takes_head=True)

    def make(self, seen: Observed, rng: np.random.Generator) -> Tensor:
        """Implements `MakesRecords`."""
        return dlg(seen, rng, self.search).records
