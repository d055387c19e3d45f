"""Differences of two AUCs or accuracies on the same records, with intervals that know that they are the same."""

from __future__ import annotations

from jaxtyping import Bool, Float, Int

from dosimeter._check import same_length
from dosimeter.games import Array
from dosimeter.metrics._margins import margins_of, placed, ratio_of
from dosimeter.metrics.intervals import Interval, _half_width, clopper_pearson


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
    two-way variance of `intervals`. What both scores say alike of a record cancels, so the interval is narrower than
    those of the two AUCs suggest. As of a single AUC, it is never narrower than what a wholly different score of the
    share `u` of records would make that may have stayed unseen: `[(1 - u) d - u, (1 - u) d + u]`.

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
    found = [placed(values, is_member, record) for values in (first, second)]
    terms = [(sign, ratio) for sign, one in zip((1.0, -1.0), found, strict=True) for _, ratio in one.terms]
    value = found[0].value - found[1].value
    half, method = _half_width(margins_of(terms), level, None)
    distinct = min(min(one.worth) for one in found)
    unseen = clopper_pearson(0, distinct, level=level)[1]
    centre = (1 - unseen) * value
    low, high = min(value - half, centre - unseen), max(value + half, centre + unseen)
    return Interval(value, max(-1.0, low), min(1.0, high), f"paired delong placements, {method}")


def accuracy_difference(
    first: Bool[Array, "t n"],
    second: Bool[Array, "t n"],
    counted: Bool[Array, "t n"],
    *,
    record: Int[Array, " n"],
    level: float = 0.95,
) -> Interval:
    """Interval of accuracy(first) - accuracy(second), paired by target and record; as `auc_difference` in the rest.

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
    half, method = _half_width(margins, level, None)
    unseen = clopper_pearson(0, margins.distinct, level=level)[1]
    centre = (1 - unseen) * value
    low, high = min(value - half, centre - unseen), max(value + half, centre + unseen)
    return Interval(value, max(-1.0, low), min(1.0, high), f"paired accuracies, {method}")
