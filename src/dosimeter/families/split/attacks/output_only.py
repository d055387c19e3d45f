"""Output only: the same attacks on the model's answers, which no cut can hide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from dosimeter.families.split.attacks.reading import CLASSIFIERS, DRAWS, checked, guessed, inverted
from dosimeter.families.split.game import Needs, SplitGame
from dosimeter.statistics.evidence import Guesses, Reconstructions


@dataclass(frozen=True)
class OutputOnly:
    """Attack the answers in place of the features: the floor, since who runs the second half learns them anyway.

    Paper: Malekzadeh, Borovykh, Gunduz, "Honest-but-Curious Nets", CCS 2021, https://arxiv.org/abs/2105.12049.
    Threat model: the answers' logits, and the same of records of the adversary's own.
    Deviations: the model is trained as usual, not to give its inputs away.
    Cost: as of `attribute_pool`, or of `ridge` and `decoder` twice, once for each model.

    Attributes:
        mode: what is sought, "attribute" or "input".
        classifiers: of the pool, as of `attribute_pool`.
        penalties: of the linear map, as of `ridge`; for inputs the better of both is used, by own records.
        epochs: of the network, as of `decoder`.
        lr: of the network, as of `decoder`.
        draws: of each auxiliary record, as of `decoder`.
    """

    paper: ClassVar[str] = "Malekzadeh, Borovykh, Gunduz, CCS 2021, https://arxiv.org/abs/2105.12049"
    control: ClassVar[bool] = False
    counterpart: ClassVar[bool] = False
    separate: ClassVar[bool] = True
    signals: ClassVar[tuple[str, ...]] = ()

    mode: Literal["attribute", "input"] = "attribute"
    classifiers: tuple[str, ...] = CLASSIFIERS
    penalties: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
    epochs: int = 60
    lr: float = 0.001
    draws: int = DRAWS

    def __post_init__(self) -> None:
        checked(self.classifiers)
        if not self.penalties or not min(self.penalties) > 0:
            raise ValueError(f"penalties must be positive numbers, got {list(self.penalties)}")
        for name in ("epochs", "lr", "draws"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")

    @property
    def needs(self) -> Needs:
        """The answers."""
        return Needs(self.mode, reads="answers")

    def run(self, game: SplitGame, rng: np.random.Generator) -> Guesses | Reconstructions:
        """Attacks one model; `rng` gives the seed of trainings."""
        if self.mode == "attribute":
            return guessed(game, self.classifiers, rng)
        return inverted(game, self.penalties, self.epochs, self.lr, self.draws, rng)
