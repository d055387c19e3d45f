"""The neighbourhood attack: is a text likelier than copies of it with other words?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dosimeter.families.membership.attacks.language import tokens
from dosimeter.families.membership.game import MembershipGame, Needs
from dosimeter.models.access import Access
from dosimeter.statistics.evidence import Scores


@dataclass(frozen=True)
class Neighbourhood:
    """Score a text by its mean log-probability minus that of its neighbours.

    Paper: Mattern, Mireshghallah, Jin et al., "Membership Inference Attacks against Language Models via Neighbourhood
    Comparison", 2023, https://arxiv.org/abs/2305.18462, equation 3.
    Threat model: probabilities of tokens; 10 further queries of a text; some texts outside every model.
    Deviations: no masked model writes the neighbours; 15 % of the tokens, at random places, are exchanged for tokens
    from texts outside every model, so neighbours are less fluent than in the paper, and 10 stand for its 100.
    Cost: 10 passes of the target over each text; then O(t n k).
    """

    paper: ClassVar[str] = "Mattern et al., 2023, https://arxiv.org/abs/2305.18462"
    control: ClassVar[bool] = False
    needs: ClassVar[Needs] = Needs(Access.PROBS, texts=True)
    signals: ClassVar[tuple[str, ...]] = (tokens.LOG_PROBS, "neighbour_log_probs")

    def run(self, game: MembershipGame, rng: np.random.Generator) -> Scores:
        """Scores all texts of a game; `rng` is not used.

        Raises:
            ValueError: the game lacks what it needs.
        """
        there = tokens.require(game, self)
        own = tokens.means(game.outputs[tokens.LOG_PROBS][:, 0], there)
        return Scores(game.ids, own - game.outputs["neighbour_log_probs"][:, 0])
