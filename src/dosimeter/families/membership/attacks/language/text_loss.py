"""The loss attack on texts: the log-probability of a whole text, or of its mean token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dosimeter.families.membership.attacks import reading
from dosimeter.families.membership.attacks.language import tokens
from dosimeter.families.membership.game import MembershipGame, Needs
from dosimeter.models.access import Access
from dosimeter.statistics.evidence import Scores


@dataclass(frozen=True)
class TextLoss:
    """Score a text by its log-probability under the target.

    Paper: Yeom, Giacomelli, Fredrikson, Jha, "Privacy Risk in Machine Learning", 2018,
    https://arxiv.org/abs/1709.01604, applied to texts: `s(x) = mean_j log p(x_j | x_<j)`, nats.
    Threat model: probabilities of the tokens of a text; no shadows.
    Deviations: none; `mean` ranks as `loss` does, `sum` ranks long texts lower.
    Cost: O(t n k).

    Attributes:
        of: "mean" or "sum" over tokens.
    """

    paper: ClassVar[str] = "Yeom et al., 2018, https://arxiv.org/abs/1709.01604"
    control: ClassVar[bool] = False
    needs: ClassVar[Needs] = Needs(Access.PROBS, texts=True)
    signals: ClassVar[tuple[str, ...]] = (tokens.LOG_PROBS,)

    of: tokens.Of = "mean"

    def __post_init__(self) -> None:
        reading.check_choices(self, of=tokens.Of)

    def run(self, game: MembershipGame, rng: np.random.Generator) -> Scores:
        """Scores all texts of a game; `rng` is not used.

        Raises:
            ValueError: the game lacks what it needs.
        """
        there = tokens.require(game, self)
        values = game.outputs[tokens.LOG_PROBS][:, 0]
        return Scores(game.ids, tokens.totals(values, there, self.of))
