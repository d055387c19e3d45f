"""Promises that two parts of data share no record, person or group, and the renumbering of a part's classes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dosimeter.data.alike import same_features
from dosimeter.data.dataset import Dataset
from dosimeter.data.duplicates import contents
from dosimeter.data.files.columns import blocks
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.wording import quote


def shared(a: Dataset, b: Dataset, *, groups: bool) -> str | None:
    """What two parts have in common against their promise, as the tail of a place; None if nothing.

    Records are compared by their inputs, whatever their labels and ids. Persons are compared if both parts name them.

    Args:
        a: the part that promises.
        b: the other part.
        groups: whether groups must be apart too, because a filter divided the parts by group.

    Raises:
        DataError: the parts are tables of the same columns whose kinds differ, so that records cannot be compared.
    """
    copies = copies_in(a, b)
    found = [_told("record", [str(a.ids[row]) for row in copies[:1]], len(copies))] if len(copies) else []
    for word, own, others in (("person", a.persons, b.persons), ("group", a.groups, b.groups)):
        if own is None or others is None or (word == "group" and not groups):
            continue
        both = sorted(set(own.astype(str).tolist()) & set(others.astype(str).tolist()))
        found += [_told(word, both, len(both))] if both else []
    if not found:
        return None
    return (
        f"must share nothing with {b.name!r}, got in both {', '.join(found)}: change the filter or the rows of one of "
        "them"
    )


def _told(word: str, named: list[str], count: int) -> str:
    return f"{count} {word}{'s' * (count > 1)} (such as {quote(named[0])})"


def copies_in(a: Dataset, b: Dataset) -> Array:
    """Rows of a whose inputs are also those of a record of b."""
    if a.columns is not None and b.columns is not None and a.columns != b.columns:
        if _titles(a) != _titles(b):
            return np.zeros(0, np.int64)
        alike = same_features({a.name: a, b.name: b})
        a, b = alike[a.name], alike[b.name]
    if a.inputs.shape[1:] != b.inputs.shape[1:]:
        return np.zeros(0, np.int64)
    first, second = a.inputs, b.inputs
    if first.dtype != second.dtype:
        first, second = _numbers(first), _numbers(second)
    if first.dtype.kind == "f":
        first, second = first + 0, second + 0  # one zero, not two
    codes = contents(first, second)
    return np.flatnonzero(np.isin(codes[: len(first)], codes[len(first) :]))


def _titles(dataset: Dataset) -> set[str]:
    """Names of a table's columns."""
    return {block.title for block in blocks(dataset.columns or (), dataset.categories)}


def _numbers(inputs: Array) -> Array:
    """Inputs of any type in one: bytes of images become numbers in [0, 1]."""
    if inputs.dtype == np.uint8:
        inputs = inputs.astype(np.float32) / 255
    return inputs.astype(np.float64)


def with_classes_of(part: Dataset, other: Dataset) -> Dataset:
    """A part with the classes of another data set, if its own are among them; otherwise the part as it is."""
    place = {name: number for number, name in enumerate(other.classes)}
    if part.classes == other.classes or not set(part.classes) <= set(place):
        return part
    numbers = np.array([place[name] for name in part.classes], np.int64)
    return replace(part, labels=numbers[part.labels], classes=other.classes)
