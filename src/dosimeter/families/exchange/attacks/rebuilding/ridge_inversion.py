"""Ridge inversion: a linear map from what the source shows of its records back to the records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch

from dosimeter.families.exchange.attacks.rebuilding.making import filled, mean_of
from dosimeter.families.exchange.game import Needs
from dosimeter.families.exchange.records.game import RecordsGame
from dosimeter.statistics.evidence import Reconstructions
from dosimeter.training.learners.regression import fit_ridge


@dataclass(frozen=True)
class RidgeInversion:
    """Fit records of the adversary's own from their representations, and read the source's representations by it.

    Paper: Hoerl, Kennard, "Ridge Regression: Biased Estimation for Nonorthogonal Problems", Technometrics 1970,
    https://doi.org/10.1080/00401706.1970.10488634; as an attack on embeddings: Chen, Xu, Bjerva, "ALGEN", ACL 2025,
    https://arxiv.org/abs/2502.11308.
    Threat model: the rows that the source shows at a step, the shared layers of that step, records of the adversary's
    own.
    Deviations: a map of its own for each step, since the layers move; the penalty has the least leave-one-out error on
    the adversary's own records, which go through the agreed defenses as the source's do.
    Cost: one eigendecomposition for each step.

    Attributes:
        channel: what of the messages is read.
        penalties: to choose among, as a share of the number of records.
    """

    paper: ClassVar[str] = "Hoerl, Kennard, Technometrics 1970, https://doi.org/10.1080/00401706.1970.10488634"
    control: ClassVar[bool] = False
    signals: ClassVar[tuple[str, ...]] = ()

    channel: Literal["representations"] = "representations"
    penalties: tuple[float, ...] = (1e-6, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)

    def __post_init__(self) -> None:
        if not self.penalties or not min(self.penalties) > 0:
            raise ValueError(f"penalties must be positive numbers, got {list(self.penalties)}")

    @property
    def mode(self) -> str:
        """The channel, which names the attack in results."""
        return self.channel

    @property
    def needs(self) -> Needs:
        """Rows of representations."""
        return Needs(self.channel, question="records")

    def run(self, game: RecordsGame, rng: np.random.Generator) -> Reconstructions:
        """Makes the records of each batch, in the order in which they were shown; `rng` is not used."""
        mean, rows = mean_of(game), []
        for one in game.shown:
            made = fit_ridge(one.known, game.auxiliary.inputs.float(), self.penalties).predict(one.features).float()
            made = made if one.box is None else made.clamp(*one.box)
            rows.append(filled(made, mean, game.size))
        return Reconstructions(game.ids, torch.stack(rows)[None].double().numpy())
