"""The loss attack: members have lower loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dosimeter.families.membership.attacks import reading
from dosimeter.families.membership.game import MembershipGame, Needs
from dosimeter.models.access import Access
from dosimeter.statistics.evidence import Scores


@dataclass(frozen=True)
class Loss:
    """Score a record by the target's negative cross-entropy loss on it.

    Paper: Yeom, Giacomelli, Fredrikson, Jha, "Privacy Risk in Machine Learning", 2018,
    https://arxiv.org/abs/1709.01604, adversary 1: `s(x, y) = -loss = log p_y = -softplus(-phi)`, nats.
    Threat model: one query of the deployed model; no shadows, no population.
    Deviations: the paper's threshold (the mean training loss) is left to the measurement, which takes it from shadows.
    Of several views only view 0, the record itself, is read: the paper knows no augmentation.
    Cost: O(t n).
    """

    paper: ClassVar[str] = "Yeom et al., 2018, https://arxiv.org/abs/1709.01604"
    control: ClassVar[bool] = False
    needs: ClassVar[Needs] = Needs(Access.PROBS)
    signals: ClassVar[tuple[str, ...]] = ("logit_confidence",)

    def run(self, game: MembershipGame, rng: np.random.Generator) -> Scores:
        """Scores all records of a game; `rng` is not used.

        Raises:
            ValueError: the game lacks the signal, or it is not finite.
        """
        reading.require(game, self.needs, self.signals)
        return Scores(game.ids, reading.log_confidence(game.outputs["logit_confidence"][:, 0]))
