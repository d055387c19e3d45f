"""Labels of any type as class numbers and names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import DataError
from dosimeter.foundation.wording import one_line, quote

FEW, NEARLY = 20, 0.9
"""Number of records, and share of distinct labels, from which labels with decimals are refused as no classes."""


def encode_labels(values: Array, name: str, classes: Sequence[str] | None = None) -> tuple[Array, tuple[str, ...]]:
    """Numbers the classes.

    Whole numbers and truth values are sorted by value, all else as text; the names keep the originals. With `classes`
    given, whole numbers are positions in it and text is looked up in it.

    Args:
        values: labels `[n]`: integers, whole floats, truth values, or text.
        name: name of the data in messages.
        classes: names of all classes in order, or None to take those that occur.

    Returns:
        Class numbers `[n]` int64, and the names of the classes.

    Raises:
        DataError: a label is missing, not a class (0.37), or not among `classes`; or the labels are amounts.

    >>> encode_labels(np.array([1, 10, 2]), "data")
    (array([0, 2, 1]), ('1', '2', '10'))
    """
    if values.ndim != 1:
        raise DataError(f"{name}: labels must have shape (n,), got {values.shape}: give one class per record")
    real = values.dtype.kind == "f"
    values = _whole(values, name)
    if classes is not None:
        return _look_up(values, name, tuple(classes)), tuple(classes)
    if not len(values):
        return np.zeros(0, np.int64), ()
    found, numbers = np.unique(values, return_inverse=True)
    if real and len(values) >= FEW and len(found) > NEARLY * len(values):
        raise DataError(
            f"{name}: labels must be classes, got {len(found)} different numbers of type float for {len(values)} "
            "records, as of a regression, which cannot be audited: divide the range into classes, or give class "
            "numbers as integers"
        )
    return numbers.astype(np.int64).reshape(-1), tuple(str(value) for value in found)


def _whole(values: Array, name: str) -> Array:
    """Labels as integers, truth values or text; refuses missing ones."""
    if values.dtype.kind == "f":
        _refuse_missing(np.isnan(values), name)
        broken = np.flatnonzero(~np.isfinite(values) | (values != np.floor(values)) | (abs(values) > 2**53))
        if len(broken):
            as_of = ", as of a regression, which cannot be audited" if np.isfinite(values[broken[0]]) else ""
            raise DataError(
                f"{name}: labels must be classes, got the number {values[broken[0]]} in row {broken[0]}{as_of}: "
                "use whole numbers or names, or divide the range into classes"
            )
        return values.astype(np.int64)
    if values.dtype.kind in "iub":
        return values
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8", "backslashreplace")
    _refuse_missing(np.array([v is None or v != v or not str(v).strip() for v in values.tolist()], bool), name)
    return np.array([str(v) for v in values.tolist()], dtype=str)


def _refuse_missing(missing: Array, name: str) -> None:
    """Refuses labels with a missing one; names the first record."""
    if missing.any():
        raise DataError(
            f"{name}: every record needs a label, got none in row {int(np.argmax(missing))} "
            f"({int(missing.sum())} such records): label or remove them"
        )


def _look_up(values: Array, name: str, classes: tuple[str, ...]) -> Array:
    """Positions of the labels in the given classes."""
    if len(set(classes)) < len(classes):
        raise DataError(f"{name}: classes must be distinct, got {one_line(classes)}: remove the repeated name")
    if values.dtype.kind in "iu":
        outside = np.flatnonzero((values < 0) | (values >= len(classes)))
        numbers = values.astype(np.int64)
        rule = f"in 0..{len(classes) - 1}, one for each of {len(classes)} classes"
    else:
        place = {c: i for i, c in enumerate(classes)}
        numbers = np.array([place.get(str(v), -1) for v in values], np.int64)
        outside = np.flatnonzero(numbers < 0)
        rule = f"among the classes {one_line(', '.join(classes))}"
    if len(outside):
        raise DataError(
            f"{name}: labels must be {rule}, got {quote(values[outside[0]].item())} in row {outside[0]} "
            f"({len(outside)} such records): correct the label or name the class"
        )
    return numbers


def spread_classes(labels: Array) -> Array:
    """An order of the records in which every range has about the same share of each class.

    Sources that are sorted by class are read in this order, so that `rows = "0:1000"` is a sample and not one class.
    It is fixed by the labels alone: record k of a class with c records stands at (k + 1/2) / c of the way.

    Args:
        labels: `[n]`.

    Returns:
        Row numbers `[n]`.

    >>> spread_classes(np.array([0, 0, 1, 1]))
    array([0, 2, 1, 3])
    """
    place = np.zeros(len(labels))
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        place[rows] = (np.arange(len(rows)) + 0.5) / len(rows)
    return np.lexsort((labels, place))
