"""FSHA: a malicious server trains the device's half, so that its features are those that a decoder of theirs reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from dosimeter.families.split.attacks.reading import predicted, remade
from dosimeter.families.split.game import Needs, SplitGame
from dosimeter.foundation.errors import AccessError
from dosimeter.statistics.evidence import Reconstructions
from dosimeter.training.learners.halves.hijacking import Hijacking, hijack


@dataclass(frozen=True)
class FSHA:
    """Return gradients that lead the device's half to the features of an encoder of one's own, whose decoder one has.

    Paper: Pasquini, Ateniese, Bernaschi, "Unleashing the Tiger: Inference Attacks on Split Learning", CCS 2021,
    https://arxiv.org/abs/2012.02670, section 3.1, feature-space hijacking attack.
    Threat model: a malicious server in the training of a split network. The device trains its half with the victims'
    records and the stage's recipe, sends features of each batch, and follows what comes back. The server decides what
    comes back and for how long; it has records of others, the form of the first half and the recipe, but not its
    weights, no labels and nothing else of the victims. The model that comes of it is of no use, which a device that
    looks at its task would notice.
    Deviations: the encoder has the form of the device's half, with fresh weights where the stage starts from fresh
    ones, and is trained before and not beside. Features are standardised for the critic, and its penalty is 10, not
    500. Where the device uses SGD, or adds a term of its own to the loss (`nopeek`), the scale of the gradients is
    chosen by rehearsals on a device of the server's own.
    Normalisation and dropout act as at rest, and the rate is the recipe's highest.
    Cost: `warm_up` steps of an encoder, and `steps` of a critic and of the device's half, for each cut and model, and
    as many again for the null audit; one quarter more for each of `scales` among which is chosen.

    Attributes:
        steps: gradients that are returned.
        warm_up: steps by which the encoder and its decoder learn before.
        lr: learning rate of Adam, of the encoder, the decoder and the critic.
        penalty: weight of the critic's gradient penalty.
        scales: by which of them gradients are multiplied, to choose among if the device uses SGD or adds a term of its
            own to the loss; else the first one.
    """

    paper: ClassVar[str] = "Pasquini, Ateniese, Bernaschi, CCS 2021, https://arxiv.org/abs/2012.02670"
    control: ClassVar[bool] = False
    counterpart: ClassVar[bool] = False
    needs: ClassVar[Needs] = Needs("input", knows="nothing", active=True)
    signals: ClassVar[tuple[str, ...]] = ()

    steps: int = 2000
    warm_up: int = 1000
    lr: float = 0.001
    penalty: float = 10.0
    scales: tuple[float, ...] = (10.0, 0.1, 0.01, 0.001, 0.0001)

    def __post_init__(self) -> None:
        for name in ("steps", "warm_up", "lr", "penalty"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if not self.scales or not all(one > 0 for one in self.scales):
            raise ValueError(f"scales must be positive, one or more, got {list(self.scales)}")

    @property
    def updates(self) -> int:
        """Steps on a batch, for a guess of the time."""
        return self.warm_up + self.steps + len(self.scales) * self.steps // 4

    def run(self, game: SplitGame, rng: np.random.Generator) -> Reconstructions:
        """Attacks one training at one cut; `rng` gives the seed of all networks.

        Raises:
            AccessError: the game has no training.
        """
        if game.training is None:
            raise AccessError("needs a training whose gradients it returns, and the game has none: set active = true")
        aux, seed = game.auxiliary, int(rng.integers(2**31))
        labels = torch.from_numpy(np.asarray(aux.labels, np.int64)).to(game.device)
        settings = Hijacking(self.warm_up, self.steps, self.lr, self.penalty, tuple(self.scales))
        decoder = hijack(game.training, (aux.inputs.float(), labels), settings, seed)
        return remade(game, predicted(decoder, game.training.features()))
