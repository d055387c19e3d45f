"""A few numbers that stand for a text's whole answer, for attacks that learn from rows of numbers.

Axes: `m` models, `q` views, `n` texts, `k` places after the first token.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from dosimeter.families.membership.attacks.language import ez_mia, tokens, wbc
from dosimeter.families.membership.texts import Texts
from dosimeter.foundation.arrays import Array

SIGNALS = ("token_log_probs", "token_means", "token_deviations", "logit_confidence", "entropy", "correctness")
"""Signals that the numbers are made of; the first three are of each token."""
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
LOWEST = 0.2
"""Share of a text's tokens, the least probable ones, whose means are read."""
FAR = 10.0
"""Most that a token's log p may be away from its mean, in standard deviations."""


def numbers_of(read: Mapping[str, Array]) -> Float[Array, "*m n 5"]:
    """Confidence, entropy, share of tokens that are the likeliest, Min-K% and Min-K%++ of each text.

    After the end of a text log p is exactly 0. So it is of a token of which the model is certain, which counts; only
    where such tokens stand last, they are taken for the end.

    Args:
        read: the signals, `[*m n k]` of each token and `[*m n]` of a text.
    """
    logs = read["token_log_probs"]
    there = np.maximum.accumulate((logs < 0)[..., ::-1], axis=-1)[..., ::-1]
    scaled = (logs - read["token_means"]) / np.maximum(read["token_deviations"], 1e-6)
    kept = np.maximum(1, (LOWEST * there.sum(axis=-1)).astype(np.int64))
    taken = np.arange(logs.shape[-1]) < kept[..., None]
    lowest = [
        np.where(taken, np.sort(np.where(there, values, np.inf), axis=-1), 0.0).sum(axis=-1) / kept
        for values in (logs, np.clip(scaled, -FAR, FAR))
    ]
    plain = [read[name] for name in ("logit_confidence", "entropy", "correctness")]
    found: Array = np.nan_to_num(np.stack([*plain, *lowest], axis=-1), posinf=0.0)
    return found


def beside_base(read: Mapping[str, Array], texts: Texts) -> Float[Array, "n 15"]:
    """The numbers of `numbers_of`, then what the target says of each token beside its base.

    These are mean and five quantiles of the gain in log p, the share of tokens that gained, the change of entropy, and
    the scores of EZ-MIA and of WBC with their usual settings.

    Args:
        read: the signals of one target, and `token_hits`, `[n k]` of each token and `[n]` of a text.
        texts: these texts.
    """
    gains = read["token_log_probs"] - texts.base["token_log_probs"]
    there = np.arange(gains.shape[-1]) < texts.lengths[:, None] - 1
    spread = np.nanquantile(np.where(there, gains, np.nan), QUANTILES, axis=-1).T
    changed = texts.base["token_means"] - read["token_means"]  # means are minus the entropies
    errs = there & (read["token_hits"] == 0)
    more = [
        tokens.means(gains, there),
        tokens.means((gains > 0).astype(np.float64), there),
        tokens.means(changed, there),
        ez_mia.ratios(gains, errs, ez_mia.EZMIA.floor),
        wbc.shares(gains[None], there.sum(-1), wbc.WINDOWS)[0],
    ]
    return np.column_stack([numbers_of(read), spread, *more])


def beside_shadows(
    own: Float[Array, "m q n 5"], shadows: Float[Array, "s q n 5"]
) -> tuple[Float[Array, "m q n 5"], Float[Array, "s q n 5"]]:
    """Numbers of targets and shadows less the shadows' mean of the text, in units of their spread over all texts.

    So the numbers of all texts are of one size, and what is common to all models of a text is gone. No bit is read.

    Args:
        own: of targets.
        shadows: of shadows.
    """
    centre = shadows.mean((0, 1))
    scale = np.maximum(np.sqrt(np.square(shadows - centre).mean((0, 1, 2))), 1e-12)
    return (own - centre) / scale, (shadows - centre) / scale
