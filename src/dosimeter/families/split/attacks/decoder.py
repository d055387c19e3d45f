"""Decoder: a network that makes inputs of features, trained on the adversary's own records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dosimeter.families.split.attacks.reading import DRAWS, predicted, remade, sent_anew
from dosimeter.families.split.game import Needs, SplitGame
from dosimeter.statistics.evidence import Reconstructions
from dosimeter.training.learners.inverting import fit_inverse


@dataclass(frozen=True)
class Decoder:
    """Train a network from features to inputs on the auxiliary records, and apply it to the victims' features.

    Paper: He, Zhang, Lee, "Model Inversion Attacks Against Collaborative Inference", ACSAC 2019,
    https://doi.org/10.1145/3359789.3359824, section 4.2.
    Threat model: features at the cut, and the same of records of the adversary's own.
    Deviations: each epoch sees the records as they are sent anew; the network follows the shape of the features;
    features are standardised; the rate falls once; the epoch with the least error on held-back auxiliary records
    counts.
    Cost: epochs x auxiliary records steps of a small network, for each cut and model.

    Attributes:
        epochs: passes over the auxiliary records.
        lr: learning rate of Adam.
        draws: of the noise of each auxiliary record, of which each epoch sees another, where defenses of the cut are
            random and records of the adversary's own can be sent again.
        adaptive: whether it learns on what the defenses of the cut send, or on features without them, as somebody would
            who does not know of the defenses; the latter says how much a weak evaluation flatters.
    """

    paper: ClassVar[str] = "He, Zhang, Lee, ACSAC 2019, https://doi.org/10.1145/3359789.3359824"
    control: ClassVar[bool] = False
    counterpart: ClassVar[bool] = False
    needs: ClassVar[Needs] = Needs("input")
    separate: ClassVar[bool] = True
    signals: ClassVar[tuple[str, ...]] = ()

    epochs: int = 60
    lr: float = 0.001
    draws: int = DRAWS
    adaptive: bool = True

    def __post_init__(self) -> None:
        for name in ("epochs", "lr", "draws"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")

    def run(self, game: SplitGame, rng: np.random.Generator) -> Reconstructions:
        """Attacks one model at one cut; `rng` gives the seed of the training."""
        aux = game.auxiliary
        seed = int(rng.integers(2**31))
        anew = sent_anew(game, self.draws, rng)
        network = fit_inverse(aux.seen, aux.inputs.float(), self.epochs, self.lr, seed, anew)
        return remade(game, predicted(network, game.seen))
