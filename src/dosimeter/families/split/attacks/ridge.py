"""Ridge: a linear map from features to inputs, in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dosimeter.families.split.attacks.reading import remade
from dosimeter.families.split.game import Needs, SplitGame
from dosimeter.statistics.evidence import Reconstructions
from dosimeter.training.learners.regression import fit_ridge


@dataclass(frozen=True)
class RidgeInverse:
    """Fit a linear map from features to inputs on the auxiliary records, and apply it to the victims' features.

    Paper: Hoerl, Kennard, "Ridge Regression: Biased Estimation for Nonorthogonal Problems", Technometrics 1970,
    https://doi.org/10.1080/00401706.1970.10488634; as an attack on embeddings: Chen, Xu, Bjerva, "ALGEN", ACL 2025,
    https://arxiv.org/abs/2502.11308.
    Threat model: features at the cut, and the same of records of the adversary's own.
    Deviations: the penalty is the one with the least leave-one-out error on the auxiliary records.
    Cost: one eigendecomposition, of as many rows as there are auxiliary records or features, whichever are fewer.

    Attributes:
        penalties: to choose among, as a share of the number of records.
        adaptive: whether it learns on what the defenses of the cut send, or on features without them, as somebody would
            who does not know of the defenses; the latter says how much a weak evaluation flatters.
    """

    paper: ClassVar[str] = "Hoerl, Kennard, Technometrics 1970, https://doi.org/10.1080/00401706.1970.10488634"
    control: ClassVar[bool] = False
    counterpart: ClassVar[bool] = False
    needs: ClassVar[Needs] = Needs("input")
    separate: ClassVar[bool] = True
    signals: ClassVar[tuple[str, ...]] = ()

    penalties: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
    adaptive: bool = True

    def __post_init__(self) -> None:
        if not self.penalties or not min(self.penalties) > 0:
            raise ValueError(f"penalties must be positive numbers, got {list(self.penalties)}")

    def run(self, game: SplitGame, rng: np.random.Generator) -> Reconstructions:
        """Attacks one model at one cut; `rng` is not used."""
        aux = game.auxiliary
        return remade(game, fit_ridge(aux.seen, aux.inputs, self.penalties).predict(game.seen))
