"""How well guesses tell the values of an attribute: AUC, balanced accuracy, and the share of what could be told.

An attribute has two values or more. The AUC of several values is the mean of those of each value against the others.
Axes: `t` targets, `n` records, `v` values.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import numpy as np
from jaxtyping import Float, Int
from scipy.special import expit, logit

from dosimeter.foundation.arrays import Array
from dosimeter.statistics.intervals.crossed import Interval, clopper_pearson, half_width
from dosimeter.statistics.intervals.margins import Ratio, margins_of, place_pairs, ratio_of

Terms = list[tuple[float, Ratio]]


def judged_values(values: int) -> range:
    """Values whose AUC counts: all, but of two the second alone, since the other's is the same."""
    return range(1, 2) if values == 2 else range(values)


def auc_of(
    guesses: Float[Array, "t n v"], truth: Int[Array, "*u n"], record: Int[Array, " n"], *, level: float = 0.95
) -> Interval:
    """AUC with its interval on the logit scale, never narrower than unseen records allow.

    Args:
        guesses: log-scores of each value.
        truth: the true value of each record, a position among the guesses; `[t n]` if it differs between targets.
        record: cluster of each record.
        level: two-sided confidence level.

    Raises:
        ValueError: NaN, or a value that no record has.

    >>> guesses = np.array([[[0.9, 0.1], [0.2, 0.8]]])
    >>> auc_of(guesses, np.array([0, 1]), np.arange(2)).value
    1.0
    """
    value, terms, distinct = _placed(guesses, truth, record)
    half, method = half_width(margins_of(terms), level, None)
    unseen = clopper_pearson(0, distinct, level=level)[1]
    low, high = value * (1 - unseen), value + (1 - value) * unseen
    if half == inf:
        low, high = 0.0, 1.0
    elif half > 0 and 0 < value < 1:
        reach = half / (value * (1 - value))
        low = min(low, float(expit(logit(value) - reach)))
        high = max(high, float(expit(logit(value) + reach)))
    return Interval(value, low, high, f"logit delong placements, {method}")


def auc_gain(
    first: Float[Array, "t n v"],
    second: Float[Array, "t n v"],
    truth: Int[Array, "*u n"],
    record: Int[Array, " n"],
    *,
    level: float = 0.95,
) -> Interval:
    """AUC of the first guesses minus that of the second, paired by record; arguments as in `auc_of`."""
    (a, own, one), (b, other, two) = (_placed(guesses, truth, record) for guesses in (first, second))
    half, method = half_width(margins_of([*own, *((-weight, ratio) for weight, ratio in other)]), level, None)
    unseen = clopper_pearson(0, min(one, two), level=level)[1]
    value, centre = a - b, (1 - unseen) * (a - b)
    low, high = min(value - half, centre - unseen), max(value + half, centre + unseen)
    return Interval(value, max(-1.0, low), min(1.0, high), f"paired delong placements, {method}")


def balanced_accuracy(
    guesses: Float[Array, "t n v"],
    truth: Int[Array, "*u n"],
    record: Int[Array, " n"],
    prior: Float[Array, " v"],
    *,
    level: float = 0.95,
) -> Interval:
    """Mean over values of the share of their records that get this value; the value of most gain over the prior counts.

    Args:
        guesses: log-probabilities of each value.
        truth: as in `auc_of`.
        record: as in `auc_of`.
        prior: share of each value before anything was seen.
        level: two-sided confidence level.
    """
    named = (guesses - np.log(prior)).argmax(-1)
    terms = []
    for value in range(guesses.shape[-1]):
        has = np.broadcast_to(truth == value, named.shape)
        if not has.any():
            raise ValueError(f"truth must hold each value, got none of value {value}")
        terms.append((1 / guesses.shape[-1], ratio_of((named == value) & has, has, record)))
    share = sum(weight * ratio.value for weight, ratio in terms)
    margins = margins_of(terms)
    half, method = half_width(margins, level, None)
    unseen = clopper_pearson(0, margins.distinct, level=level)[1]
    low, high = min(share - half, (1 - unseen) * share), max(share + half, (1 - unseen) * share + unseen)
    return Interval(share, max(0.0, low), min(1.0, high), f"balanced accuracy, {method}")


def leakage_index(
    evidence: Sequence[Float[Array, "t n v"]], truth: Int[Array, " n"], record: Int[Array, " n"], *, level: float = 0.95
) -> Interval | None:
    """Share of what could be told beyond the floor that an attack tells: `(AUC - floor) / (ceiling - floor)`.

    The interval is that of the ratio to first order, from the placements of all three on the same records. Values
    below 0 and above 1 are cut off.

    Args:
        evidence: guesses of the attack, of the floor and of the ceiling.
        truth: as in `auc_of`.
        record: as in `auc_of`.
        level: two-sided confidence level.

    Returns:
        None where the ceiling is not shown to be above the floor, so that there is nothing to divide by.
    """
    attack, floor, ceiling = (_placed(guesses, truth, record) for guesses in evidence)
    room = auc_gain(evidence[2], evidence[1], truth, record, level=level)
    if room.low <= 0:
        return None
    index = (attack[0] - floor[0]) / room.value
    weights = (1.0, index - 1, -index)
    parts = (attack, floor, ceiling)
    terms = [
        (by * weight / room.value, ratio)
        for by, (_, own, _) in zip(weights, parts, strict=True)
        for weight, ratio in own
    ]
    half, method = half_width(margins_of(terms), level, None)
    value, low, high = (float(np.clip(end, 0, 1)) for end in (index, index - half, index + half))
    return Interval(value, low, high, f"ratio of paired delong placements, {method}")


def _placed(guesses: Array, truth: Array, record: Array) -> tuple[float, Terms, float]:
    """The AUC, its placements as terms with weights, and the distinct records that its rarest value is worth."""
    values = judged_values(guesses.shape[-1])
    if set(np.unique(truth).tolist()) != set(range(guesses.shape[-1])):
        raise ValueError(f"truth must hold each of {guesses.shape[-1]} values, got {np.unique(truth).tolist()}")
    found = [
        place_pairs(guesses[..., value], np.broadcast_to(truth == value, guesses.shape[:2]), record) for value in values
    ]
    terms = [(weight / len(values), ratio) for one in found for weight, ratio in one.terms]
    return sum(one.value for one in found) / len(values), terms, min(min(one.worth) for one in found)
