"""De-censoring: map features to those of an own model that was trained to tell the attribute."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch.nn.functional import log_softmax

from dosimeter.families.split.attacks.reading import DRAWS, mapped, sought
from dosimeter.families.split.game import Needs, SplitGame
from dosimeter.statistics.evidence import Guesses
from dosimeter.training.learners.halves.uncensored import fit_uncensored


@dataclass(frozen=True)
class Decensor:
    """Train an own model of the attribute on records, learn a map from features to its hidden numbers, and classify.

    Paper: Song, Shmatikov, "Overlearning Reveals Sensitive Attributes", ICLR 2020, https://arxiv.org/abs/1905.11742,
    algorithm 1; we know its steps from a summary.
    Threat model: features at the cut, the same of records of the adversary's own, and labels of the attribute. The map
    needs no labels, so all auxiliary records teach it.
    Deviations: the own model has two hidden layers; the map is the better of a linear one and a network, on auxiliary
    records that are held back.
    Cost: two trainings of small networks and a linear map for each cut, attribute and model, once more for the answers.

    Attributes:
        hidden: numbers of the own model's last hidden layer.
        epochs: passes over the auxiliary records, of each training.
        lr: learning rate of the map.
        penalties: of the linear map, as of `ridge`.
    """

    paper: ClassVar[str] = "Song, Shmatikov, ICLR 2020, https://arxiv.org/abs/1905.11742"
    control: ClassVar[bool] = False
    counterpart: ClassVar[bool] = True
    needs: ClassVar[Needs] = Needs("attribute", plain=True)
    signals: ClassVar[tuple[str, ...]] = ()

    hidden: int = 64
    epochs: int = 40
    lr: float = 0.001
    penalties: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)

    def __post_init__(self) -> None:
        for name in ("hidden", "epochs", "lr"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if not self.penalties or not min(self.penalties) > 0:
            raise ValueError(f"penalties must be positive numbers, got {list(self.penalties)}")

    def run(self, game: SplitGame, rng: np.random.Generator) -> Guesses:
        """Attacks one attribute of one model at one cut; `rng` gives the seed of all trainings."""
        secret, inputs = sought(game), game.auxiliary.inputs.float()
        rows = torch.from_numpy(secret.rows).to(game.device)
        values = torch.from_numpy(np.asarray(secret.known, np.int64)).to(game.device)
        own = fit_uncensored(inputs[rows], values, self.hidden, self.epochs, int(rng.integers(2**31)))
        with torch.no_grad():
            hidden = torch.cat([own.body(some) for some in torch.split(inputs, 256)])
        made = mapped(game, hidden, self.penalties, self.epochs, self.lr, DRAWS, rng)
        with torch.no_grad():
            scores = log_softmax(own.head(made.float()).double(), 1)
        return Guesses(game.ids, scores.cpu().numpy()[None])
