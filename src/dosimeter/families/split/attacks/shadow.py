"""Shadow: an own first half that the server's half understands, and a decoder of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from dosimeter.families.split.attacks.reading import predicted, remade
from dosimeter.families.split.game import Needs, SplitGame
from dosimeter.foundation.errors import AccessError
from dosimeter.statistics.evidence import Reconstructions
from dosimeter.training.learners.halves.shadowing import fit_shadow
from dosimeter.training.learners.inverting import fit_inverse


@dataclass(frozen=True)
class Shadow:
    """Train an own first half so that the server's half classifies with it, then a decoder from its features to inputs.

    Paper: He, Zhang, Lee, ACSAC 2019, https://doi.org/10.1145/3359789.3359824, section 4.3, query-free attack.
    Threat model: features at the cut, the second half, and labelled records of the adversary's own; nothing of the
    first half, and no features of records of their own.
    Deviations: the own half has a form of ours, whatever the true one is. Beside the paper's loss its features get the
    mean and the covariance of those that were seen (0 switches that off); a decoder stands in for the paper's search.
    Cost: two trainings of small networks for each cut and model, and twice for the answers.

    Attributes:
        epochs: passes over the auxiliary records, of each training.
        lr: learning rate of Adam.
        moments: weight of mean and covariance beside the classification.
    """

    paper: ClassVar[str] = "He, Zhang, Lee, ACSAC 2019, https://doi.org/10.1145/3359789.3359824"
    control: ClassVar[bool] = False
    counterpart: ClassVar[bool] = True
    needs: ClassVar[Needs] = Needs("input", knows="nothing", rest=True)
    signals: ClassVar[tuple[str, ...]] = ()

    epochs: int = 60
    lr: float = 0.001
    moments: float = 1.0

    def __post_init__(self) -> None:
        for name in ("epochs", "lr"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if not self.moments >= 0:
            raise ValueError(f"moments must be at least 0, got {self.moments}")

    def run(self, game: SplitGame, rng: np.random.Generator) -> Reconstructions:
        """Attacks one model at one cut; `rng` gives the seed of both trainings.

        Raises:
            AccessError: the game has no second half.
        """
        if game.rest is None:
            raise AccessError("needs the second half, and the game has none: declare `rest` in its needs")
        aux, seed = game.auxiliary, int(rng.integers(2**31))
        inputs = aux.inputs.float()
        labels = torch.from_numpy(np.asarray(aux.labels, np.int64)).to(game.device)
        own = fit_shadow(inputs, labels, game.rest, game.seen, (self.epochs, self.lr, self.moments), seed)
        network = fit_inverse(predicted(own, inputs), inputs, self.epochs, self.lr, seed)
        return remade(game, predicted(network, game.seen))
