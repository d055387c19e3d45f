"""The entropy attack: models are more confident on members."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dosimeter.families.membership.attacks import reading
from dosimeter.families.membership.game import MembershipGame, Needs
from dosimeter.models.access import Access
from dosimeter.statistics.evidence import Scores


@dataclass(frozen=True)
class Entropy:
    """Score a record by minus the entropy of the target's answer.

    Paper: Salem, Zhang, Humbert, Berrang, Fritz, Backes, "ML-Leaks", 2019, https://arxiv.org/abs/1806.01246,
    adversary 3: `s(x) = sum over c of p_c log p_c`, nats.
    Threat model: one query of the deployed model; no shadows, no population, and not even the true class.
    Deviations: only view 0, the record itself, is read. A confident wrong answer scores like a confident right one;
    `modified_entropy` tells them apart.
    Cost: O(t n).
    """

    paper: ClassVar[str] = "Salem et al., 2019, https://arxiv.org/abs/1806.01246"
    control: ClassVar[bool] = False
    needs: ClassVar[Needs] = Needs(Access.PROBS)
    signals: ClassVar[tuple[str, ...]] = ("entropy",)

    def run(self, game: MembershipGame, rng: np.random.Generator) -> Scores:
        """Scores all records of a game; `rng` is not used.

        Raises:
            ValueError: the game lacks the signal, or it is not finite.
        """
        reading.require(game, self.needs, self.signals)
        return Scores(game.ids, -game.outputs["entropy"][:, 0])
