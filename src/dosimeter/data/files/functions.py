"""Data that a function of the user returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from dosimeter.data.dataset import Dataset
from dosimeter.data.files.arrays import assemble
from dosimeter.data.files.columns import arrow_columns
from dosimeter.data.files.tables import OPTIONS, from_table
from dosimeter.data.options import Request
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import DataError
from dosimeter.foundation.user_code import relay, resolve
from dosimeter.foundation.wording import describe


def load_function(reference: str, request: Request) -> Dataset:
    """The data that the user's `function(seed)` returns.

    Args:
        reference: `package.module:function`. The function returns a `Dataset`, which is used as it is, or
            `(inputs, labels)`, arrays or tensors that are treated like those of an `.npz`.
        request: the seed, rows, `noun`, and `classes` where the function returns a tuple; with `level`, all that
            `tables.from_table` reads, and the function may return columns by name.

    Raises:
        DataError: the function is not found, raises, or returns something else.
    """
    texts = request.options.level is not None
    request.only(*(OPTIONS if texts else ("classes", "noun")))
    result = _call(resolve(reference, error=DataError), request)
    if texts and isinstance(result, Mapping):
        return from_table(
            arrow_columns(result, request.name, "return lists of one length, of texts or numbers"), request
        )
    if texts and not (isinstance(result, Dataset) and result.vocabulary is not None):
        raise DataError(
            f"{request.name}: must return columns by name, as {{'text': [...]}}, or a Dataset with a vocabulary, got "
            f"{type(result).__name__}: change the function"
        )
    if isinstance(result, Dataset):
        if request.options.classes is not None:
            raise DataError(f"{request.name}: the Dataset names its classes itself: remove the option 'classes'")
        noun = request.options.noun or result.noun
        return request.select(replace(result, name=request.name, noun=noun, part=request.part))
    if not isinstance(result, tuple) or len(result) != 2:
        kind = f"a tuple of {len(result)}" if isinstance(result, tuple) else type(result).__name__
        raise DataError(f"{request.name}: must return a Dataset or (inputs, labels), got {kind}: change the function")
    inputs, labels = (
        _array(part, column, request.name) for part, column in zip(result, ("inputs", "labels"), strict=True)
    )
    return assemble({"inputs": inputs, "labels": labels}, request)


def _call(fn: Callable[..., Any], request: Request) -> Any:
    """The function's result; an exception becomes lines that name the function."""
    try:
        return fn(request.seed)
    except DataError as caught:
        raise relay(caught, request.name) from caught
    except (Exception, SystemExit) as caught:
        remedy = "correct it, it is called with one argument, the seed"
        raise DataError(f"{request.name}: the function raised {describe(caught)}: {remedy}") from caught


def _array(value: Any, column: str, name: str) -> Array:
    """A returned part as an array."""
    try:
        array = value.detach().cpu().numpy() if hasattr(value, "detach") else np.asarray(value)
    except Exception as caught:  # array protocols of any library
        raise DataError(f"{name}: {column} must be an array, got {describe(caught)}: return NumPy arrays") from caught
    if not isinstance(array, np.ndarray) or array.ndim == 0:
        raise DataError(f"{name}: {column} must be an array, got {type(value).__name__}: return NumPy arrays")
    return array
