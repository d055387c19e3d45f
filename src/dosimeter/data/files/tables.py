"""Tables with a label column: `.csv`, `.parquet` and other Arrow tables."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dosimeter.data.cells import TEXT as TEXT_COLUMN
from dosimeter.data.cells import Cells, frame_cells
from dosimeter.data.dataset import TEXT_CLASS, Dataset, content_ids
from dosimeter.data.files.arrays import as_text
from dosimeter.data.files.attributes import check_attributes, read_attributes
from dosimeter.data.files.columns import content, one_hot, plain, read_features
from dosimeter.data.files.spelling import is_name, separator
from dosimeter.data.files.texts import as_texts
from dosimeter.data.files.tokens import tokens
from dosimeter.data.labels import encode_labels
from dosimeter.data.options import Request, as_data_error
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.checks import suggest
from dosimeter.foundation.errors import DataError
from dosimeter.foundation.wording import one_line, quote

SPECIAL = {"id": "ids", "person": "persons", "group": "groups"}
"""Options (and default names) of columns that are no features, with the part of the data set that each becomes."""
TEXT = ("length", "vocabulary", "tokenizer", "level")
"""Options for every kind of text."""
LONGEST_HEADER = 100_000
"""Most characters of a header that are examined."""
OPTIONS = ("classes", "noun", "label", *SPECIAL, "attributes", "categorical", "categories", "text", *TEXT)
"""Options that a table accepts."""


def load_table(path: Path, request: Request) -> Dataset:
    """A table with a `label` column and optional `id`, `person`, `group`; all other columns are features.

    Rows are counted from 0 and without the header, in messages as in `rows`.

    Args:
        path: `.csv` (commas, UTF-8, one header line) or `.parquet`.
        request: see `from_table`.

    Returns:
        See `from_table`.

    Raises:
        DataError: not a table, a column missing, repeated or nameless, a cell that fits none of the rules.
    """
    request.only(*OPTIONS)
    request = _with_text(request)
    special = special_columns(request)
    if path.suffix.lower() == ".csv":
        return from_table(_read_csv(path, request, special), request, csv=True)
    return from_table(_read_parquet(path, request), request)


def _with_text(request: Request) -> Request:
    """The request, with the usual column of text where a language model reads it and none is named."""
    if request.options.level is None:
        return request
    return replace(request, options=replace(request.options, text=request.options.text or "text"))


def from_table(
    table: Any, request: Request, noun: str = "record", *, primary: bool = False, csv: bool = False
) -> Dataset:
    """An Arrow table as a data set.

    Classes, categories and ids come from the whole table, so they do not depend on the rows asked for. Without a
    column of ids they are made of each record's content.

    Args:
        table: `pyarrow.Table`.
        request: rows, `classes`, `noun`, the names of the four columns, `attributes`; `categorical`, `categories`; or
            `text`, `length`, `vocabulary`, `tokenizer`, `level`, and then the columns that are not named are not read.
        noun: noun for a record unless the request says.
        primary: it was handed over as a data frame.
        csv: it was read from a file of text.

    Returns:
        Features `[n d]` float32 in the table's order of columns, text one-hot; or tokens `[n length]` int64.

    Raises:
        DataError: a column missing, repeated or nameless, a cell that fits none of the rules.
    """
    request = _with_text(request)
    name, options, special = request.name, request.options, special_columns(request)
    names = _column_names(table, name)
    if not table.num_rows:
        raise DataError(f"{name}: needs at least one record, got a header and no rows: check the file")
    kept = _present(names, special, request)
    check_attributes(names, {column: key.removesuffix("s") for key, column in kept.items()}, request)
    rest = _features(names, {*kept.values(), *options.attributes}, name)
    found = {as_: _values(table.column(column), column, name) for as_, column in kept.items()}
    rows = request.rows.within(table.num_rows, name)
    inputs, keys, columns, categories = _inputs(table, rest, rows, request)
    labels, classes = _labels(found, table.num_rows, request)
    texts_of = {c: as_text(found[c], c, name) for c in ("ids", "persons", "groups") if c in found}
    ids = texts_of.get("ids")
    attributes = read_attributes(table, range(table.num_rows), request)
    ids = content_ids(keys, _labelled(np.array(classes)[labels], attributes)) if ids is None else ids
    _distinct(ids, name)
    chosen = slice(rows.start, rows.stop)
    whole = Dataset(
        inputs=inputs,
        labels=labels[chosen],
        classes=classes,
        ids=ids[chosen],
        persons=texts_of["persons"][chosen] if "persons" in texts_of else None,
        groups=texts_of["groups"][chosen] if "groups" in texts_of else None,
        noun=options.noun or noun,
        name=name,
        columns=columns or None,
        categories=categories or None,
        part=request.part or options.level is not None,
        cells=_cells(table.slice(rows.start, len(rows)), kept, request, (primary, csv)) if request.part else None,
        tokens=options.text is not None,
        ordered=options.classes is not None or "labels" not in found or found["labels"].dtype.kind in "iufb",
        attributes={name: values[chosen] for name, values in attributes.items()},
    )
    return whole if options.level is None else as_texts(whole, list(keys)[rows.start : rows.stop], request)


def _features(names: list[str], others: set[str], name: str) -> list[str]:
    """Columns that are inputs; refuses a table without one."""
    rest = [column for column in names if column not in others]
    if not rest:
        raise DataError(f"{name}: needs at least one column of features beside {sorted(others)}, got none: add one")
    return rest


def _labels(found: Mapping[str, Array], n: int, request: Request) -> tuple[Array, tuple[str, ...]]:
    """Classes of all rows and their names; texts of a language model have none."""
    if request.options.level is not None:
        return np.zeros(n, np.int64), (TEXT_CLASS,)
    return encode_labels(found["labels"], request.name, request.options.classes)


def _labelled(labels: Array, attributes: Mapping[str, Array]) -> Array:
    """Labels with the attributes beside them, since both tell records with equal inputs apart."""
    if not attributes:
        return labels
    texts = [values.astype(str).tolist() for values in attributes.values()]
    return np.array([json.dumps(row) for row in zip(labels.tolist(), *texts, strict=True)])


def _inputs(
    table: Any, rest: list[str], rows: range, request: Request
) -> tuple[Array, Array | list[str], tuple[str, ...], dict[str, tuple[str, ...]]]:
    """Inputs of the requested rows, content for the ids of all rows, names of the features, and categories."""
    if request.options.text is not None:
        texts = _texts(table, request.options.text, rest, request)
        if request.options.level is not None:
            return np.zeros((len(rows), 1), np.int64), texts, (), {}
        return tokens(texts[rows.start : rows.stop], request), texts, (), {}
    features = read_features(table, rest, request)
    names = tuple(column for feature in features for column in feature.columns)
    categories = {one.title: one.categories for one in features if one.categories is not None}
    return one_hot(features, rows), content(features), names, categories


def _cells(table: Any, kept: Mapping[str, str], request: Request, source: tuple[bool, bool]) -> Cells:
    """Records of a table in the user's own form: its text, or all columns except the labels."""
    primary, csv = source
    if request.options.text is not None:
        return Cells("texts", texts_table(table.column(request.options.text).to_pylist()), primary=False)
    aside = {column for as_, column in kept.items() if as_ != "labels"} | set(request.options.attributes)
    return frame_cells(table.drop_columns([kept["labels"]]), aside, primary=primary, text=csv)


def texts_table(texts: Sequence[str | None]) -> Any:
    """Texts as the one column of an Arrow table."""
    import pyarrow as pa

    return pa.table({TEXT_COLUMN: pa.array(texts, pa.string())})


def _distinct(ids: Array, name: str) -> None:
    """Refuses an id that occurs twice in the whole table."""
    values, counts = np.unique(ids, return_counts=True)
    if len(values) < len(ids):
        raise DataError(
            f"{name}: ids must be distinct, got {quote(values[np.argmax(counts)].item())} {int(counts.max())} times: "
            "give each record its own id"
        )


def _texts(table: Any, column: str, rest: list[str], request: Request) -> list[str]:
    """The column of text; an empty cell is an empty text."""
    import pyarrow as pa

    if request.options.categorical or request.options.categories:
        raise DataError(f"{request.name}: text is the only input, got categorical or categories too: remove one")
    if column not in rest:
        raise DataError(
            f"{request.name}: needs a column {column!r} for the text, got none: {_suggestion(column, rest)}"
        )
    values = table.column(column)
    kind = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
        raise DataError(
            f"{request.name}: column {quote(column)} must be UTF-8 text, got {one_line(kind, 60)}: name another column"
        )
    return [text or "" for text in values.to_pylist()]


def _suggestion(column: str, names: list[str]) -> str:
    """End of a message about a missing column, with a suggestion."""
    return one_line(suggest(column, names))


def special_columns(request: Request) -> dict[str, str]:
    """Names of the special columns, by option."""
    options = request.options
    columns = {"label": options.label} | {key: getattr(options, key) or key for key in SPECIAL}
    if len(set(columns.values())) < len(columns):
        listed = ", ".join(f"{key} = {column!r}" for key, column in columns.items())
        raise DataError(f"{request.name}: one column cannot serve twice, got {listed}: name another column")
    return columns


def _read_csv(path: Path, request: Request, special: dict[str, str]) -> Any:
    """A CSV file as a table; ids, persons, groups, text and known categories stay text, other types are inferred."""
    import pyarrow as pa

    options = request.options
    typed = {*(special[key] for key in SPECIAL), *((set(options.categories or {})) - set(options.categorical))}
    text = {column: pa.string() for column in (*typed, *([options.text] if options.text else []))}
    with as_data_error(request.name, "write it as comma-separated UTF-8 text with one header line"):
        with path.open("rb") as file:
            if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
                raise DataError(f"{request.name}: must be UTF-8 text, got UTF-16: save it as CSV in UTF-8")
        needed = special["label"] if options.level is None else str(options.text)
        refuse_separator(path, [needed], request.name)
        try:
            table = _parse(path, text)
            return _as_spelt(table, [special["label"], *options.categorical, *options.attributes], path, request.name)
        except pa.ArrowInvalid as caught:
            raise find_ragged_row(str(caught), request.name) or caught from None


def refuse_separator(path: Path, needed: Sequence[str], place: str) -> None:
    """Refuses a CSV file whose columns are not separated by commas; other mistakes are reported later."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        line = next((line for line in iter(lambda: file.readline(LONGEST_HEADER), "") if line.strip()), "").strip(
            "\r\n"
        )
    mark = separator(line, needed)
    if mark is not None:
        raise DataError(
            f"{place}: columns must be separated by ',', got {mark}: separate the columns by commas, and write numbers "
            "as in 1234.5"
        )


def _parse(path: Path, types: Mapping[str, Any], only: Sequence[str] = ()) -> Any:
    """The table, or some of its columns, in one block, so that a type holds for a whole column."""
    from pyarrow import csv

    whole = min(max(path.stat().st_size, 1) + 1, 2**31 - 1)
    return csv.read_csv(
        path,
        read_options=csv.ReadOptions(use_threads=False, block_size=whole),
        parse_options=csv.ParseOptions(newlines_in_values=True),
        convert_options=csv.ConvertOptions(column_types=types, include_columns=list(only)),
    )


def _as_spelt(table: Any, columns: Sequence[str], path: Path, name: str) -> Any:
    """The table with columns as text that were read as numbers but hold names, such as `01` next to `1`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    names, kinds = _column_names(table, name), pa.types
    read = [c for c in dict.fromkeys(columns) if c in names]
    read = [c for c in read if kinds.is_integer(table[c].type) or kinds.is_floating(table[c].type)]
    if not read:
        return table
    again = _parse(path, dict.fromkeys(read, pa.string()), read)
    for column in read:
        text = pc.utf8_trim_whitespace(again[column])
        text = pc.if_else(pc.is_valid(table[column]), text, pa.scalar(None, pa.string()))
        if is_name(text):
            table = table.set_column(names.index(column), column, text)
    return table


def find_ragged_row(message: str, place: str) -> DataError | None:
    """The error about a row of another length, without the row, which may be private; None for other mistakes."""
    found = re.search(r"Row #(\d+): Expected (\d+) columns, got (\d+)", message)
    if not found:
        return None
    line, expected, got = found.groups()
    return DataError(
        f"{place}: every row must have {expected} cells like the header, got {got} in line {line}: correct the line, "
        "quote cells that contain commas, and write numbers as in 1234.5"
    )


def _read_parquet(path: Path, request: Request) -> Any:
    """A Parquet file as a table."""
    import pyarrow.parquet as pq

    with as_data_error(request.name, "write it again as Parquet"):
        found = pq.ParquetFile(path).read()
        found.validate(full=True)  # columns of a damaged file may differ in length
        return found


def _column_names(table: Any, name: str) -> list[str]:
    """The header; refuses repeated and empty names."""
    with as_data_error(name, "write the header as UTF-8", (UnicodeDecodeError,)):
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
    """Existing columns by part of the data set; refuses if the label or a requested column is missing."""
    kept = {}
    for key, column in special.items():
        if column in names:
            kept[SPECIAL.get(key, "labels")] = column
        elif request.options.level is None if key == "label" else getattr(request.options, key) is not None:
            remedy = _suggestion(column, names)
            raise DataError(f"{request.name}: needs a column {column!r} for the {key}, got none: {remedy}")
    return kept


def _values(column: Any, title: str, name: str) -> Array:
    """A label, id, person or group column `[n]`: numbers stay, all else becomes text; refuses empty cells."""
    import pyarrow as pa

    if column.null_count:
        row = int(np.argmax(column.is_null().to_numpy()))
        raise DataError(
            f"{name}: column {quote(title)} must not be empty, got a missing value in row {row} "
            f"({column.null_count} such rows): fill them in or remove the rows"
        )
    column = plain(column)
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        values: Array = column.to_numpy(zero_copy_only=False)
        return values
    if pa.types.is_binary(kind):
        raise DataError(f"{name}: column {quote(title)} must be UTF-8 text, got other bytes: convert the file")
    return np.array([str(value) for value in column.to_pylist()], dtype=str)
