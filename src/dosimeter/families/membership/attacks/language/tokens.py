"""What the attacks on texts share: values of the tokens that are there, and those of the base.

Axes: `t` targets, `n` texts, `k` places after the first token.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from dosimeter.families.attack import Attack
from dosimeter.families.membership.attacks import reading
from dosimeter.families.membership.game import MembershipGame
from dosimeter.foundation.arrays import Array
from dosimeter.statistics.evidence import Scores

LOG_PROBS = "token_log_probs"
Of = Literal["mean", "sum"]
"""What a text's value is of those of its tokens."""


def require(game: MembershipGame, attack: Attack[MembershipGame, Scores]) -> Bool[Array, "n k"]:
    """Refuses a game that lacks what an attack needs.

    Returns:
        Mask of the places at which a text has a token.

    Raises:
        ValueError: as `reading.require`, or no texts, no base, or texts that are too short.
    """
    reading.require(game, attack.needs, attack.signals)
    assert game.texts is not None
    places = next(game.outputs[name].shape[3] for name in attack.signals if game.outputs[name].ndim == 4)
    return np.asarray(np.arange(places) < game.texts.lengths[:, None] - 1)


def totals(values: Float[Array, "*t n k"], there: Bool[Array, "n k"], of: Of) -> Float[Array, "*t n"]:
    """Sum or mean over the tokens of each text."""
    found: Array = (values * there).sum(-1)
    return found if of == "sum" else found / there.sum(-1)


def means(values: Float[Array, "*t n k"], there: Bool[Array, "n k"]) -> Float[Array, "*t n"]:
    """Mean over the tokens of each text."""
    return totals(values, there, "mean")


def gains(game: MembershipGame) -> Float[Array, "t n k"]:
    """Log-probability of each token under the target minus that under the base, nats; 0 after the end."""
    assert game.texts is not None
    found: Array = game.outputs[LOG_PROBS][:, 0] - game.texts.base[LOG_PROBS]
    return found


def lowest(values: Float[Array, "t n k"], there: Bool[Array, "n k"], share: float) -> Float[Array, "t n"]:
    """Mean of the lowest share of each text's values; of one at least."""
    order = np.sort(np.where(there, values, np.inf), axis=-1)
    count = np.maximum((share * there.sum(-1)).astype(int), 1)
    kept = np.arange(values.shape[-1]) < count[:, None]
    found: Array = np.where(kept, order, 0.0).sum(-1) / count
    return found
