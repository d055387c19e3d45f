"""ReCaLL: how does the log-probability of a text change when texts of non-members stand before it?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dosimeter.families.membership.attacks import reading
from dosimeter.families.membership.game import MembershipGame, Needs
from dosimeter.models.access import Access
from dosimeter.statistics.evidence import Scores


@dataclass(frozen=True)
class ReCaLL:
    """Score a text by its conditional log-probability over its own.

    Paper: Xie, Wang, Huang et al., "ReCaLL: Membership Inference via Relative Conditional Log-Likelihoods", 2024,
    https://arxiv.org/abs/2406.15968: `s(x) = LL(x | prefix) / LL(x)`, with a prefix of non-members.
    Threat model: probabilities of tokens; one further query of a text; four texts outside every model.
    Deviations: the four are shortened alike, so that half of the model's length is left, and both log-likelihoods are
    of the tokens that fit behind them.
    Cost: 2 passes of the target over each text.
    """

    paper: ClassVar[str] = "Xie et al., 2024, https://arxiv.org/abs/2406.15968"
    control: ClassVar[bool] = False
    needs: ClassVar[Needs] = Needs(Access.PROBS, texts=True)
    signals: ClassVar[tuple[str, ...]] = ("conditioned_ratio",)

    def run(self, game: MembershipGame, rng: np.random.Generator) -> Scores:
        """Scores all texts of a game; `rng` is not used.

        Raises:
            ValueError: the game lacks what it needs.
        """
        reading.require(game, self.needs, self.signals)
        return Scores(game.ids, game.outputs["conditioned_ratio"][:, 0].copy())
