"""EZ-MIA: where the target still errs, did finetuning raise the true token more than it lowered others?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float

from dosimeter.families.membership.attacks.language import tokens
from dosimeter.families.membership.game import MembershipGame, Needs
from dosimeter.foundation import checks
from dosimeter.foundation.arrays import Array
from dosimeter.models.access import Access
from dosimeter.statistics.evidence import Scores

TOP = 50.0
"""Score of a text without any token that the target gets wrong, nats; above every ratio that floors allow."""


@dataclass(frozen=True)
class Forced:
    """Scores that a rule of the attack sets, and not the text alone; no score is in two of the three.

    Attributes:
        certain: the target errs nowhere, so that the score is the highest.
        not_lowered: no more than the floor was lowered, which gives a high score.
        not_raised: no more than the floor was raised, which gives a low score; where both, it counts as `not_lowered`.
    """

    certain: Bool[Array, "t n"]
    not_lowered: Bool[Array, "t n"]
    not_raised: Bool[Array, "t n"]


@dataclass(frozen=True)
class EZMIA:
    """Score a text by the ratio of raised to lowered log-probability at tokens that the target does not predict.

    Paper: EZ-MIA, 2026, https://arxiv.org/abs/2601.12104. With E the places at which the target's likeliest token is
    not the true one, and d_j = log p_target(x_j) - log p_base(x_j): P = sum over E of max(d, 0), N = sum over E of
    max(-d, 0), and `s(x) = log P - log N`, which ranks as P / N does.
    Threat model: probabilities of tokens, and the likeliest one, under the target and under its base.
    Deviations: sums below `floor` count as it, so that N = 0 gives a high score and no infinity, which P orders; a text
    without any such place gets the highest. Both are counted (`forced`), and ties at the top by check P8.
    Cost: O(t n k).

    Attributes:
        floor: of both sums, nats, 1e-9 to 10.
    """

    paper: ClassVar[str] = "EZ-MIA, 2026, https://arxiv.org/abs/2601.12104"
    control: ClassVar[bool] = False
    needs: ClassVar[Needs] = Needs(Access.PROBS, texts=True, base=True)
    signals: ClassVar[tuple[str, ...]] = (tokens.LOG_PROBS, "token_hits")

    floor: float = 1e-3

    def __post_init__(self) -> None:
        checks.in_range("floor", self.floor, 1e-9, 10.0)

    def run(self, game: MembershipGame, rng: np.random.Generator) -> Scores:
        """Scores all texts of a game; `rng` is not used.

        Raises:
            ValueError: the game lacks what it needs.
        """
        errs = tokens.require(game, self) & (game.outputs["token_hits"][:, 0] == 0)
        return Scores(game.ids, ratios(tokens.gains(game), errs, self.floor))


def forced(attack: EZMIA, game: MembershipGame) -> Forced:
    """Says which scores of an attack are forced; the ratio of the others is that of the paper.

    Raises:
        ValueError: the game lacks what the attack needs.
    """
    errs = tokens.require(game, attack) & (game.outputs["token_hits"][:, 0] == 0)
    wrong, raised, lowered = _sums(tokens.gains(game), errs)
    low = wrong & (lowered < attack.floor)
    return Forced(~wrong, low, wrong & ~low & (raised < attack.floor))


def ratios(gains: Float[Array, "*t n k"], errs: Bool[Array, "*t n k"], floor: float) -> Float[Array, "*t n"]:
    """Log of what wrong places gained over what they lost; `TOP` for a text without any.

    Args:
        gains: log-probability under the target less that under the base, nats.
        errs: where a text has a token that is not the target's likeliest.
        floor: of both sums, nats.
    """
    wrong, raised, lowered = _sums(gains, errs)
    scores = np.log(np.maximum(raised, floor)) - np.log(np.maximum(lowered, floor))
    return np.asarray(np.where(wrong, scores, TOP))


def _sums(
    gains: Float[Array, "*t n k"], errs: Bool[Array, "*t n k"]
) -> tuple[Bool[Array, "*t n"], Float[Array, "*t n"], Float[Array, "*t n"]]:
    """Whether the target errs in a text, and what its wrong places gained and lost, nats."""
    own = np.where(errs, gains, 0.0)
    return np.asarray(errs.any(-1)), np.maximum(own, 0).sum(-1), np.maximum(-own, 0).sum(-1)
