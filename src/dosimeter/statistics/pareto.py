"""What is worse than something else in nothing and better in something: the Pareto set."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from dosimeter.foundation.arrays import Array


def pareto(costs: Float[Array, "n k"]) -> Bool[Array, " n"]:
    """Whether no other row is as good in every column and better in one; equal rows stand or fall together.

    Args:
        costs: of each choice, the less the better; infinite ones are allowed.

    Raises:
        ValueError: NaN, or no column.

    >>> pareto(np.array([[1.0, 3.0], [2.0, 2.0], [2.0, 3.0], [1.0, 3.0]])).tolist()
    [True, True, False, True]
    """
    if not costs.shape[1] or np.isnan(costs).any():
        raise ValueError(f"costs must be numbers [n k] with a column, got {costs.shape}")
    no_worse = (costs[:, None] <= costs[None]).all(-1)
    better = (costs[:, None] < costs[None]).any(-1)
    return np.asarray(~(no_worse & better).any(0))
