"""Records that a filter keeps, by group, label, person or attribute."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Bool

from dosimeter.data.dataset import Dataset
from dosimeter.data.options import Rows
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.checks import suggest
from dosimeter.foundation.errors import DataError
from dosimeter.foundation.wording import one_line, quote

OWN = ("group", "label", "person")
"""Keys of a filter that every source may have; further keys are names of attributes."""


@dataclass(frozen=True)
class Filter:
    """Conditions on records; a record is kept if it meets every one of them.

    Attributes:
        where: for each key the values of which a record must have one.
        without: for each key the values of which a record must have none.
    """

    where: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    without: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.where or self.without)

    def reads(self, key: str) -> bool:
        """Returns whether a condition is on this key."""
        return key in self.where or key in self.without


def choose(source: Dataset, wanted: Filter, rows: Rows, place: str) -> Dataset:
    """The records of a source that lie in a range and meet a filter.

    Classes of which the whole source has no record that meets the filter are left out, and the others are numbered
    anew in their order. So the classes depend on the filter and not on the rows.

    Args:
        source: the whole source.
        wanted: the filter; without conditions all records and classes are kept.
        rows: records of the source, counted before filtering.
        place: start of messages, such as `data.private`.

    Returns:
        A part, which may have one class only.

    Raises:
        DataError: an unknown key or value of the filter, a range beyond the end, or no record left.
    """
    problems: list[str] = []
    meets = np.ones(len(source), bool)
    for name, conditions, kept in (("where", wanted.where, True), ("not", wanted.without, False)):
        for key, listed in conditions.items():
            has, wrong = _has(source, key, listed)
            problems += [f"{place}.{name}.{line}" for line in wrong]
            meets &= has == kept
    if problems:
        raise DataError(*problems)
    chosen = np.zeros(len(source), bool)
    inside = rows.within(len(source), place)
    chosen[inside.start : inside.stop] = True
    chosen &= meets
    if not chosen.any():
        raise DataError(
            f"{place}: the filter must keep a record, got none of {len(inside)} ({int(meets.sum())} meet it outside "
            "the rows): change the filter or the rows"
        )
    part = replace(source, part=True).take(chosen)
    return part if not wanted else _with_classes(part, np.unique(source.labels[meets]))


def _with_classes(part: Dataset, kept: Array) -> Dataset:
    """A part with some of its classes, numbered anew."""
    return replace(
        part,
        labels=np.searchsorted(kept, part.labels).astype(np.int64),
        classes=tuple(part.classes[number] for number in kept.tolist()),
    )


def _has(source: Dataset, key: str, listed: tuple[Any, ...]) -> tuple[Bool[Array, " n"], list[str]]:
    """Mask of the records that have one of the values, and problems as the tail of the condition's place."""
    columns = _columns(source)
    nothing = np.zeros(len(source), bool)
    if key in OWN and key in source.attributes:
        return nothing, [f"{key}: stands for two things, got an attribute of that name too: rename the attribute"]
    if key not in columns:
        remedy = one_line(suggest(key, columns))
        what = f"the data have no {key}" if key in OWN else "unknown key"
        return nothing, [f"{key}: {what}, {remedy}"]
    values = columns[key]
    numeric = values.dtype.kind in "iuf"
    problems = []
    known = set(values.tolist())
    for value in listed:
        if isinstance(value, str) == numeric:
            remedy = "write it without quotes" if numeric else f'write "{value}"'
            rule = "a number" if numeric else "text in quotes"
            problems.append(f"{key}: must be {rule} here, got {quote(value)}: {remedy}")
        elif value not in known:
            near = suggest(str(value), [str(one) for one in known])
            problems.append(f"{key}: no record has it, got {quote(value)}, {one_line(near, 200)}")
    return np.isin(values, np.array(listed)) if not problems else nothing, problems


def _columns(source: Dataset) -> dict[str, Array]:
    """What a filter may ask for: one value for each record, by key."""
    own = {"label": np.array(source.classes)[source.labels]}
    own |= {} if source.groups is None else {"group": source.groups.astype(str)}
    own |= {} if source.persons is None else {"person": source.persons.astype(str)}
    return {**source.attributes, **own}
