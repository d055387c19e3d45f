"""Records of a supplied model by what they serve: members, and records by which judges know the identities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from dosimeter.data import Dataset
from dosimeter.data.supplied import join_parts
from dosimeter.families.inversion.case.records import FEWEST_IDENTITIES, TESTED, RecordSplit
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import DataError
from dosimeter.foundation.seeds import generator
from dosimeter.foundation.wording import quote

FEWEST_APART = 2
"""Fewest non-members of an identity: one by which a judge knows it, one to test the judge."""


@dataclass(frozen=True)
class HeldRecords:
    """What a user says of a model's records.

    Attributes:
        at_risk: members, then non-members, of the identities that can be judged; numbered from 0 on.
        split: which of them serve what.
        outputs: the model's class of each identity.
        left_out: classes of members without any non-member, which no judge knows.
    """

    at_risk: Dataset
    split: RecordSplit
    outputs: tuple[int, ...]
    left_out: int


def held_records(parts: Mapping[str, Dataset], seed: int) -> HeldRecords:
    """Members and non-members of a supplied model, as an audit of inversion uses them.

    Args:
        parts: "members" and "nonmembers", and others.
        seed: root of all randomness.

    Raises:
        DataError: records that judges cannot use, an identity without members, or with too few non-members.
    """
    members, nonmembers = (plain(parts[name], name) for name in ("members", "nonmembers"))
    counts = {name: np.bincount(one.labels, minlength=len(one.classes)) for name, one in _pair(members, nonmembers)}
    outputs = np.flatnonzero(counts["nonmembers"])
    names = members.classes
    if len(outputs) < FEWEST_IDENTITIES:
        raise DataError(
            f"nonmembers: inversion needs {FEWEST_IDENTITIES} identities or more, which are the model's classes, got "
            f"records of {len(outputs)}: give records of more classes"
        )
    if len(absent := outputs[counts["members"][outputs] == 0]):
        raise DataError(
            f"members: must have a record of each identity that has non-members, got none of "
            f"{quote(names[absent[0]])}: add one, or leave out its non-members"
        )
    if len(few := outputs[counts["nonmembers"][outputs] < FEWEST_APART]):
        raise DataError(
            f"nonmembers: must have {FEWEST_APART} records or more of each identity, by which judges know it, got 1 of "
            f"{quote(names[few[0]])}: add some, or leave out that identity"
        )
    own = {name: one.take(np.flatnonzero(np.isin(one.labels, outputs))) for name, one in _pair(members, nonmembers)}
    joined = join_parts(own)
    labels = np.searchsorted(outputs, joined.labels)
    at_risk = replace(joined, labels=labels, classes=tuple(names[one] for one in outputs), name="members")
    left_out = int((counts["members"] > 0).sum()) - len(outputs)
    return HeldRecords(at_risk, _split(labels, len(own["members"]), seed), tuple(map(int, outputs)), left_out)


def plain(records: Dataset, place: str) -> Dataset:
    """Records as numbers alone, without what their user held instead.

    Args:
        records: of a part.
        place: start of a message.

    Raises:
        DataError: they are texts or a table.
    """
    texts = records.tokens or records.columns is not None or records.inputs.dtype.kind not in "fu"
    if texts or (records.cells is not None and records.cells.kind != "array"):
        raise DataError(
            f"{place}: inversion needs pictures or other plain numbers, got texts or a table: give arrays of numbers"
        )
    return replace(records, cells=None)


def _pair(members: Dataset, nonmembers: Dataset) -> tuple[tuple[str, Dataset], ...]:
    """Both parts by name."""
    return ("members", members), ("nonmembers", nonmembers)


def _split(labels: Array, members: int, seed: int) -> RecordSplit:
    """Which rows serve what: members were trained on, non-members of each identity are divided at random."""
    known: list[Array] = []
    tested: list[Array] = []
    rows = np.arange(members, len(labels))
    for identity in range(int(labels.max()) + 1):
        own = generator(seed, "inversion records", identity).permutation(rows[labels[rows] == identity])
        count = max(1, round(TESTED * len(own)))
        known.append(own[count:])
        tested.append(own[:count])
    trained = np.arange(members)
    named = generator(seed, "inversion null").permutation(labels[trained])
    return RecordSplit(trained, np.sort(np.concatenate(known)), np.sort(np.concatenate(tested)), named)
