"""The gain of an attack over blind classifiers, which never query the model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import hypot, sqrt
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import ndtr, ndtri

from dosimeter.foundation.arrays import Array
from dosimeter.statistics.estimate import Estimate
from dosimeter.statistics.evidence import Scores, Truth
from dosimeter.statistics.hypotheses.stated import stated_p
from dosimeter.statistics.paired import auc_difference, point_at, rate_difference
from dosimeter.statistics.rates import auc

LEAST_P = 0.025
"""One-sided significance level, as of one end of a 95 % interval."""
CROSS_FIT_VARIANCE = 2.0
"""Factor of the variance of an AUC that accounts for cross-fitting, for classifiers that find nothing.

Each pair of records in different folds is used in both directions: one helps to judge the other. For a linear
classifier the statistic is then a sum of symmetric terms, each twice in it, and its variance is twice what it is with
the classifier held fixed. Simulations with both classifiers agree
(`tests/families/membership/gates/test_validity_blind.py`). Where there is much to find, it is less, and the intervals
are wider than they need to be.
"""
RATES = (
    "fpr",
    "attack_tpr",
    "attack_fpr",
    "tpr",
    "fpr_reached",
    "slope",
    "rate_gain",
    "rate_gain_low",
    "rate_gain_high",
)
"""Keys of `Rates.row`."""
_CLOSED = 10**12
"""Number of permutations beyond what is drawn: it selects the closed form, which resolves small p-values."""


@dataclass(frozen=True)
class Rates:
    """The blind classifiers beside the headline attack at one point of their ROC curves, on the same records.

    Attributes:
        fpr: rate that the attack's threshold aims at.
        attack: TPR and FPR of the attack.
        blind: TPR and FPR of the classifiers, at that rate or, if it is greater, the one that the attack reached.
        slope: how many points of TPR the classifiers would buy with one more point of FPR, at least 1.
        gain: how much more of the members the attack calls at equally many false calls, from `rate_difference`, with
            `CROSS_FIT_VARIANCE` times the variance of the classifiers.
        error: standard error of the classifiers' part of it, with `CROSS_FIT_VARIANCE` times the variance.
    """

    fpr: float
    attack: tuple[float, float]
    blind: tuple[float, float]
    slope: float
    gain: Estimate
    error: float

    @property
    def row(self) -> dict[str, Any]:
        """The content of `result.json`."""
        return {
            "fpr": self.fpr,
            "attack_tpr": self.attack[0],
            "attack_fpr": self.attack[1],
            "tpr": self.blind[0],
            "fpr_reached": self.blind[1],
            "slope": self.slope,
            "rate_gain": self.gain.value,
            "rate_gain_low": self.gain.low,
            "rate_gain_high": self.gain.high,
        }


@dataclass(frozen=True)
class Baseline:
    """The blind baseline beside the headline attack, on the same measured records.

    Attributes:
        auc: AUC of the blind classifiers.
        p: p-value of `stated_p` at their scores, one-sided, with `CROSS_FIT_VARIANCE` times the variance.
        attack_auc: AUC of the headline attack, on the same records.
        gain: `attack_auc` - `auc`, with its paired interval.
        n: records.
        rates: the same of rates at one threshold; None where no rate can be certified.
    """

    auc: Estimate
    p: float
    attack_auc: float
    gain: Estimate
    n: int
    rates: Rates | None = None

    @property
    def shifted(self) -> bool:
        """Returns whether members and non-members differ without the model: interval above 0.5 and small p-value."""
        return self.auc.low is not None and self.auc.low > 0.5 and self.p <= LEAST_P

    @property
    def exceeded(self) -> bool:
        """Returns whether the attack is shown to do better than the classifiers, by either statistic.

        Each may be wrong in 2.5 of 100 audits, so both together in 5 (Bonferroni), as in `shown.leak_shown`.
        """
        return bool(self.exceeded_by)

    @property
    def exceeded_by(self) -> tuple[str, ...]:
        """Statistics that show a gain: "auc", "rate"."""
        gains = {"auc": self.gain, "rate": None if self.rates is None else self.rates.gain}
        return tuple(name for name, one in gains.items() if one is not None and one.low is not None and one.low > 0)

    @property
    def speaks(self) -> tuple[Estimate, bool]:
        """The gain that is reported, and whether it is of rates: that of the AUC, unless only rates show one."""
        by_rate = self.exceeded_by == ("rate",) and self.rates is not None
        return (self.rates.gain, True) if by_rate and self.rates is not None else (self.gain, False)

    @property
    def reach(self) -> float:
        """Least gain of AUC that would be shown: estimate minus lower end."""
        assert self.gain.value is not None
        assert self.gain.low is not None
        return self.gain.value - self.gain.low

    @property
    def error(self) -> float:
        """Standard error of the classifiers' AUC."""
        assert self.auc.high is not None
        assert self.auc.low is not None
        return (self.auc.high - self.auc.low) / 2 / float(ndtri(0.975))

    @property
    def row(self) -> dict[str, Any]:
        """The content of `result.json`."""
        return {
            "auc": self.auc.value,
            "low": self.auc.low,
            "high": self.auc.high,
            "level": self.auc.level,
            "p": self.p,
            "attack_auc": self.attack_auc,
            "gain": self.gain.value,
            "gain_low": self.gain.low,
            "gain_high": self.gain.high,
            **(dict.fromkeys(RATES) if self.rates is None else self.rates.row),
            "n": self.n,
            "shifted": self.shifted,
            "exceeded_by": list(self.exceeded_by),
        }


def measure_baseline(
    blind: Float[Array, " n"], attack: Float[Array, "t n"], truth: Truth, *, rng: np.random.Generator,
    calls: Bool[Array, "t n"] | Float[Array, "t n"] | None = None, fpr: float | None = None,
) -> Baseline | None:  # fmt: skip
    """Compares the blind scores with those of the headline attack.

    Args:
        blind: NaN where a record was not judged blindly.
        attack: scores of the headline attack.
        truth: truth about the same records.
        rng: generator for permutations.
        calls: whom the headline attack calls at the leading rate; None where no rate can be certified.
        fpr: the leading rate, or None.

    Returns:
        None if no member or no non-member was judged blindly.
    """
    kept = np.isfinite(blind)
    part = Truth(truth.ids[kept], truth.is_member[:, kept], truth.record[kept])
    if part.is_member.all() or not part.is_member.any():
        return None
    values, own = np.tile(blind[kept], (len(attack), 1)), attack[:, kept]
    scores = Scores(part.ids, values)
    # Only the p-value of the AUC is needed, so the threshold calls nobody.
    never = np.full(len(own), np.inf)
    p = stated_p(scores, part, thresholds=never, rng=rng, draws=_CLOSED).p_auc
    # Cross-fitted scores vary more than fixed ones, so the z-value is divided by the ratio of standard errors.
    p = float(ndtr(ndtri(p) / sqrt(CROSS_FIT_VARIANCE)))
    # The level at which the interval is wider by this ratio.
    level = 2 * float(ndtr(sqrt(CROSS_FIT_VARIANCE) * ndtri(0.975))) - 1
    once, found = auc(scores, part, rng=rng), auc(scores, part, rng=rng, level=level)
    found = replace(found, level=0.95, method=f"{found.method}, variance counted twice for cross-fitting")
    assert once.value is not None
    assert once.low is not None
    assert once.high is not None
    gain = auc_difference(own, values, part.is_member, record=part.record)
    # The paired interval counts the variance of the blind AUC once; it is added once more for cross-fitting.
    low = gain.value - hypot(gain.value - gain.low, once.high - once.value)
    high = gain.value + hypot(gain.high - gain.value, once.value - once.low)
    estimate = replace(found, value=gain.value, low=max(-1.0, low), high=min(1.0, high), method=gain.method)
    rates = None if calls is None or fpr is None else _rates(values, calls[:, kept], part, estimate, fpr)
    return Baseline(found, p, once.value + gain.value, estimate, int(kept.sum()), rates)


def _rates(
    blind: Float[Array, "t n"],
    calls: Bool[Array, "t n"] | Float[Array, "t n"],
    truth: Truth,
    like: Estimate,
    fpr: float,
) -> Rates:
    """Compares the attack's calls with as many false calls of the classifiers; `like` gives counts and level."""
    member = truth.is_member
    attack = float(calls[member].mean()), float(calls[~member].mean())
    point = point_at(blind, member, max(fpr, attack[1]))
    found = rate_difference(calls, point.calls, member, record=truth.record, slope=point.slope)
    value, low, high, method = found.gain
    more = (CROSS_FIT_VARIANCE - 1) * found.own**2
    low, high = value - sqrt((value - low) ** 2 + more), value + sqrt((high - value) ** 2 + more)
    gain = replace(like, value=value, low=low, high=high, method=f"{method}, variance counted twice for cross-fitting")
    reached = float(point.calls[member].mean()), float(point.calls[~member].mean())
    return Rates(fpr, attack, reached, point.slope, gain, sqrt(CROSS_FIT_VARIANCE) * found.own / float(ndtri(0.975)))
