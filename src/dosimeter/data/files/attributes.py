"""Columns of a table that are private attributes of a record, and no inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dosimeter.data.files.columns import plain
from dosimeter.data.options import Request
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.checks import suggest
from dosimeter.foundation.errors import DataError
from dosimeter.foundation.wording import one_line, quote


def check_attributes(columns: Sequence[str], serving: Mapping[str, str], request: Request) -> None:
    """Refuses attributes that name no column, or one that already serves.

    Args:
        columns: names of all columns.
        serving: what else columns serve as, in words, by name of the column.
        request: the option `attributes`, `text`, `inputs`, `categorical` and `categories`.

    Raises:
        DataError: every attribute that cannot be one, one line each.
    """
    options = request.options
    asked = {"text": options.text, "inputs": options.inputs}
    used = {column: key for key, column in asked.items() if column is not None}
    used |= {column: "one of the categories" for column in options.categories or {}}
    used |= {column: "one of categorical" for column in options.categorical} | dict(serving)
    problems = []
    for place, name in enumerate(options.attributes):
        if name not in columns:
            remedy = one_line(suggest(name, columns))
            problems.append(f"{request.name}: attributes must name columns, got {quote(name)}: {remedy}")
        elif name in options.attributes[:place]:
            problems.append(f"{request.name}: attributes must be distinct, got {quote(name)} twice: name it once")
        elif name in used:
            problems.append(
                f"{request.name}: one column cannot serve twice, got {quote(name)} as attribute and as {used[name]}: "
                "name another column"
            )
    if problems:
        raise DataError(*problems)


def read_attributes(table: Any, rows: range, request: Request) -> dict[str, Array]:
    """The attributes of some records: numbers as they are, all else as text without the spaces around it.

    Args:
        table: `pyarrow.Table` with these columns.
        rows: which records.
        request: the option `attributes`.

    Raises:
        DataError: a cell is missing, blank or not finite, or holds other bytes than text.
    """
    chosen = slice(rows.start, rows.stop)
    return {
        name: attribute_values(table.column(name), f"{request.name}: column {quote(name)}")[chosen]
        for name in request.options.attributes
    }


def attribute_values(column: Any, place: str) -> Array:
    """One Arrow column as attribute `[n]`: int64, float64 or text; truth values are `true` and `false`.

    Args:
        column: the column.
        place: start of messages.

    Raises:
        DataError: a cell is missing, blank or not finite, or holds other bytes than text.
    """
    import pyarrow as pa

    column = plain(column)
    missing: Array = column.is_null(nan_is_null=True).to_numpy(zero_copy_only=False)
    kind, types = column.type, pa.types
    values: Array
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_nested(kind):
        raise DataError(
            f"{place} must be text or numbers, got {one_line(kind, 60)}: convert it, or name another column"
        )
    if types.is_integer(kind) and not missing.any():
        values = column.to_numpy(zero_copy_only=False)
    elif types.is_floating(kind) or types.is_decimal(kind) or types.is_integer(kind):
        values = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        missing = missing | ~np.isfinite(values)
    else:
        texts = [("true" if value else "false") if value in (True, False) else value for value in column.to_pylist()]
        values = np.array([str(text).strip() for text in texts], dtype=str)
        missing = missing | (values == "")
    if missing.any():
        raise DataError(
            f"{place} is an attribute and must not be empty, got a missing value in row {int(np.argmax(missing))} "
            f"({int(missing.sum())} such rows): fill them in or remove the rows"
        )
    return values
