"""WBC: the share of sliding windows of tokens whose log-probability finetuning raised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int

from dosimeter.families.membership.attacks.language import tokens
from dosimeter.families.membership.game import MembershipGame, Needs
from dosimeter.foundation.arrays import Array
from dosimeter.models.access import Access
from dosimeter.statistics.evidence import Scores

WINDOWS = (2, 3, 4, 5, 8, 11, 15, 21, 29, 40)
"""Windows of the paper's formula, round(2 * 20^((k - 1) / 9)); the authors' settings list others."""
SHORTEST = 30
"""Tokens that half of the texts must have: of shorter ones many reach the highest score, and ties call nobody."""


@dataclass(frozen=True)
class WBC:
    """Score a text by the share of sliding windows in which the target's log-probability exceeds the base's.

    Paper: WBC, 2026, https://arxiv.org/abs/2601.02751: for each width w the share of windows of w tokens with a
    positive sum of log p_target - log p_base; the score is the mean over widths.
    Threat model: probabilities of tokens under the target and under its base.
    Deviations: a width beyond the length of a text counts as that length. Sets of which half of the texts have fewer
    than 30 tokens are refused, since there the score is often exactly 1.
    Cost: O(t n k w).

    Attributes:
        windows: widths, tokens; by default those of the paper's formula, (2, 3, 4, 6, 9, 13, 18, 25, 32, 40) are those
            of the authors' settings.
    """

    paper: ClassVar[str] = "WBC, 2026, https://arxiv.org/abs/2601.02751"
    control: ClassVar[bool] = False
    needs: ClassVar[Needs] = Needs(Access.PROBS, texts=True, base=True, tokens=SHORTEST)
    signals: ClassVar[tuple[str, ...]] = (tokens.LOG_PROBS,)

    windows: tuple[int, ...] = WINDOWS

    def __post_init__(self) -> None:
        if not self.windows or any(one < 1 for one in self.windows):
            raise ValueError(f"windows must be whole numbers from 1, got {self.windows}")

    def run(self, game: MembershipGame, rng: np.random.Generator) -> Scores:
        """Scores all texts of a game; `rng` is not used.

        Raises:
            ValueError: the game lacks what it needs.
        """
        there = tokens.require(game, self)
        return Scores(game.ids, shares(tokens.gains(game), there.sum(-1), self.windows))


def shares(gains: Float[Array, "t n k"], count: Int[Array, " n"], windows: Sequence[int]) -> Float[Array, "t n"]:
    """Mean over widths of the share of windows in which a text gained.

    Args:
        gains: log-probability under the target less that under the base, nats; 0 after the end.
        count: tokens of each text after the first.
        windows: widths, tokens.
    """
    sums = np.concatenate([np.zeros((*gains.shape[:2], 1)), gains.cumsum(-1)], -1)
    total, starts = np.zeros(sums.shape[:2]), np.arange(gains.shape[2])[None]
    for window in windows:
        width = np.minimum(window, count)
        ends = np.minimum(starts + width[:, None], gains.shape[2])
        full = starts + width[:, None] <= count[:, None]
        gained = np.take_along_axis(sums, np.broadcast_to(ends, (len(sums), *ends.shape)), -1) - sums[..., :-1]
        total += ((gained > 0) & full).sum(-1) / full.sum(-1)
    return np.asarray(total / len(windows))
