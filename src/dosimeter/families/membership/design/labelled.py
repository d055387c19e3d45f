"""Records whose membership the adversary knows: how they are drawn, and their part of the design."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from dosimeter.data import Dataset
from dosimeter.data.supplied import clusters_of
from dosimeter.families.membership.known import fewest_of
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import ConfigError, DataError
from dosimeter.foundation.seeds import generator

PARTS = ("labelled members", "labelled non-members")
"""Parts of a supplied model's records whose membership the adversary knows. No audit file can use these names."""


@dataclass(frozen=True)
class Labelled:
    """Records with known membership, in the design of an audit.

    Attributes:
        ids: record ids `[k]`.
        labels: true classes `[k]`.
        member: which model trains on which `[m k]`.
        null_member: the same in the null audit's matrix `[m k]`, so that a support is as false as what is judged.
    """

    ids: Array
    labels: Int[Array, " k"]
    member: Bool[Array, "m k"]
    null_member: Bool[Array, "m k"]

    @property
    def fewest(self) -> int:
        """Fewest members or non-members among them, for any model, in the null audit too."""
        return min(fewest_of(self.member), fewest_of(self.null_member))


def draw_labelled(cluster: Int[Array, " p"], labelled: int, seed: int) -> Int[Array, " k"]:
    """Draws whole clusters until there are enough records.

    Args:
        cluster: person, or content, of each record of the pool.
        labelled: how many records are wanted; there are more if the last cluster has several.
        seed: seed of the audit.

    Returns:
        Positions in the pool, in order.

    >>> draw_labelled(np.array([0, 0, 1, 2, 2]), 2, seed=0).tolist()
    [0, 1, 2]
    """
    order = generator(seed, "labelled").permutation(int(cluster.max()) + 1)
    sizes = np.bincount(cluster)[order]
    drawn = order[: int(np.searchsorted(np.cumsum(sizes), labelled)) + 1]
    return np.asarray(np.flatnonzero(np.isin(cluster, drawn)))


def draw_judged(pool: int, known: Int[Array, " k"], candidates: int | None, seed: int) -> Int[Array, " n"]:
    """Draws what is judged from the rest of the pool.

    Args:
        pool: number of records in the pool.
        known: those with known membership, as positions.
        candidates: how many are judged; None for all.
        seed: seed of the audit.

    Raises:
        ConfigError: too few are left.
    """
    others = np.setdiff1d(np.arange(pool), known)
    if len(others) < (candidates or 2):
        raise ConfigError(
            f"threat.labelled: must leave {candidates or 2} records to be judged, got {len(known)} labelled records "
            f"(copies of a record, and records of a person, together) of {pool} that are not population: lower it"
        )
    if candidates is None or candidates == len(others):
        return np.asarray(others)
    return np.sort(generator(seed, "candidates").choice(others, candidates, replace=False))


def set_apart(parts: Mapping[str, Dataset], labelled: int, seed: int) -> dict[str, Dataset]:
    """Divides the records of a supplied model into judged ones and ones of known membership, half of them members.

    Whole persons, or all copies of a record, are drawn until both sides are full.

    Args:
        parts: the records by name, "members" and "nonmembers" among them.
        labelled: how many records; 0 for none.
        seed: root of all randomness.

    Returns:
        The parts in the order members, non-members, labelled members, labelled non-members, and the others.

    Raises:
        DataError: too few are left to be judged.
    """
    if not labelled:
        return dict(parts)
    members, others = parts["members"], parts["nonmembers"]
    cluster, n = clusters_of(members, others), len(members)
    sizes = np.stack([np.bincount(side, minlength=int(cluster.max()) + 1) for side in (cluster[:n], cluster[n:])])
    wanted, chosen = np.array([labelled // 2, labelled - labelled // 2]), np.zeros(sizes.shape[1], bool)
    for one in generator(seed, "labelled").permutation(sizes.shape[1]):
        if (sizes[wanted > 0, one] > 0).any():
            chosen[one], wanted = True, wanted - sizes[:, one]
    known = chosen[cluster]
    rows = {name: np.flatnonzero(part) for name, part in zip(PARTS, (known[:n], known[n:]), strict=True)}
    left = [np.setdiff1d(np.arange(len(part)), own) for part, own in zip((members, others), rows.values(), strict=True)]
    for name, kept in zip(("members", "nonmembers"), left, strict=True):
        if not len(kept):
            raise DataError(
                f"{name}: `labelled` must leave records to be judged, got {labelled} labelled records (copies of a "
                f"record, and records of a person, together) of {len(members)} members and {len(others)} non-members: "
                "lower it, or give more records"
            )
    judged = {"members": members.take(left[0]), "nonmembers": others.take(left[1])}
    apart = {name: part.take(own) for (name, own), part in zip(rows.items(), (members, others), strict=True)}
    return {**judged, **apart, **{name: one for name, one in parts.items() if name not in judged}}
