"""The test of drawn membership where the measured records themselves set thresholds and choose the attack.

`randomisation_p` throws the membership coins anew and keeps all calls. That is exact if the thresholds do not depend on
these coins. Where halves of the records set thresholds for each other, the calls depend on all coins: each thrown
membership would have had other thresholds, and perhaps another headline. So each draw repeats both. The halves do not
look at the bits (`halvings` with `drawn`), so the audit of each draw is the one that would have been made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import sqrt

import numpy as np
from jaxtyping import Bool, Float

from dosimeter.families.membership.measures.cross_fitting import CrossFit, shares
from dosimeter.foundation.arrays import Array
from dosimeter.statistics.intervals.cells import by_halves, centred_ranks, clusters, exchange
from dosimeter.statistics.rates import Randomisation

DRAWS, DRAWS_OF_CHOICE = 1000, 200
"""Number of exchanges of one attack, and of a choice among several, which takes longer."""
MOST_CELLS = 60_000
"""Most scores for which thresholds are repeated; beyond, those of one draw and another hardly differ."""


def affordable(given: CrossFit) -> bool:
    """Returns whether an audit of this size can be repeated so many times."""
    return given.is_member.size <= MOST_CELLS


def exchanged_p(
    given: CrossFit, attacks: Sequence[str], fpr: float, *, rng: np.random.Generator, draws: int | None = None
) -> Randomisation:
    """One-sided p-values of the AUC and of TPR - FPR of one attack, or of the choice among several.

    Each draw exchanges the bits of every record cluster with their complement by a fair coin, under all targets at
    once, as `randomisation_p` does, and sums the same cells. Then it sets thresholds and, of several attacks, chooses
    the headline as the audit does.

    Args:
        given: the audit; its halves were drawn without a look at the bits.
        attacks: the attack, or those among which halves choose.
        fpr: of the threshold.
        rng: generator for the coins.
        draws: number of exchanges; None for the usual number.

    Returns:
        `(1 + #{exchanged >= seen}) / (1 + draws)` for both, exact for any number of draws.
    """
    index, k = clusters(given.record)
    place, wide = np.arange(k) if index is None else index, np.array([sqrt(by_halves(k)), 1.0])
    count = draws or (DRAWS if len(attacks) == 1 else DRAWS_OF_CHOICE)
    ranked = {name: centred_ranks(values) for name, values in given.scores.items() if name in attacks}
    (seen, scale), reached = _statistics(given, attacks, fpr, ranked), np.zeros(2, np.int64)
    for _ in range(count):
        coins = rng.integers(0, 2, k).astype(bool)
        found, _ = _statistics(replace(given, is_member=given.is_member ^ coins[place]), attacks, fpr, ranked)
        reached += found * wide >= seen - 1e-12 * scale  # what rounding may take off
    p_auc, p_tpr = (1 + reached) / (1 + count)
    return Randomisation(float(p_auc), float(p_tpr), count)


def _statistics(
    given: CrossFit, attacks: Sequence[str], fpr: float, ranked: dict[str, Float[Array, "t n"]]
) -> tuple[Float[Array, " 2"], Float[Array, " 2"]]:
    """Sums over the members' cells, of ranks and of hits, each from the middle of both tables; and their scale."""
    values, places = _headline(given, attacks, fpr, ranked)
    hits: Bool[Array, "t n"] = given.calls_of(values, fpr, given.is_member)
    turns = [exchange(cells, given.is_member, given.record) for cells in (places, hits.astype(np.float64))]
    return np.array([-one.sum() / 2 for one in turns]), np.array([np.abs(one).sum() for one in turns])


def _headline(
    given: CrossFit, attacks: Sequence[str], fpr: float, ranked: dict[str, Float[Array, "t n"]]
) -> tuple[Float[Array, "t n"], Float[Array, "t n"]]:
    """Scores of the one attack that all halves choose, or of the choice; and their ranks."""
    choices = given.choices(attacks, fpr)
    counted = shares(choices)
    if len(counted) == 1:
        name = next(iter(counted))
        return given.scores[name], ranked[name]
    values = given.choice_scores(choices)
    return values, centred_ranks(values)
