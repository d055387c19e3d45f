"""The two-way bootstrap of targets and records."""

from __future__ import annotations

import numpy as np

from dosimeter.statistics.intervals.margins import Terms

_CHUNK = 4_000_000
"""Most record weights that are held in memory at once."""


def bootstrap_variance(terms: Terms, draws: int, rng: np.random.Generator) -> float:
    """Variance of a signed sum of ratios under products of target and record weights, never of size `draws x t x k`.

    Targets get multinomial weights; records get 0 or 2 by a fair coin (Owen and Eckles, Annals of Applied Statistics
    2012: mean and variance 1 as Poisson weights, thirty times faster, and a steadier variance).
    """
    rows, k = terms[0][1].num.shape
    by_target = rng.multinomial(rows, np.full(rows, 1 / rows), size=draws)
    # Centred numerators lose nothing in single precision, which halves the time of the one large product.
    stacked = [cells for _, ratio in terms for cells in (ratio.num - ratio.value * ratio.den, ratio.den)]
    cells = np.ascontiguousarray(np.concatenate(stacked).T, dtype=np.float32)
    step = max(1, _CHUNK // k)
    replicates = np.zeros(draws)
    for first in range(0, draws, step):
        w = by_target[first : first + step]
        coins = np.frombuffer(rng.bytes(len(w) * (-(-k // 8))), np.uint8).reshape(len(w), -1)
        sums = np.unpackbits(coins, axis=1, count=k).astype(np.float32) @ cells
        centred = np.einsum("bt,bst->sb", w, sums.reshape(len(w), -1, rows).astype(np.float64))
        with np.errstate(invalid="ignore", divide="ignore"):
            for (sign, _), num, den in zip(terms, centred[0::2], centred[1::2], strict=True):
                replicates[first : first + step] += sign * num / den
    # A draw that leaves no decision has no ratio; it happens with a handful of records only.
    return float(np.nanvar(np.where(np.isfinite(replicates), replicates, np.nan)))
