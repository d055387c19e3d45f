"""Differences of AUCs, rates or accuracies on the same records, with paired intervals."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, inf

import numpy as np
from jaxtyping import Bool, Float, Int

from dosimeter.foundation.arrays import Array
from dosimeter.foundation.checks import same_length
from dosimeter.statistics.intervals.crossed import Interval, clopper_pearson, half_width
from dosimeter.statistics.intervals.margins import Ratio, margins_of, place_pairs, ratio_of


def auc_difference(
    first: Float[Array, "t n"],
    second: Float[Array, "t n"],
    is_member: Bool[Array, "t n"],
    *,
    record: Int[Array, " n"],
    level: float = 0.95,
) -> Interval:
    """Interval of AUC(first) - AUC(second), by the difference of their placement values within record clusters.

    The paired comparison of DeLong et al. (Biometrics 1988), with clusters of records and, from two targets on, the
    two-way variance of `intervals`. What both scores have in common on a record cancels, so the interval is narrower
    than those of the two AUCs suggest. As for a single AUC, unseen records (a share `u`) may have wholly different
    scores; the interval is never narrower than `[(1 - u) d - u, (1 - u) d + u]`.

    Args:
        first: scores, infinite ones allowed, NaN not.
        second: other scores of the same decisions.
        is_member: the truth.
        record: cluster of each record.
        level: two-sided confidence level.

    Raises:
        ValueError: shapes do not fit, NaN, or one class is empty.

    >>> import numpy as np
    >>> scores, bits = np.array([[3.0, 2.0, 1.0, 0.0]]), np.array([[True, True, False, False]])
    >>> auc_difference(scores, -scores, bits, record=np.arange(4)).value
    1.0
    """
    if first.shape != second.shape or first.ndim != 2:
        raise ValueError(f"scores must have one shape [t n], got {first.shape} and {second.shape}")
    same_length(records=first[0], record=record)
    found = [place_pairs(values, is_member, record) for values in (first, second)]
    terms = [(sign, ratio) for sign, one in zip((1.0, -1.0), found, strict=True) for _, ratio in one.terms]
    value = found[0].value - found[1].value
    half, method = half_width(margins_of(terms), level, None)
    distinct = min(min(one.worth) for one in found)
    unseen = clopper_pearson(0, distinct, level=level)[1]
    centre = (1 - unseen) * value
    low, high = min(value - half, centre - unseen), max(value + half, centre + unseen)
    return Interval(value, max(-1.0, low), min(1.0, high), f"paired delong placements, {method}")


FEWEST = 10
"""Fewest non-members from which the slope of an ROC curve is computed."""


@dataclass(frozen=True)
class Point:
    """A point of an ROC curve.

    Attributes:
        calls: calls at this point `[t n]`.
        slope: gain of TPR per gain of FPR at this point; at least 1, the slope of guessing.
    """

    calls: Bool[Array, "t n"]
    slope: float


def point_at(scores: Float[Array, "t n"], is_member: Bool[Array, "t n"], fpr: float) -> Point:
    """The point at the lowest threshold that at most a share `fpr` of the non-members exceed.

    The slope is that of the chord from the origin to twice the rate (or to `FEWEST` non-members, if that is further). A
    concave curve is not steeper at the point than this chord, or hardly: too steep a slope counts false calls too much.

    Args:
        scores: no NaN.
        is_member: the truth, with both classes.
        fpr: in [0, 1].

    >>> scores, bits = np.array([[5.0, 4.0, 3.0, 2.0, 1.0, 0.0]]), np.array([[True, True, False, True, False, False]])
    >>> point_at(scores, bits, 0.4).calls.sum(), point_at(scores, bits, 0.4).slope
    (np.int64(4), 1.0)
    """
    others = np.sort(scores[~is_member])

    def calls_at(count: int) -> Bool[Array, "t n"]:
        return scores > (others[len(others) - count - 1] if count < len(others) else -inf)

    n = len(others)
    count = floor(fpr * n + 1e-9)
    chord = calls_at(min(n, ceil(max(2 * fpr * n, FEWEST) - 1e-9)))
    bought = float(chord[~is_member].mean())
    slope = float(chord[is_member].mean()) / bought if bought else inf
    return Point(calls_at(count), max(1.0, slope) if slope < inf else 1.0)


@dataclass(frozen=True)
class RateDifference:
    """Difference of the shares of members that two attacks call, at equally many false calls.

    Attributes:
        gain: `TPR - s FPR` of the first minus that of the second, with slope `s`; paired.
        own: half width of `TPR - s FPR` of the second alone.
    """

    gain: Interval
    own: float


def rate_difference(
    first: Bool[Array, "t n"] | Float[Array, "t n"],
    second: Bool[Array, "t n"] | Float[Array, "t n"],
    is_member: Bool[Array, "t n"],
    *,
    record: Int[Array, " n"],
    slope: float,
    level: float = 0.95,
) -> RateDifference:
    """Interval of `TPR - s FPR` of the first calls minus that of the second, paired by target and record.

    Two points of ROC curves have different false positive rates. They are compared along a line whose slope `s` is that
    of the second curve at its point. With s = 1 this is the difference of two TPR - FPR. If the first attack knows
    nothing that the second does not, the expected value is at most zero at every threshold of the first, since no point
    lies above the tangent of a concave curve. A small error of the second threshold changes this in second order only.
    TPR - FPR itself would grow with the rate reached, wherever the curve is steep.

    Args:
        first: calls of one attack, 0 or 1, or shares of calls.
        second: calls of the other, as from `point_at`.
        is_member: the truth, with both classes.
        record: cluster of each record.
        slope: `s`, at least 1.
        level: two-sided confidence level.

    Raises:
        ValueError: shapes do not fit.

    >>> calls, bits = np.array([[True, True, False, False]]), np.array([[True, True, False, False]])
    >>> rate_difference(calls, ~calls, bits, record=np.arange(4), slope=1.0).gain.value
    2.0
    """
    if not first.shape == second.shape == is_member.shape:
        raise ValueError(f"calls must have one shape [t n], got {first.shape} and {second.shape}")
    same_length(records=first[0], record=record)

    def terms(calls: Array, sign: float) -> list[tuple[float, Ratio]]:
        sides = (sign, is_member), (-sign * slope, ~is_member)
        return [(weight, ratio_of(calls * side, side, record)) for weight, side in sides]

    both, own = [*terms(first, 1.0), *terms(second, -1.0)], terms(second, 1.0)
    value = sum(weight * ratio.value for weight, ratio in both)
    margins = margins_of(both)
    half, method = half_width(margins, level, None)
    unseen = clopper_pearson(0, margins.distinct, level=level)[1]
    low, high = min(value - half, (1 - unseen) * value - unseen), max(value + half, (1 - unseen) * value + unseen)
    return RateDifference(
        Interval(value, low, high, f"paired rates, {method}"), half_width(margins_of(own), level, None)[0]
    )


def accuracy_difference(
    first: Bool[Array, "t n"],
    second: Bool[Array, "t n"],
    counted: Bool[Array, "t n"],
    *,
    record: Int[Array, " n"],
    level: float = 0.95,
) -> Interval:
    """Interval of accuracy(first) - accuracy(second), paired by target and record, as `auc_difference`.

    Args:
        first: whether a target's prediction for a record is correct.
        second: the same of other models; target i of both trained on the same records.
        counted: which predictions belong to the split.
        record: cluster of each record.
        level: two-sided confidence level.

    Raises:
        ValueError: shapes do not fit, or nothing is counted.

    >>> import numpy as np
    >>> right, counted = np.array([[True, True, False, True]]), np.ones((1, 4), bool)
    >>> accuracy_difference(right, ~right, counted, record=np.arange(4)).value
    0.5
    """
    if not first.shape == second.shape == counted.shape or not counted.any():
        raise ValueError(f"predictions must have one shape [t n] and some count, got {first.shape} and {second.shape}")
    same_length(records=first[0], record=record)
    ratios = [ratio_of(one & counted, counted, record) for one in (first, second)]
    value = ratios[0].value - ratios[1].value
    margins = margins_of([(1.0, ratios[0]), (-1.0, ratios[1])])
    half, method = half_width(margins, level, None)
    unseen = clopper_pearson(0, margins.distinct, level=level)[1]
    centre = (1 - unseen) * value
    low, high = min(value - half, centre - unseen), max(value + half, centre + unseen)
    return Interval(value, max(-1.0, low), min(1.0, high), f"paired accuracies, {method}")
