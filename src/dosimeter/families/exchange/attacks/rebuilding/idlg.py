"""iDLG: infer the classes of a batch from the gradient of the last layer, then seek its records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from torch import Tensor

from dosimeter.families.exchange.attacks.rebuilding.making import SearchesByNewton
from dosimeter.families.exchange.inverting.matching import idlg
from dosimeter.families.exchange.inverting.observed import Observed


@dataclass(frozen=True)
class IDlg(SearchesByNewton):
    """Seek records alone by L-BFGS on the squared distance of gradients; the classes are inferred first.

    Paper: Zhao, Mopuri, Bilen, "iDLG: Improved Deep Leakage from Gradients", 2020, https://arxiv.org/abs/2001.02610.
    Threat model: the gradient of the whole model and the model, its last layer too.
    Deviations: classes of more than one record by the counts of `inferring labels`, with the model's mean prediction
    of noise.
    Cost: as of `dlg`.

    Attributes:
        channel: what of the messages is read.
        rounds: calls of the optimiser.
        steps: of each call.
        attempts: starts at most.
    """

    paper: ClassVar[str] = "Zhao, Mopuri, Bilen, 2020, https://arxiv.org/abs/2001.02610"

    channel: Literal["gradient", "update"] = "gradient"
    rounds: int = 15
    steps: int = 20
    attempts: int = 2

    def make(self, seen: Observed, rng: np.random.Generator) -> Tensor:
        """Implements `MakesRecords`."""
        return idlg(seen, rng, search=self.search).records
