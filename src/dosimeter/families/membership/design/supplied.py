"""Design of a supplied model: stated membership of the target, and pairs of shadows over the same records."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool

from dosimeter.data import Dataset
from dosimeter.data.supplied import clusters_of, join_column
from dosimeter.families.membership.design.design import Design, membership_matrix
from dosimeter.families.membership.design.labelled import PARTS, Labelled
from dosimeter.families.membership.measures.cross_fitting import HALVES, halvings
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import DataError
from dosimeter.foundation.seeds import generator


def stated_design(parts: Mapping[str, Dataset], *, shadows: int, rehearsals: int, seed: int) -> Design:
    """The target's stated membership, and complementary pairs of shadows over the same records.

    Args:
        parts: the records by name: "members" that the target was trained on and "nonmembers" that it was not, which
            are judged; perhaps labelled ones of both kinds, and a "population" outside every model.
        shadows: how many are trained, even; 0 without `fit`.
        rehearsals: pairs of them that rehearse, at most.
        seed: root of all randomness.
    """
    members, nonmembers, population = parts["members"], parts["nonmembers"], parts.get("population")
    apart = [parts[name] for name in PARTS if name in parts]
    n, k = len(members) + len(nonmembers), sum(map(len, apart))
    own = np.arange(n) < len(members)
    matrix = membership_matrix(n + k, shadows, seed)
    labelled = None
    if apart:
        known = np.arange(k) < len(apart[0])
        labelled = Labelled(
            ids=np.concatenate([one.ids for one in apart]),
            labels=np.concatenate([one.labels for one in apart]),
            member=np.concatenate([known[None], matrix[:, n:]]),
            null_member=stated_null(n + k, shadows, seed)[:, n:],
        )
    ids = np.concatenate([members.ids, nonmembers.ids])
    return Design(
        ids=ids,
        labels=np.concatenate([members.labels, nonmembers.labels]),
        classes=len(members.classes),
        member=np.concatenate([own[None], matrix[:, :n]]),
        targets=1,
        rehearsals=rehearsals,
        record=clusters_of(members, nonmembers),
        population_ids=population.ids if population is not None else np.empty(0, dtype=str),
        population_labels=population.labels if population is not None else np.empty(0, dtype=np.int64),
        lone=True,
        groups=join_column(members.groups, nonmembers.groups),
        labelled=labelled,
    )


def stated_null(records: int, shadows: int, seed: int) -> Bool[Array, "m r"]:
    """A membership that no model was trained on, for a single target and its pairs of shadows.

    Args:
        records: judged and labelled ones.
        shadows: how many, even.
        seed: root of all randomness.
    """
    return np.delete(membership_matrix(records, shadows + 2, seed, purpose="null membership"), 1, axis=0)


def check_halves(design: Design, parts: Mapping[str, Dataset], seed: int) -> None:
    """Refuses records whose halves cannot set thresholds for each other, if no shadow rehearses.

    Args:
        design: the stated membership.
        parts: the records by name; missing numbers that make a part all copies are named.
        seed: root of all randomness.

    Raises:
        DataError: which part has too few persons or distinct records.
    """
    member = design.member[:1]
    if len(design.rehearsal_rows) or len(halvings(design.record, member, generator(seed, HALVES))):
        return
    persons = [len(np.unique(design.record[bits])) for bits in (member[0], ~member[0])]
    text = (
        f"members and nonmembers: halves of the records set thresholds for each other, whole persons together, and "
        f"both need both kinds, got {persons[0]} persons among members and {persons[1]} among non-members: give "
        "records of more persons, or a fit, whose shadows set thresholds"
    )
    for name in ("members", "nonmembers"):
        part = parts[name]
        if part.persons is None and len(part.incomplete) == len(part):
            raise DataError(
                f"{name}: inputs must be finite, got NaN or infinity in {len(part)} records, which is all: remove "
                f"or impute them ({text})"
            )
    raise DataError(text)
