"""The area under an ROC curve as a number; `rates.auc` gives it with its interval."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Shaped

from dosimeter.foundation.arrays import Array


def area(values: Shaped[Array, " *shape"], is_member: Bool[Array, " *shape"]) -> float:
    """P(member's value > non-member's) + P(equal) / 2, all values pooled.

    Two sorts of values cost a third of one of ranks.

    Args:
        values: scores of any shape, infinite ones allowed, NaN not.
        is_member: the truth, with members and non-members.

    >>> area(np.array([0.1, 0.5, 0.5]), np.array([False, False, True]))
    0.75
    """
    inside, outside = np.sort(values[is_member]), np.sort(values[~is_member])
    twice = outside.searchsorted(inside, "left").sum() + outside.searchsorted(inside, "right").sum()
    return float(twice / (2 * len(inside) * len(outside)))
