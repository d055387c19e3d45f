"""Min-K%: the mean log-probability of a text's most surprising tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dosimeter.families.membership.attacks.language import tokens
from dosimeter.families.membership.game import MembershipGame, Needs
from dosimeter.foundation import checks
from dosimeter.models.access import Access
from dosimeter.statistics.evidence import Scores


@dataclass(frozen=True)
class MinK:
    """Score a text by the mean log-probability of its least likely tokens.

    Paper: Shi, Ajith, Xia et al., "Detecting Pretraining Data from Large Language Models", 2024,
    https://arxiv.org/abs/2310.16789, equation 1.
    Threat model: probabilities of the tokens of a text.
    Deviations: one token at least.
    Cost: O(t n k log k).

    Attributes:
        share: of the tokens that are read, above 0, at most 1.
    """

    paper: ClassVar[str] = "Shi et al., 2024, https://arxiv.org/abs/2310.16789"
    control: ClassVar[bool] = False
    needs: ClassVar[Needs] = Needs(Access.PROBS, texts=True)
    signals: ClassVar[tuple[str, ...]] = (tokens.LOG_PROBS,)

    share: float = 0.2

    def __post_init__(self) -> None:
        checks.in_range("share", self.share, 0.0, 1.0, open_low=True)

    def run(self, game: MembershipGame, rng: np.random.Generator) -> Scores:
        """Scores all texts of a game; `rng` is not used.

        Raises:
            ValueError: the game lacks what it needs.
        """
        there = tokens.require(game, self)
        return Scores(game.ids, tokens.lowest(game.outputs[tokens.LOG_PROBS][:, 0], there, self.share))
