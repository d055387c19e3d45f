"""Tables: `.csv` and `.parquet` with a label column and numeric features."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from dosimeter._check import suggest
from dosimeter._resolve import one_line, quoted
from dosimeter.data.arrays import assemble
from dosimeter.data.dataset import Array, Dataset
from dosimeter.data.options import Request, told
from dosimeter.errors import DataError

SPECIAL = {"id": "ids", "person": "persons", "group": "groups"}
"""Option (and default name) of a column that is not a feature, to what it becomes."""


def load_table(path: Path, request: Request) -> Dataset:
    """A table with a `label` column, perhaps `id`, `person`, `group`, and all other columns numeric features.

    Rows are counted from 0 and without the header, in messages as in `rows`.

    Args:
        path: `.csv` (commas, UTF-8, one header line) or `.parquet`.
        request: rows, `classes`, `noun`, and the names of the four columns.

    Returns:
        Features `[n d]` float32 in the file's order of columns.

    Raises:
        DataError: not a table, a column missing, repeated, nameless or not numeric, a cell empty or not finite.
    """
    request.only("classes", "noun", "label", *SPECIAL)
    special = _special_columns(request)
    table = _read_csv(path, request, special) if path.suffix.lower() == ".csv" else _read_parquet(path, request)
    names = _column_names(table, request.name)
    if not table.num_rows:
        raise DataError(f"{request.name}: needs at least one record, got a header and no rows: check the file")
    kept = _present(names, special, request)
    features = [c for c in names if c not in kept.values()]
    if not features:
        raise DataError(f"{request.name}: needs at least one numeric column beside {sorted(kept.values())}, got none")
    inputs = np.empty((table.num_rows, len(features)), np.float64)
    for i, column in enumerate(features):
        inputs[:, i] = _numbers(table.column(column), column, request.name)
    arrays = {as_: _values(table.column(column), column, request.name) for as_, column in kept.items()}
    return assemble({"inputs": inputs, **arrays}, request)


def _special_columns(request: Request) -> dict[str, str]:
    """Option name to the column it means."""
    options = request.options
    columns = {"label": options.label} | {key: getattr(options, key) or key for key in SPECIAL}
    if len(set(columns.values())) < len(columns):
        listed = ", ".join(f"{key} = {column!r}" for key, column in columns.items())
        raise DataError(f"{request.name}: one column cannot serve twice, got {listed}: name another column")
    return columns


def _read_csv(path: Path, request: Request, special: dict[str, str]) -> Any:
    """The table; ids, persons and groups as text, all other types read off the whole column."""
    import pyarrow as pa
    from pyarrow import csv

    broken: list[Any] = []

    def note(row: Any) -> str:
        broken.append(row)
        return "error"

    text = {special[key]: pa.string() for key in SPECIAL}
    whole = min(max(path.stat().st_size, 1) + 1, 2**31 - 1)
    with told(request.name, "write it as comma-separated UTF-8 text with one header line"):
        try:
            return csv.read_csv(
                path,
                read_options=csv.ReadOptions(use_threads=False, block_size=whole),
                parse_options=csv.ParseOptions(newlines_in_values=True, invalid_row_handler=note),
                convert_options=csv.ConvertOptions(column_types=text),
            )
        except pa.ArrowInvalid:
            if not broken:
                raise
            row = broken[0]  # its text may be private, so the message has the counts only
            raise DataError(
                f"{request.name}: every row must have {row.expected_columns} cells like the header, "
                f"got {row.actual_columns} in line {row.number}: correct the line, or quote cells that contain commas"
            ) from None


def _read_parquet(path: Path, request: Request) -> Any:
    """The table."""
    import pyarrow.parquet as pq

    with told(request.name, "write it again as Parquet"):
        return pq.ParquetFile(path).read()


def _column_names(table: Any, name: str) -> list[str]:
    """The header, each name once and not empty."""
    with told(name, "write the header as UTF-8", (UnicodeDecodeError,)):
        names: list[str] = list(table.column_names)
    for i, column in enumerate(names):
        if column in names[:i]:
            raise DataError(f"{name}: column names must be distinct, got {column!r} twice: rename one of them")
        if not column.strip() or column.startswith(("Unnamed: ", "__index_level_")):
            raise DataError(
                f"{name}: every column needs a name, got {column!r} at position {i}, which looks like a pandas index: "
                "write the file with index=False, or name the column id"
            )
    return names


def _present(names: list[str], special: dict[str, str], request: Request) -> dict[str, str]:
    """Data-set column to table column, for those that are there; the label and what was asked by name must be."""
    kept = {}
    for key, column in special.items():
        if column in names:
            kept[SPECIAL.get(key, "labels")] = column
        elif key == "label" or getattr(request.options, key) is not None:
            remedy = suggest(column, names)
            if len(names) == 1 and any(mark in names[0] for mark in ";\t|"):
                remedy = "separate the columns by commas"
            raise DataError(f"{request.name}: needs a column {column!r} for the {key}, got none: {one_line(remedy)}")
    return kept


def _numbers(column: Any, title: str, name: str) -> Array:
    """A feature `[n]` as float64, all finite."""
    import pyarrow as pa

    kind, types = column.type, pa.types
    numeric = (types.is_integer, types.is_floating, types.is_boolean, types.is_decimal, types.is_null)
    if not any(is_kind(kind) for is_kind in numeric):
        row, value = next(((i, v) for i, v in enumerate(column.to_pylist()) if not _is_number(v)), (0, None))
        raise DataError(
            f"{name}: column {quoted(title)} must be numeric, got {quoted(value, 60)} in row {row} "
            f"(type {one_line(kind, 60)}): encode it as numbers or remove it, categories come in a later release"
        )
    with told(f"{name}: column {quoted(title)}", "write it as numbers"):
        values: Array = column.cast(pa.float64(), safe=False).to_numpy()
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        state = "a missing value" if np.isnan(values[bad[0]]) else str(values[bad[0]])
        raise DataError(
            f"{name}: column {quoted(title)} must be finite numbers, got {state} in row {bad[0]} "
            f"({len(bad)} such rows): impute or remove them"
        )
    return values


def _is_number(value: object) -> bool:
    """Whether a cell reads as a number; an empty cell is not what makes a column text."""
    if value is None or value == "":
        return True
    try:
        float(str(value))
    except ValueError:
        return False
    return True


def _values(column: Any, title: str, name: str) -> Array:
    """A label, id, person or group column `[n]`: numbers as they are, all else as text; no cell empty."""
    import pyarrow as pa

    if column.null_count:
        row = int(np.argmax(column.is_null().to_numpy()))
        raise DataError(
            f"{name}: column {quoted(title)} must not be empty, got a missing value in row {row} "
            f"({column.null_count} such rows): fill them in or remove the rows"
        )
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        values: Array = column.to_numpy()
        return values
    if pa.types.is_binary(kind):
        raise DataError(f"{name}: column {quoted(title)} must be UTF-8 text, got other bytes: convert the file")
    return np.array([str(value) for value in column.to_pylist()], dtype=str)
