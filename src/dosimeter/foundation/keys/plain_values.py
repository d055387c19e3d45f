"""Values that are determined by their content alone: numbers, texts, dates, arrays, tensors, tables."""

from __future__ import annotations

import datetime
import decimal
import fractions
import hashlib
import logging
import operator
import re
import sys
import threading
import types
import typing
import uuid
from collections.abc import Callable
from pathlib import PurePath
from typing import Any

SCALARS = (bool, int, float, complex, str, bytes, type(None), type(...), type(NotImplemented))
BY_TEXT = (
    datetime.date,
    datetime.time,
    datetime.timedelta,
    datetime.tzinfo,
    decimal.Decimal,
    fractions.Fraction,
    uuid.UUID,
    range,
    slice,
    operator.itemgetter,
    operator.attrgetter,
    operator.methodcaller,
    types.GenericAlias,
    types.UnionType,
    typing.TypeVar,
    type(typing.List[int]),  # noqa: UP006  the class of aliases has no public name
)
"""Kinds of values whose text holds everything, equal in every process."""
OF_TORCH = ("device", "dtype", "layout", "memory_format")
NO_VALUES = (logging.Logger, type(threading.Lock()), type(threading.RLock()))
"""Kinds of values without content that training could read."""
Spend = Callable[[int], None]
Buffer = bytes | memoryview | str


def mix(*parts: Buffer) -> bytes:
    """SHA-256 of parts, each preceded by its length, so that different lists of parts give different input.

    >>> mix("ab", "c") == mix("a", "bc")
    False
    """
    digest = hashlib.sha256()
    for part in parts:
        own = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        digest.update(len(own).to_bytes(8, "little"))
        digest.update(own)
    return digest.digest()


def scalar(value: object) -> bytes:
    """Digest of a number, a text, bytes, None or similar, with its type."""
    if isinstance(value, bytes):
        return b"bytes:" + value
    text = hex(value) if isinstance(value, int) else value if isinstance(value, str) else repr(value)
    return f"{type(value).__name__}:{text}".encode("utf-8", "surrogatepass")


def kind_of(value: object) -> str:
    """Module and name of a value's class."""
    return f"{type(value).__module__}.{type(value).__qualname__}"


def library(module: str, name: str) -> Any:
    """A class of an optional library if that is loaded; otherwise no object of it can exist."""
    return getattr(sys.modules.get(module), name, ())


def plain(value: Any, spend: Spend) -> bytes | None:
    """Digest of a value without parts, or None if it is of another kind.

    Args:
        value: anything.
        spend: called with the bytes of large values before they are read; it may raise.
    """
    if isinstance(value, NO_VALUES):
        return mix("no value", kind_of(value))
    if isinstance(value, PurePath):
        return mix("path", str(value))
    if isinstance(value, BY_TEXT):
        return mix("text", kind_of(value), repr(value))
    if isinstance(value, re.Pattern):
        return mix("pattern", scalar(value.pattern), str(value.flags))
    if isinstance(value, bytearray | memoryview):
        return mix("bytes", bytes(value))
    if any(isinstance(value, library("torch", name)) for name in OF_TORCH) or isinstance(
        value, library("numpy", "dtype")
    ):
        return mix("text", kind_of(value), str(value))
    try:
        return _large(value, spend)
    except (RuntimeError, TypeError, ValueError, NotImplementedError):  # sparse, quantised, or without memory
        return None


def _large(value: Any, spend: Spend) -> bytes | None:
    """Digest of an array, a tensor or a table."""
    if isinstance(value, library("torch", "Tensor")):
        return _tensor(value, spend)
    if isinstance(value, library("numpy", "generic")) and not value.dtype.hasobject:
        return mix("number", str(value.dtype), value.tobytes())
    if isinstance(value, library("numpy", "ndarray")) and not value.dtype.hasobject:
        spend(value.nbytes)
        mask = sys.modules["numpy"].ma.getmaskarray(value).tobytes() if hasattr(value, "mask") else b""
        return mix("array", str(value.dtype), str(value.shape), _bytes_of(value), mask)
    for name in ("DataFrame", "Series", "Index"):
        if isinstance(value, library("pandas", name)):
            return _table(value, spend)
    return None


def _tensor(value: Any, spend: Spend) -> bytes:
    """Digest of a tensor's type, shape and numbers, on any device."""
    torch = sys.modules["torch"]
    spend(value.element_size() * value.numel())
    numbers = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    return mix("tensor", str(value.dtype), str(tuple(value.shape)), _bytes_of(numbers))


def _bytes_of(array: Any) -> memoryview | bytes:
    """Bytes of an array in row order, without a copy if they are stored so."""
    bare = sys.modules["numpy"].asarray(array)
    return memoryview(bare.reshape(-1).view("uint8")) if bare.flags.c_contiguous and bare.size else bare.tobytes()


def _table(value: Any, spend: Spend) -> bytes:
    """Digest of cells, index, and names and types of columns of a pandas table."""
    memory = value.memory_usage()
    spend(int(memory if isinstance(memory, int) else memory.sum()))
    cells = sys.modules["pandas"].util.hash_pandas_object(value).to_numpy().tobytes()
    names = list(value.columns) if hasattr(value, "columns") else [value.name]
    types_ = [str(one) for one in value.dtypes] if hasattr(value, "columns") else [str(value.dtype)]
    return mix("table", kind_of(value), str(names), str(types_), cells)
