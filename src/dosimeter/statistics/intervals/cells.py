"""Quantities of cells (target, record): clusters of records, placement values, ranks. Each takes at most one sort."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from dosimeter.foundation.arrays import Array


def clusters(record: Int[Array, " n"]) -> tuple[Int[Array, " n"] | None, int]:
    """Cluster of each record, and the number of clusters.

    Args:
        record: name of each record's cluster.

    Returns:
        The position of each record's cluster among the sorted names, and the number of names. None instead of
        positions if each record is its own cluster and they are in order: the common case, found without sorting.

    >>> clusters(np.array([7, 3, 7]))
    (array([1, 0, 1]), 2)
    """
    n = len(record)
    if (record[1:] > record[:-1]).all():
        return None, n
    first, last = int(record.min()), int(record.max())
    if last - first > 4 * n + 1000:
        names, index = np.unique(record, return_inverse=True)
        return index.reshape(-1), len(names)
    seen = np.zeros(last - first + 1, np.int64)
    seen[record - first] = 1
    return (np.cumsum(seen) - 1)[record - first], int(seen.sum())


def exceeds(values: Float[Array, "t n"], thresholds: Float[Array, " t"] | Float[Array, "t n"]) -> Bool[Array, "t n"]:
    """Mask of the scores strictly above the threshold of their target, or of their cell.

    >>> exceeds(np.array([[1.0, 2.0]]), np.array([1.0])), exceeds(np.array([[1.0, 2.0]]), np.array([[0.5, 2.0]]))
    (array([[False,  True]]), array([[ True, False]]))
    """
    return np.asarray(values > by_cell(thresholds))


def by_cell(thresholds: Float[Array, " t"] | Float[Array, "t n"]) -> Float[Array, "t k"]:
    """Thresholds in a shape that broadcasts over cells: a column if there is one for each target."""
    return thresholds if thresholds.ndim == 2 else thresholds[:, None]


def placements(
    values: Float[Array, "t n"], is_member: Bool[Array, "t n"]
) -> tuple[Float[Array, "t n"], Float[Array, "t n"]]:
    """Placement values in O(N log N): for members the share of non-members below, for non-members of members above.

    Ties count half. Cells of the other class hold 0. The mean over members equals the mean over non-members: the AUC.

    Args:
        values: scores, infinite ones allowed, NaN not.
        is_member: the truth.

    Raises:
        ValueError: NaN, or one class is empty.
    """
    n_members, n_nonmembers = _classes(values, is_member)
    order = np.argsort(values, axis=None)
    bits = is_member.ravel()[order]
    before, members = _below(values.ravel()[order], bits)
    above, below = np.zeros(values.size), np.zeros(values.size)
    above[order[bits]] = (before - members)[bits] / n_nonmembers
    below[order[~bits]] = 1 - members[~bits] / n_members
    return above.reshape(values.shape), below.reshape(values.shape)


def sorted_placements(
    values: Float[Array, "t n"], is_member: Bool[Array, "t n"]
) -> tuple[Float[Array, " p"], Float[Array, " q"]]:
    """The placement values of members, and of non-members, each in order of their scores; five times as fast.

    Args:
        values: scores, infinite ones allowed, NaN not.
        is_member: the truth.

    Raises:
        ValueError: NaN, or one class is empty.
    """
    _classes(values, is_member)
    members, nonmembers = np.sort(values[is_member]), np.sort(values[~is_member])
    above, below = (
        (np.searchsorted(others, own) + np.searchsorted(others, own, side="right")) / 2
        for own, others in ((members, nonmembers), (nonmembers, members))
    )
    return above / len(nonmembers), 1 - below / len(members)


def ranks(values: Float[Array, "t n"]) -> Float[Array, "t n"]:
    """Ranks from 1 over all cells; tied cells share their mean rank.

    >>> ranks(np.array([[5.0, 1.0], [5.0, 7.0]]))
    array([[2.5, 1. ],
           [2.5, 4. ]])
    """
    order = np.argsort(values, axis=None)
    ordered = values.ravel()[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    sizes = np.diff(np.append(starts, len(ordered)))
    found = np.empty(values.size)
    found[order] = np.repeat(starts + (sizes + 1) / 2, sizes)
    return found.reshape(values.shape)


def centred_ranks(values: Float[Array, "t n"]) -> Float[Array, "t n"]:
    """Ranks over all cells, minus the mean rank of their target."""
    found = ranks(values)
    return np.asarray(found - found.mean(axis=1, keepdims=True))


def exchange(
    cells: Float[Array, "t n"] | Bool[Array, "t n"], is_member: Bool[Array, "t n"], record: Int[Array, " n"]
) -> Float[Array, " k"]:
    """Change of the members' sum of cells if a cluster's bits are negated under all targets.

    With several targets each cluster's mean is subtracted from its cells first. A target without its complement then
    counts only as far as it differs from what the others say about the same records.

    Args:
        cells: the values that are summed.
        is_member: the truth.
        record: cluster of each record.
    """
    signs, (index, k) = np.where(is_member, -1.0, 1.0), clusters(record)
    parts = [(signs * cells).sum(0), signs.sum(0), cells.sum(0)]
    size = np.full(k, float(len(cells)))
    if index is not None:
        parts, size = [np.bincount(index, part, k) for part in parts], size * np.bincount(index, minlength=k)
    turns: Array = parts[0] if len(cells) == 1 else parts[0] - parts[1] * parts[2] / size
    return turns


def by_halves(clusters: int) -> float:
    """Factor by which a centred sum varies more over exact halves of so many clusters than over fair coins."""
    return clusters / max(clusters - 1, 1)


def _classes(values: Array, is_member: Array) -> tuple[int, int]:
    """Numbers of members and non-members; refuses NaN and an empty class."""
    if np.isnan(values).any():
        raise ValueError(f"values must have no NaN, got {int(np.isnan(values).sum())}")
    n_members = int(is_member.sum())
    n_nonmembers = is_member.size - n_members
    if not n_members or not n_nonmembers:
        raise ValueError(f"is_member must have both classes, got {n_members} members, {n_nonmembers} non-members")
    return n_members, n_nonmembers


def _below(ordered: Array, bits: Array) -> tuple[Array, Array]:
    """Number of all scores, and of members' scores, below each sorted score; ties count half."""
    upto = np.cumsum(bits)
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    if len(starts) == len(ordered):
        return np.arange(len(ordered)) + 0.5, upto - bits / 2
    sizes = np.diff(np.append(starts, len(ordered)))
    through = upto[starts + sizes - 1]
    return np.repeat(starts + sizes / 2, sizes), np.repeat((upto[starts] - bits[starts] + through) / 2, sizes)


def by_cluster(cells: Bool[Array, "t n"], index: Array | None, k: int) -> Float[Array, "t k"]:
    """Sums over each cluster's records."""
    if index is None:
        return cells.astype(np.float64)
    flat = (np.arange(len(cells))[:, None] * k + index).ravel()
    return np.bincount(flat, cells.ravel(), len(cells) * k).reshape(len(cells), k)
