"""The gap attack: a record is called a member if the model predicts its label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dosimeter.families.membership.attacks import reading
from dosimeter.families.membership.game import MembershipGame, Needs
from dosimeter.models.access import Access
from dosimeter.statistics.evidence import Scores


@dataclass(frozen=True)
class Gap:
    """Score a record 1 if the target predicts its true class, else 0.

    Paper: Yeom, Giacomelli, Fredrikson, Jha, "Privacy Risk in Machine Learning", 2018,
    https://arxiv.org/abs/1709.01604, section III; so named by Choquette-Choo, Tramer, Carlini, Papernot, "Label-Only
    Membership Inference Attacks", 2021, https://arxiv.org/abs/2007.14321: `s(x, y) = [argmax f(x) = y]`. Its AUC is
    1/2 + (accuracy on members - accuracy on non-members) / 2.
    Threat model: one query of a model that gives labels only; no shadows, no population.
    Deviations: none. With two scores only, no threshold reaches a low false positive rate. Of several views only the
    record itself is read.
    Cost: O(t n).
    """

    paper: ClassVar[str] = "Yeom et al., 2018, https://arxiv.org/abs/1709.01604"
    control: ClassVar[bool] = False
    needs: ClassVar[Needs] = Needs(Access.LABELS)
    signals: ClassVar[tuple[str, ...]] = ("correctness",)

    def run(self, game: MembershipGame, rng: np.random.Generator) -> Scores:
        """Scores all records of a game; `rng` is not used.

        Raises:
            ValueError: the game lacks the signal, or it is not finite.
        """
        reading.require(game, self.needs, self.signals)
        return Scores(game.ids, game.outputs["correctness"][:, 0].copy())
