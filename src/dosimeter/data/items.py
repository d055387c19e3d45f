"""Inputs and labels from arrays, and from PyTorch data sets that are read item by item."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import DataError
from dosimeter.foundation.wording import describe

FORMS = "a Dataset, (inputs, labels), a torch Dataset of (x, y), a pandas DataFrame, or a reference such as 'data.csv'"
READ_TWICE = 64
"""Number of items, spread over a data set, that are read twice to check that they stay the same."""


def pair(value: object, name: str) -> tuple[Array, Array]:
    """Inputs and labels from arrays or a PyTorch data set.

    A data set is what its `__getitem__` gives: its attributes are not read, since a transform stands between the two.

    Args:
        value: `(inputs, labels)`, or a map-style data set of `(x, y)`.
        name: name of the data in messages.

    Returns:
        Inputs `[n ...]`, numbers or texts, and labels `[n]`.

    Raises:
        DataError: another kind of thing, items that differ in form, or that differ when they are read twice.
    """
    if isinstance(value, tuple | list) and len(value) == 2 and not isinstance(value[0], tuple | str):
        return as_array(value[0], f"{name}: inputs"), as_array(value[1], f"{name}: labels")
    whole = _whole_tensors(value)
    if whole is not None:
        return as_array(whole[0], f"{name}: inputs"), as_array(whole[1], f"{name}: labels")
    if hasattr(value, "to_pandas") and not isinstance(value, np.ndarray):
        made = f"{type(value).__module__.partition('.')[0]}.{type(value).__name__}"
        raise DataError(f"{name}: must be {FORMS}, got {made}: use .to_pandas()")
    if isinstance(value, Mapping | np.ndarray) or not hasattr(value, "__getitem__") or not hasattr(value, "__len__"):
        stream = hasattr(value, "__iter__") and not hasattr(value, "__len__")
        remedy = "a stream has no positions, collect it into arrays" if stream else "give one of these"
        remedy = "give its .dataset" if hasattr(value, "dataset") else remedy
        raise DataError(f"{name}: must be {FORMS}, got {type(value).__name__}: {remedy}")
    return _collect(value, name)


def frame_pair(value: object) -> tuple[Any, Any] | None:
    """A data frame and its labels, if the user gave them side by side; None for anything else."""
    pandas = sys.modules.get("pandas")
    if pandas is None or not (isinstance(value, tuple | list) and len(value) == 2):
        return None
    return (value[0], value[1]) if isinstance(value[0], pandas.DataFrame) else None


def _whole_tensors(value: Any) -> tuple[Any, Any] | None:
    """Tensors of a data set whose `__getitem__` returns them unchanged; None for any other.

    A subclass may do something else, so only PyTorch's own classes are known.
    """
    import torch

    if type(value) is torch.utils.data.Subset:
        inner = _whole_tensors(value.dataset)
        if inner is None:
            return None
        positions = np.asarray(value.indices, np.int64)
        return inner[0][positions], inner[1][positions]
    if type(value) is torch.utils.data.TensorDataset:
        return value.tensors if len(value.tensors) == 2 else None
    if hasattr(value, "inputs") and hasattr(value, "labels") and not hasattr(value, "__getitem__"):
        return value.inputs, value.labels
    return None


def _collect(value: Any, name: str) -> tuple[Array, Array]:
    """All items `(x, y)` of a map-style data set, in order."""
    try:
        n = len(value)
    except (Exception, SystemExit) as caught:  # user's code
        raise DataError(f"{name}: must have a length, got {describe(caught)}: give a map-style data set") from caught
    xs: list[Array] = []
    ys: list[object] = []
    for i in range(n):
        x, y = _item(value, i, name)
        if xs and (x.shape != xs[0].shape or x.dtype.kind != xs[0].dtype.kind):
            got = f"shape {x.shape} after {xs[0].shape}" if x.shape != xs[0].shape else f"{x.dtype} after {xs[0].dtype}"
            raise DataError(f"{name}[{i}]: all x must have one shape and each y be one label, got {got}: correct it")
        xs.append(x)
        ys.append(y)
    if not xs:
        raise DataError(f"{name}: needs at least one record, got none: check the data set")
    for i in np.unique(np.linspace(0, n - 1, min(n, READ_TWICE)).astype(int)).tolist():
        again, label = _item(value, i, name)
        if label != ys[i] or not _same(again, xs[i]):
            raise DataError(
                f"{name}[{i}]: must be the same whenever it is read, got another {'x' if label == ys[i] else 'y'} the "
                "second time (random augmentation?): give a data set without random transforms"
            )
    return np.stack(xs), np.array(ys)


def _item(value: Any, i: int, name: str) -> tuple[Array, object]:
    """One item `(x, y)`."""
    place = f"{name}[{i}]"
    try:
        item = value[i]
    except (Exception, SystemExit) as caught:  # user's code
        raise DataError(f"{place}: must be readable, got {describe(caught)}: correct the data set") from caught
    if not isinstance(item, tuple | list) or len(item) != 2:
        got = f"{type(item).__name__} of {len(item)}" if isinstance(item, tuple | list) else type(item).__name__
        raise DataError(f"{place}: must be (x, y), got {got}: return the input and the label")
    if hasattr(item[0], "convert"):
        raise DataError(f"{place}: x must be a tensor, got a picture: give the data set a transform to tensors")
    x, y = as_array(item[0], f"{place}: x"), as_array(item[1], f"{place}: y")
    if y.size != 1:
        raise DataError(
            f"{place}: all x must have one shape and each y be one label, got a label of shape {y.shape}: correct it"
        )
    return x, y.reshape(()).item()


def _same(one: Array, other: Array) -> bool:
    """Returns whether two inputs are equal, missing numbers included."""
    return one.shape == other.shape and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")


def as_array(value: Any, place: str) -> Array:
    """A tensor, an array or a list as an array of numbers or of texts.

    Raises:
        DataError: anything else, with what to do about it.
    """
    if hasattr(value, "columns") and not isinstance(value, np.ndarray):
        made = f"{type(value).__module__.partition('.')[0]}.{type(value).__name__}"
        raise DataError(f"{place} must be arrays or a pandas DataFrame, got {made}: use .to_pandas() or .to_numpy()")
    if hasattr(value, "toarray"):
        raise DataError(f"{place} must be a dense array, got a sparse {type(value).__name__}: use .toarray()")
    try:
        if hasattr(value, "detach"):
            value = value.detach().cpu()
            value = value.float() if str(value.dtype) == "torch.bfloat16" else value
            return value.numpy()  # type: ignore[no-any-return]
        array = np.asarray(value)
    except Exception as caught:  # array protocols of any library
        raise DataError(f"{place} must be an array, got {describe(caught)}: give numbers of one shape") from caught
    if array.dtype.kind == "O" and not place.endswith("labels"):
        if array.ndim < 2 and array.size and all(isinstance(one, str) for one in array.ravel().tolist()):
            return array.astype(str)
        remedy = "give a pandas DataFrame with named columns" if array.ndim == 2 else "give numbers of one shape"
        raise DataError(f"{place} must be an array of numbers, got Python objects: {remedy}")
    return array


def texts_of(values: Array) -> Sequence[str] | None:
    """Texts, one for each record; None if the inputs are something else."""
    return values.tolist() if values.ndim == 1 and values.dtype.kind == "U" else None
