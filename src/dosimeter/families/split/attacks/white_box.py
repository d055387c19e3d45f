"""White box: follow the first half's gradients to an input with the same features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from dosimeter.families.split.attacks.reading import remade
from dosimeter.families.split.attacks.searching import (
    Search,
    are_pictures,
    checked_search,
    competing,
    opened,
    spreads,
    variance_of,
    variation,
)
from dosimeter.families.split.game import Needs, SplitGame
from dosimeter.statistics.evidence import Reconstructions


@dataclass(frozen=True)
class WhiteBox:
    """Optimise an input until the first half makes the same features of it.

    Paper: He, Zhang, Lee, "Model Inversion Attacks Against Collaborative Inference", ACSAC 2019,
    https://doi.org/10.1145/3359789.3359824, section 4.1, regularised maximum likelihood. Where defenses of the cut are
    random, each gradient is the mean over several draws: Athalye, Engstrom, Ilyas, Kwok, ICML 2018,
    https://arxiv.org/abs/1707.07397.
    Threat model: features at the cut, the first half's weights, and records of the adversary's own.
    Deviations: all victims are sought at once; each starts at the mean record, stays in the range of the auxiliary
    records, and has a rate that falls. The weight of the penalty is the one with which auxiliary records come back
    best. Records that are no pictures have no neighbouring pixels, so their squared distance to the mean is made small.
    Gradients go through a defense as if it changed nothing.
    Cost: steps x victims gradients of the first half for each cut and model, and once more for the answers.

    Attributes:
        steps: of Adam.
        lr: its learning rate, as a share of the records' range.
        weights: of the penalty, total variation of pictures, to choose among; 1 counts a usual record's as much as the
            features' whole variance.
        samples: draws for each gradient where defenses of the cut are random.
    """

    paper: ClassVar[str] = "He, Zhang, Lee, ACSAC 2019, https://doi.org/10.1145/3359789.3359824"
    control: ClassVar[bool] = False
    counterpart: ClassVar[bool] = True
    needs: ClassVar[Needs] = Needs("input", knows="weights")
    separate: ClassVar[bool] = True
    signals: ClassVar[tuple[str, ...]] = ()

    steps: int = 400
    lr: float = 0.05
    weights: tuple[float, ...] = (0.0, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
    samples: int = 4

    def __post_init__(self) -> None:
        checked_search(self, self.weights)

    @property
    def passes(self) -> int:
        """Answers with a gradient for each victim."""
        return self.steps

    def run(self, game: SplitGame, rng: np.random.Generator) -> Reconstructions:
        """Attacks one model at one cut; `rng` draws what defenses of the cut draw."""
        known = game.auxiliary.inputs.float()
        pictures = are_pictures(known)
        low, high = (known.min(), known.max()) if pictures else (known.amin(0), known.amax(0))
        mean, spread = known.mean(0), spreads(known, pictures=pictures)
        usual = variation(known).mean().clamp_min(1e-12) if pictures else torch.ones(())

        def penalty(point: Tensor, records: Tensor) -> Tensor:
            if pictures:
                return variation(records) / usual
            return ((records - mean) / spread).flatten(1).pow(2).mean(1)

        search = Search(
            opened(game),
            lambda point: low + point * (high - low),
            penalty,
            torch.where(high > low, (mean - low) / (high - low).clamp_min(1e-12), torch.zeros_like(mean)),
            (0.0, 1.0),
            spread,
            variance_of(game.auxiliary.seen),
            self.steps,
            self.lr,
            self.samples,
        )
        weight = search.chosen(game, competing(game), self.weights, rng)
        return remade(game, search.run(game.seen, torch.full((len(game.seen),), weight, device=game.device), rng))
