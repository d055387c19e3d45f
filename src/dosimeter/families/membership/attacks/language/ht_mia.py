"""HT-MIA: the gain over the base at the tokens that are hard to predict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from dosimeter.families.membership.attacks import reading
from dosimeter.families.membership.attacks.language import tokens
from dosimeter.families.membership.game import MembershipGame, Needs
from dosimeter.foundation import checks
from dosimeter.models.access import Access
from dosimeter.statistics.evidence import Scores

Hard = Literal["target", "base"]
Gain = Literal["probability", "log"]


@dataclass(frozen=True)
class HTMIA:
    """Score a text by the mean gain over the base at its least likely tokens.

    Paper: HT-MIA, 2026, https://arxiv.org/abs/2601.20885.
    Threat model: probabilities of tokens under the target and under its base.
    Deviations: which model says what is hard, how many tokens count and whether the gain is one of probabilities or of
    their logarithms could not be read in the paper, so they are settings; the defaults did best on a small model.
    Cost: O(t n k log k).

    Attributes:
        share: of the tokens that count as hard, above 0, at most 1.
        hard: the model whose probability says so, "target" or "base".
        gain: of "probability", or of its "log".
    """

    paper: ClassVar[str] = "HT-MIA, 2026, https://arxiv.org/abs/2601.20885"
    control: ClassVar[bool] = False
    needs: ClassVar[Needs] = Needs(Access.PROBS, texts=True, base=True)
    signals: ClassVar[tuple[str, ...]] = (tokens.LOG_PROBS,)

    share: float = 0.4
    hard: Hard = "target"
    gain: Gain = "probability"

    def __post_init__(self) -> None:
        reading.check_choices(self, hard=Hard, gain=Gain)
        checks.in_range("share", self.share, 0.0, 1.0, open_low=True)

    def run(self, game: MembershipGame, rng: np.random.Generator) -> Scores:
        """Scores all texts of a game; `rng` is not used.

        Raises:
            ValueError: the game lacks what it needs.
        """
        there = tokens.require(game, self)
        assert game.texts is not None
        own = game.outputs[tokens.LOG_PROBS][:, 0]
        base = np.broadcast_to(game.texts.base[tokens.LOG_PROBS], own.shape)
        gain = own - base if self.gain == "log" else np.exp(own) - np.exp(base)
        order = np.argsort(np.where(there, own if self.hard == "target" else base, np.inf), axis=-1, kind="stable")
        count = np.maximum((self.share * there.sum(-1)).astype(int), 1)
        kept = np.arange(there.shape[1]) < count[:, None]
        return Scores(game.ids, (np.take_along_axis(gain, order, -1) * kept).sum(-1) / count)
