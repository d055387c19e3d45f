"""Extraction: does the target continue a text word for word?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dosimeter.families.membership.attacks import reading
from dosimeter.families.membership.game import MembershipGame, Needs
from dosimeter.models.access import Access
from dosimeter.statistics.evidence import Scores


@dataclass(frozen=True)
class Extraction:
    """Score a text by how many of its last 10 tokens the target gives in a row, asked greedily.

    Paper: Carlini, Ippolito, Jagielski et al., "Quantifying Memorization Across Neural Language Models", 2023,
    https://arxiv.org/abs/2202.07646, definition 3.1, with the text before them as prompt.
    Threat model: the likeliest next token of the target; no probabilities.
    Deviations: 10 tokens for its 50; the number in a row is the score, of which the highest is an exact extraction.
    Texts that were never trained on are the control: what they reach is guessed, not memorised.
    Cost: one pass of the target over each text.
    """

    paper: ClassVar[str] = "Carlini et al., 2023, https://arxiv.org/abs/2202.07646"
    control: ClassVar[bool] = False
    needs: ClassVar[Needs] = Needs(Access.LABELS, texts=True)
    signals: ClassVar[tuple[str, ...]] = ("continued_tokens",)

    def run(self, game: MembershipGame, rng: np.random.Generator) -> Scores:
        """Scores all texts of a game; `rng` is not used.

        Raises:
            ValueError: the game lacks what it needs.
        """
        reading.require(game, self.needs, self.signals)
        return Scores(game.ids, game.outputs["continued_tokens"][:, 0].copy())
