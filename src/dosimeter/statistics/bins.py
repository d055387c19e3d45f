"""Histogram bins with distinct edges for every finite range: also for two neighbouring floats or the largest ones."""

from __future__ import annotations

from math import isinf, ulp

import numpy as np
from jaxtyping import Bool, Float, Int

from dosimeter.foundation.arrays import Array


def count_bins(
    values: Float[Array, " ..."], is_member: Bool[Array, " ..."], bins: int
) -> tuple[Float[Array, " e"], Int[Array, " b"], Int[Array, " b"]]:
    """Edges of equal bins over the finite range, and the counts of members and non-members in each bin.

    Values that are not finite count in the outermost bins. There are fewer bins if the range holds fewer floats.

    >>> count_bins(np.array([1 - 2**-53, 1.0]), np.array([False, True]), 40)[1:]
    (array([0, 1]), array([1, 0]))
    """
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if low == high and low - 0.5 < low < low + 0.5:  # of one value, as NumPy does
        low, high = low - 0.5, high + 0.5
    with np.errstate(over="ignore", invalid="ignore"):
        edges = np.linspace(low, high, bins + 1)
    even = bool(np.isfinite(edges).all() and (edges[1:] > edges[:-1]).all())
    if not even:
        edges = _far(low, high, bins) if np.isinf(high - low) else _near(low, high)
    inside = np.clip(values, edges[0], edges[-1])
    # With the ends alone NumPy computes each value's bin, which is faster than to look for it among the edges.
    how = (bins, (low, high)) if even else (edges, None)
    members, nonmembers = (np.histogram(inside[which], *how)[0].astype(np.int64) for which in (is_member, ~is_member))
    return edges, members, nonmembers


def _far(low: float, high: float, bins: int) -> Float[Array, " e"]:
    """Edges for a range whose width is more than the largest float."""
    edges: Array = 2 * np.linspace(low / 2, high / 2, bins + 1)
    return edges


def _near(low: float, high: float) -> Float[Array, " e"]:
    """Edges that are neighbouring floats, for a range that holds fewer floats than bins."""
    step = ulp(max(abs(low), abs(high)))
    start = np.floor(low / step)
    places: Array = start + np.arange(int(np.floor(high / step) - start) + 2)
    if isinf(step * float(places[-1])):  # no number lies above the largest
        places -= 1
    return np.asarray(step * places)
