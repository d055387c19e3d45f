"""The area under an ROC curve as a number; `rates.auc` gives it with its interval."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Shaped

from dosimeter.foundation.arrays import Array


def area(values: Shaped[Array, " *shape"], is_member: Bool[Array, " *shape"]) -> float:
    """P(member's value > non-member's) + P(equal) / 2, all values pooled.

    It counts in whole numbers, so that it does not depend on the order of the values. Values that are nearly in order
    take a third of the time.

    Args:
        values: scores of any shape, infinite ones allowed, NaN not.
        is_member: the truth, with members and non-members.

    >>> area(np.array([0.1, 0.5, 0.5]), np.array([False, False, True]))
    0.75
    """
    order = np.argsort(values, axis=None)
    ordered, inside = values.ravel()[order], is_member.ravel()[order]
    members = int(np.count_nonzero(inside))
    differs = ordered[1:] != ordered[:-1]
    if differs.all():  # a member at place p has p - r non-members below it, r the number of members below it
        twice = 2 * (int(np.flatnonzero(inside).sum()) - members * (members - 1) // 2)
    else:
        first = np.append(0, np.flatnonzero(differs) + 1)  # of each run of equal values
        yes = np.add.reduceat(inside, first, dtype=np.int64)
        no = np.diff(np.append(first, len(inside))) - yes
        twice = int((yes * (2 * np.cumsum(no) - no)).sum())
    return float(twice / (2 * members * (len(inside) - members)))
