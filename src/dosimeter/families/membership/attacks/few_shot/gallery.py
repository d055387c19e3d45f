"""The gallery of an episode: its support and the two class centroids, as directions from the support's mean.

Axes: `s` support, `g` gallery (s, or s + 2), `q` queries, `d` numbers of a record.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from dosimeter.foundation.arrays import Array

SHORTEST = 1e-6
"""Least length that a row is divided by, as in the authors' code."""
CLOSEST = 1e-12
"""Least squared distance; an exact copy in the gallery would divide by zero."""


@dataclass(frozen=True)
class Gallery:
    """Labelled points.

    Attributes:
        points: `[g d]`.
        is_member: which are members, or the centroid of members `[g]`.
    """

    points: Float[Array, "g d"]
    is_member: Bool[Array, " g"]

    @classmethod
    def of(cls, support: Float[Array, "s d"], is_member: Bool[Array, " s"]) -> Gallery:
        """The support and, if it has more than two records, its class centroids."""
        if len(support) <= 2:
            return cls(support, is_member)
        means = [support[is_member == side].mean(axis=0) for side in (False, True)]
        return cls(np.vstack([support, *means]), np.append(is_member, [False, True]))


def directions(rows: Float[Array, "q d"], centre: Float[Array, " d"]) -> Float[Array, "q d"]:
    """Rows minus a centre, divided by their length: CL2N of Simple-Shot (Wang et al. 2019, arXiv:1911.04623)."""
    moved = rows - centre
    return np.asarray(moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), SHORTEST))


def alike(
    support: Float[Array, "s d"], is_member: Bool[Array, " s"], queries: Float[Array, "q d"]
) -> tuple[Gallery, Float[Array, "q d"]]:
    """Gallery and queries in the same form: directions from the mean of the support, both sides weighing the same."""
    centre = (support[is_member].mean(axis=0) + support[~is_member].mean(axis=0)) / 2
    raw = Gallery.of(support, is_member)
    return Gallery(directions(raw.points, centre), raw.is_member), directions(queries, centre)


def left_out(
    support: Float[Array, "s d"], is_member: Bool[Array, " s"]
) -> tuple[Float[Array, "s g"], Bool[Array, "s g"]]:
    """Squared distances of each support record to the gallery of the others, as `alike` makes it, and whose it is.

    Args:
        support: at least two of each side.
        is_member: their bits.
    """
    s = len(support)
    others = np.nonzero(~np.eye(s, dtype=bool))[1].reshape(s, s - 1)
    rows, bits = support[others], is_member[others]
    means = [
        (rows * (bits == side)[..., None]).sum(axis=1) / (bits == side).sum(axis=1)[:, None] for side in (False, True)
    ]
    centre = (means[0] + means[1]) / 2
    points = np.concatenate([rows, np.stack(means, axis=1)], axis=1)
    moved = np.concatenate([points, support[:, None]], axis=1) - centre[:, None]
    unit = moved / np.maximum(np.linalg.norm(moved, axis=2, keepdims=True), SHORTEST)
    distances = ((unit[:, :-1] - unit[:, -1:]) ** 2).sum(axis=2)
    return distances, np.concatenate([bits, np.tile([False, True], (s, 1))], axis=1)


def squared_distances(queries: Float[Array, "q d"], points: Float[Array, "g d"]) -> Float[Array, "q g"]:
    """Squared Euclidean distances, exact for equal rows."""
    if queries.shape[1] <= points.shape[0]:
        return np.asarray(sum((queries[:, [i]] - points[:, i]) ** 2 for i in range(queries.shape[1])))
    return np.column_stack([((queries - one) ** 2).sum(axis=1) for one in points])


def neighbour_shares(distances: Float[Array, "q g"], is_member: Bool[Array, "*q g"]) -> Float[Array, "q g"]:
    """Share of the members among the nearest 1, 2, ..., g points, each weighing the inverse of its squared distance.

    Args:
        distances: squared distances.
        is_member: which points are members, the same for all queries or of each query's own points.
    """
    order = np.argsort(distances, axis=1, kind="stable")
    weight = 1 / np.maximum(np.take_along_axis(distances, order, axis=1), CLOSEST)
    bits = np.broadcast_to(is_member, distances.shape)
    inside = np.where(np.take_along_axis(bits, order, axis=1), weight, 0.0)
    return np.asarray(np.cumsum(inside, axis=1) / np.cumsum(weight, axis=1))
