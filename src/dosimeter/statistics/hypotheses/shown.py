"""Decides whether a leak is shown, and of what: of the measured models, or of the recipe that made them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from jaxtyping import Float

from dosimeter.foundation.arrays import Array
from dosimeter.statistics.certify import worth
from dosimeter.statistics.estimate import Estimate
from dosimeter.statistics.evidence import Scores, Truth
from dosimeter.statistics.intervals.cells import exceeds
from dosimeter.statistics.intervals.crossed import (
    auc_from_placements,
    difference_from_margins,
    rate_from_margins,
    rate_margins,
)
from dosimeter.statistics.intervals.margins import place_pairs
from dosimeter.statistics.rates import Randomisation, RatePair, check_evidence

MOST_P = 0.025
"""Largest p-value that shows a leak: 0.05, divided by two statistics, AUC and TPR - FPR (Bonferroni)."""
Scope = Literal["models", "recipe"]


@dataclass(frozen=True)
class Shown:
    """Statistics that show a leak, and the scope of the leak.

    Attributes:
        by_auc: whether the AUC shows one.
        by_tpr: whether TPR - FPR at the leading rate does.
        scope: "recipe" if training again is shown to leak too, else "models"; None if nothing is shown.
    """

    by_auc: bool
    by_tpr: bool
    scope: Scope | None

    @property
    def leak(self) -> bool:
        """Returns whether at least one statistic shows a leak."""
        return self.by_auc or self.by_tpr


def leak_shown(auc: Estimate, pair: RatePair, p: Randomisation, *, drawn: bool = False) -> Shown:
    """Returns whether a leak is shown: by the p-value for drawn membership, with the interval too for stated.

    A p-value of at most `MOST_P` shows that *these models* leak: only the coins that drew the membership are random,
    the targets are fixed. With several targets, an interval of the AUC above 0.5, or of TPR - FPR above 0, shows that
    *the recipe* leaks, since trainings are random there too. With two targets it is so wide that it must not decide
    about the models. A stated membership has no coins, so both are required. A number that is not resolvable shows
    nothing.

    Args:
        auc: from `auc`.
        pair: from `tpr_at_threshold` at the leading FPR.
        p: p-value of the same scores at the same thresholds.
        drawn: whether membership was drawn, and `p` is from `randomisation_p`.
    """
    tests = (p.p_auc, auc, 0.5), (p.p_tpr, pair.difference, 0.0)
    unlikely = [value <= MOST_P and found.low is not None for value, found, _ in tests]
    beyond = [
        by and found.low is not None and found.low > chance
        for by, (_, found, chance) in zip(unlikely, tests, strict=True)
    ]
    by_auc, by_tpr = unlikely if drawn else beyond
    of_recipe = drawn and pair.difference.n_targets > 1 and any(beyond)
    return Shown(by_auc, by_tpr, ("recipe" if of_recipe else "models") if by_auc or by_tpr else None)


def of_these_models(
    auc: Estimate, pair: RatePair, scores: Scores, truth: Truth, *, thresholds: Float[Array, " t"] | Float[Array, "t n"]
) -> tuple[Estimate, RatePair]:
    """The same values with intervals of these models: targets are fixed, and records alone are random.

    Args:
        auc: from `auc`.
        pair: from `tpr_at_threshold`, resolvable.
        scores: evidence of both.
        truth: truth about the same records.
        thresholds: those of `pair`.
    """
    check_evidence(scores, truth)
    sides, worths = (truth.is_member, ~truth.is_member), worth(scores, truth)
    found = place_pairs(scores.values, truth.is_member, truth.record)
    area = auc_from_placements(replace(found, margins=replace(found.margins, given=True)), level=auc.level)
    hits, level = exceeds(scores.values, thresholds), pair.tpr.level
    margins = [replace(one, given=True) for one in rate_margins(hits, truth.is_member, truth.record)]
    tpr, fpr = (
        rate_from_margins(int(hits[side].sum()), int(side.sum()), own, level=level, distinct=distinct)
        for side, own, distinct in zip(sides, margins[:2], worths, strict=True)
    )
    ends = area, tpr, fpr, difference_from_margins(tpr, fpr, margins, level=level)
    area_given, *rates = (
        replace(one, low=own.low, high=own.high, method=own.method)
        for one, own in zip((auc, pair.tpr, pair.fpr, pair.difference), ends, strict=True)
    )
    return area_given, RatePair(*rates)
