"""Min-K%++: as Min-K%, of log-probabilities that are standardised by the model's own law at each place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dosimeter.families.membership.attacks.language import tokens
from dosimeter.families.membership.game import MembershipGame, Needs
from dosimeter.foundation import checks
from dosimeter.models.access import Access
from dosimeter.statistics.evidence import Scores

FLAT = 1e-6
"""Least deviation of log p, nats: where all tokens are equally likely, none says anything."""


@dataclass(frozen=True)
class MinKPlusPlus:
    """Score a text by the mean of its lowest standardised log-probabilities.

    Paper: Zhang, Sun, Yeats et al., "Min-K%++: Improved Baseline for Detecting Pre-Training Data", 2024,
    https://arxiv.org/abs/2404.02936, equation 3: (log p_j - mu_j) / sigma_j, with mean and deviation of log p under
    the model's law of the next token.
    Threat model: probabilities of all tokens at each place.
    Deviations: one token at least; a deviation below 1e-6 nats counts as that.
    Cost: O(t n k log k).

    Attributes:
        share: of the tokens that are read, above 0, at most 1.
    """

    paper: ClassVar[str] = "Zhang et al., 2024, https://arxiv.org/abs/2404.02936"
    control: ClassVar[bool] = False
    needs: ClassVar[Needs] = Needs(Access.PROBS, texts=True)
    signals: ClassVar[tuple[str, ...]] = (tokens.LOG_PROBS, "token_means", "token_deviations")

    share: float = 0.2

    def __post_init__(self) -> None:
        checks.in_range("share", self.share, 0.0, 1.0, open_low=True)

    def run(self, game: MembershipGame, rng: np.random.Generator) -> Scores:
        """Scores all texts of a game; `rng` is not used.

        Raises:
            ValueError: the game lacks what it needs.
        """
        there = tokens.require(game, self)
        own, mean, deviation = (game.outputs[name][:, 0] for name in self.signals)
        return Scores(game.ids, tokens.lowest((own - mean) / np.maximum(deviation, FLAT), there, self.share))
