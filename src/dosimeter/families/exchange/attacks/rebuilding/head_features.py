"""Head features: what the trunk made of each record of a batch, from the gradient of the last layer alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from dosimeter.families.exchange.attacks.rebuilding.making import filled
from dosimeter.families.exchange.game import Needs
from dosimeter.families.exchange.inverting.features import head_features
from dosimeter.families.exchange.inverting.matching import Newton
from dosimeter.families.exchange.records.game import RecordsGame
from dosimeter.statistics.evidence import Reconstructions


@dataclass(frozen=True)
class HeadFeatures:
    """Solve the gradient of a dense last layer for the features of the batch; the gradient of the trunk is not read.

    Paper: the first of the two steps of Maui, 2025, https://arxiv.org/abs/2509.11451, of which only the abstract could
    be read, so the algorithm is dosimeter's.
    Threat model: the last layer and its gradient, as parties see it who tune only a head together.
    Deviations: features are judged, against those that the trunk makes of the true records; no record is made.
    Cost: `rounds * steps * attempts` gradients of the last layer for each batch.

    Attributes:
        rounds: calls of the optimiser.
        steps: of each call.
        attempts: starts at most.
    """

    paper: ClassVar[str] = "after Maui, 2025, https://arxiv.org/abs/2509.11451 (abstract only)"
    control: ClassVar[bool] = False
    needs: ClassVar[Needs] = Needs("gradient", question="records", head=True, makes="features")
    signals: ClassVar[tuple[str, ...]] = ()

    rounds: int = 10
    steps: int = 20
    attempts: int = 2

    def __post_init__(self) -> None:
        self._search()

    @property
    def passes(self) -> int:
        """Gradients of the last layer for each batch, a small part of the model's."""
        return self.rounds * self.steps * self.attempts // 4

    def _search(self) -> Newton:
        """The search."""
        return Newton(self.rounds, self.steps, self.attempts)

    def run(self, game: RecordsGame, rng: np.random.Generator) -> Reconstructions:
        """Makes features of each batch `[1 n b d]`; `rng` draws the starts."""
        rows = []
        for seen, trunk in zip(game.seen, game.trunks, strict=True):
            with torch.no_grad():
                mean = trunk(game.auxiliary.inputs.float()).mean(0, keepdim=True)
            empty = seen is None or not any(bool(one.any()) for one in seen.head_gradient.values())
            made = mean[:0] if empty or seen is None else head_features(seen, rng, search=self._search()).records
            rows.append(filled(made.detach(), mean, game.size))
        return Reconstructions(game.ids, torch.stack(rows)[None].double().numpy())
