"""Whether two lists of vectors belong together row by row: a permutation test of their distance covariance."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from dosimeter.foundation.arrays import Array

DRAWS = 999
"""Random orders that the seen one is compared with; the smallest p-value is one over one more."""
MOST = 200
"""Most rows that are compared; of more a sample is drawn."""


def dependence_p(
    first: Float[Array, "n p"], second: Float[Array, "n q"], rng: np.random.Generator, *, draws: int = DRAWS
) -> float:
    """p-value of so much dependence between the rows of two arrays if one was written in a random order.

    The distance covariance is 0 for independent vectors alone, so no form of the dependence is taken for granted
    (Székely, Rizzo, Bakirov, "Measuring and Testing Dependence by Correlation of Distances", Annals of Statistics
    2007, https://arxiv.org/abs/0803.4101). Columns are divided by their standard deviation.

    Args:
        first: vectors.
        second: vectors of the same records.
        rng: generator of the sample and the orders.
        draws: number of orders.

    Raises:
        ValueError: lengths that differ, fewer than two rows, or a number that is not finite.

    >>> x = np.arange(30.0)[:, None]
    >>> dependence_p(x, x**2, np.random.default_rng(0)) <= 0.001
    True
    """
    n = len(first)
    if n != len(second) or n < 2 or not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ValueError(f"first and second must be finite, of one length of 2 or more, got {n} and {len(second)}")
    some = rng.permutation(n)[:MOST]
    a, b = _centred(first[some]), _centred(second[some])
    own, reached = float((a * b).sum()), 0
    slack = 1e-9 * float(np.abs(a * b).sum())
    for _ in range(draws):
        order = rng.permutation(len(some))
        reached += float((a * b[np.ix_(order, order)]).sum()) >= own - slack
    return (1 + reached) / (draws + 1)


def _centred(values: Array) -> Float[Array, "n n"]:
    """Distances of all pairs of rows, with row means and column means taken away."""
    from scipy.spatial.distance import pdist, squareform  # noqa: PLC0415

    scaled = values.reshape(len(values), -1).astype(np.float64)
    scaled = scaled - scaled.mean(0)
    size = np.abs(scaled).max(0)
    scaled = scaled[:, size > 0] / size[size > 0]  # so that squares of huge numbers stay finite
    if not scaled.size:
        return np.zeros((len(values), len(values)))
    apart = squareform(pdist(scaled / scaled.std(0)))
    return np.asarray(apart - apart.mean(0) - apart.mean(1)[:, None] + apart.mean())
