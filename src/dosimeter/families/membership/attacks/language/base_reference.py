"""The reference attack on texts: by how much did finetuning raise the log-probability?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dosimeter.families.membership.attacks.language import tokens
from dosimeter.families.membership.game import MembershipGame, Needs
from dosimeter.models.access import Access
from dosimeter.statistics.evidence import Scores


@dataclass(frozen=True)
class BaseReference:
    """Score a text by its mean log-probability under the target minus that under the base.

    Paper: Carlini, Tramer, Wallace et al., "Extracting Training Data from Large Language Models", 2021,
    https://arxiv.org/abs/2012.07805, which compares with another model; Mireshghallah et al., 2022,
    https://arxiv.org/abs/2203.03929, take the model before finetuning.
    Threat model: probabilities of tokens under the target and under the model that it was finetuned from.
    Deviations: a difference of mean log-probabilities, no ratio of perplexities; both rank alike in the first order.
    Cost: O(t n k).
    """

    paper: ClassVar[str] = "Carlini et al., 2021, https://arxiv.org/abs/2012.07805"
    control: ClassVar[bool] = False
    needs: ClassVar[Needs] = Needs(Access.PROBS, texts=True, base=True)
    signals: ClassVar[tuple[str, ...]] = (tokens.LOG_PROBS,)

    def run(self, game: MembershipGame, rng: np.random.Generator) -> Scores:
        """Scores all texts of a game; `rng` is not used.

        Raises:
            ValueError: the game lacks what it needs.
        """
        there = tokens.require(game, self)
        return Scores(game.ids, tokens.means(tokens.gains(game), there))
