"""Design of a supplied model: stated membership of the target, and clusters of records that count as one."""

from __future__ import annotations

import numpy as np

from dosimeter.data import Dataset
from dosimeter.data.duplicates import contents
from dosimeter.families.membership.design.design import Design, membership_matrix
from dosimeter.foundation.arrays import Array


def stated_design(
    members: Dataset, nonmembers: Dataset, population: Dataset | None, *, shadows: int, rehearsals: int, seed: int
) -> Design:
    """The target's stated membership, and complementary pairs of shadows over the same records.

    Args:
        members: records that the target was trained on.
        nonmembers: records that it was not.
        population: further records that it was not trained on, known to the adversary; or None.
        shadows: how many are trained, even; 0 without `fit`.
        rehearsals: pairs of them that rehearse, at most.
        seed: root of all randomness.
    """
    n = len(members) + len(nonmembers)
    own = np.arange(n) < len(members)
    matrix = membership_matrix(n, shadows, seed)
    ids = np.concatenate([members.ids, nonmembers.ids])
    return Design(
        ids=ids,
        labels=np.concatenate([members.labels, nonmembers.labels]),
        classes=len(members.classes),
        member=np.concatenate([own[None], matrix]),
        targets=1,
        rehearsals=rehearsals,
        record=clusters_of(members, nonmembers),
        population_ids=population.ids if population is not None else np.empty(0, dtype=str),
        population_labels=population.labels if population is not None else np.empty(0, dtype=np.int64),
        lone=True,
        groups=join_column(members.groups, nonmembers.groups),
    )


def join_column(members: Array | None, nonmembers: Array | None) -> Array | None:
    """A column of members, then of non-members, if both parts have it."""
    if members is None or nonmembers is None:
        return None
    return np.concatenate([members.astype(str), nonmembers.astype(str)])


def clusters_of(members: Dataset, nonmembers: Dataset) -> Array:
    """Persons if both parts name them, else distinct records: copies are one piece of evidence."""
    persons = join_column(members.persons, nonmembers.persons)
    if persons is None:
        return contents(members.inputs, nonmembers.inputs)
    return np.unique(persons, return_inverse=True)[1]
