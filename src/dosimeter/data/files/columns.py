"""Columns of a table as features: numbers stay, text becomes one-hot."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dosimeter.data.files.spelling import USUAL, decimal_text, odd_number
from dosimeter.data.options import Request, as_data_error
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import DataError
from dosimeter.foundation.wording import one_line, quote

logger = logging.getLogger(__name__)

MISSING = "?"
"""Category of cells that are empty, `?` or null."""
MOST_CATEGORIES = 1000
"""Most distinct texts in one column; more look like ids or free text."""

_HALF = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Feature:
    """One column, read.

    Attributes:
        title: its name.
        values: numbers `[n]` float32, or positions in `categories` `[n]` int32, -1 for one that is not among them.
        categories: None if the column is numeric.
        keys: a number for each record's content `[n]` uint32, which does not depend on the other records.
    """

    title: str
    values: Array
    categories: tuple[str, ...] | None
    keys: Array

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the features that this column becomes."""
        if self.categories is None:
            return (self.title,)
        return tuple(f"{self.title}={category}" for category in self.categories)


def arrow_columns(columns: Mapping[Any, Any], place: str, remedy: str) -> Any:
    """Columns by name as an Arrow table.

    Args:
        columns: lists of one length.
        place: start of messages.
        remedy: end of them.

    Raises:
        DataError: they are none.
    """
    import pyarrow as pa

    with as_data_error(place, remedy):
        own = {str(name): list(values) for name, values in columns.items()}
        with whole_characters(own, place):
            return pa.table(own)


@contextlib.contextmanager
def whole_characters(columns: Any, place: str) -> Iterator[None]:
    """Names column and row of half a surrogate pair, which no table of Arrow holds, if the block fails for it.

    Args:
        columns: values by name, a mapping or a data frame.
        place: start of the message.

    Raises:
        DataError: there is one.
    """
    try:
        yield
    except UnicodeEncodeError as caught:
        found = (f" in column {quote(name)}, row {row}" for name in columns for row, one in enumerate(columns[name])
                 if isinstance(one, str) and _HALF.search(one))  # fmt: skip
        raise DataError(
            f"{place}: must be text of whole characters, got half of a surrogate pair{next(found, '')}: remove it, or "
            "read the texts in their own encoding"
        ) from caught


def read_features(table: Any, titles: Sequence[str], request: Request) -> list[Feature]:
    """The named columns of an Arrow table as features.

    Args:
        table: `pyarrow.Table`.
        titles: which columns.
        request: `categorical` and `categories`.

    Raises:
        DataError: a column that is neither numbers nor categories, a number missing or not finite, an unknown name in
            `categorical` or `categories`.
    """
    options = request.options
    given: Mapping[str, tuple[str, ...]] = options.categories or {}
    for key, names in (("categorical", options.categorical), ("categories", tuple(given))):
        for name in names:
            if name not in titles:
                raise DataError(f"{request.name}: {key} must name features, got {quote(name)}: correct the name")
    for name, listed in given.items():
        if len(set(listed)) < len(listed) or not listed:
            raise DataError(f"{request.name}: categories of {quote(name)} must be distinct, got {one_line(listed)}")
    return [_feature(plain(table.column(title)), title, request) for title in titles]


def one_hot(features: Sequence[Feature], rows: range) -> Array:
    """The inputs `[k d]` float32 of some records: numbers, and 1 in the column of each record's category."""
    inputs = np.zeros((len(rows), sum(len(feature.columns) for feature in features)), np.float32)
    chosen, start = slice(rows.start, rows.stop), 0
    for feature in features:
        values = feature.values[chosen]
        if feature.categories is None:
            inputs[:, start] = values
        else:
            known = np.flatnonzero(values >= 0)
            inputs[known, start + values[known]] = 1
        start += len(feature.columns)
    return inputs


def content(features: Sequence[Feature]) -> Array:
    """The content from which ids are made `[n ...]`: equal for equal records, independent of the rest of the table."""
    return np.stack([feature.keys for feature in features], 1)


def plain(column: Any) -> Any:
    """A column in one piece, with dictionaries replaced by their values."""
    import pyarrow as pa

    values = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return values.cast(values.type.value_type) if pa.types.is_dictionary(values.type) else values


def _feature(column: Any, title: str, request: Request) -> Feature:
    """A column as a feature, by its type and the options."""
    import pyarrow as pa

    kind, types = column.type, pa.types
    place = f"{request.name}: column {quote(title)}"
    asked = title in request.options.categorical or title in (request.options.categories or {})
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return _categories(column, title, place, request, asked=asked)
    if asked and types.is_temporal(kind):
        return _categories(column.cast(pa.string()), title, place, request, asked=True)
    numeric = (types.is_integer, types.is_floating, types.is_boolean, types.is_decimal, types.is_null)
    if not any(is_kind(kind) for is_kind in numeric):
        value = next((v for v in column.to_pylist() if v is not None), None)
        raise DataError(
            f"{place} must be numbers or text, got {quote(value, 60)} (type {one_line(kind, 60)}): "
            "turn it into numbers, remove it, or name it in categorical if it holds dates"
        )
    if asked:
        whole = types.is_integer(kind) or types.is_boolean(kind)
        with as_data_error(place, "categories of numbers must be whole, write them as text"):
            text = (column if whole else column.cast(pa.int64())).cast(pa.string())
        return _categories(text, title, place, request, asked=True)
    values = _numbers(column, place, missing=request.part)
    return Feature(title, values, None, values.view(np.uint32))


def _numbers(column: Any, place: str, *, missing: bool) -> Array:
    """A numeric feature `[n]` float32, finite except for allowed missing cells, which are NaN."""
    import pyarrow as pa

    with as_data_error(place, "write it as numbers"):
        values: Array = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    bad = np.flatnonzero(np.isinf(values) if missing else ~np.isfinite(values))
    if len(bad):
        state = "a missing value" if np.isnan(values[bad[0]]) else str(values[bad[0]])
        raise DataError(
            f"{place} must be finite numbers, got {state} in row {bad[0]} ({len(bad)} such rows): impute or remove them"
        )
    with np.errstate(over="ignore"):
        small = values.astype(np.float32)
    lost = np.flatnonzero(np.isinf(small))
    if len(lost):
        raise DataError(f"{place} must fit float32, got {values[lost[0]]} in row {lost[0]}: rescale the feature")
    return small


def _categories(column: Any, title: str, place: str, request: Request, *, asked: bool) -> Feature:
    """A column of text as categories, sorted; numbers by value."""
    import pyarrow as pa
    import pyarrow.compute as pc

    with as_data_error(place, "convert the file to UTF-8"):
        trimmed = pc.utf8_trim_whitespace(column.cast(pa.string()).fill_null(MISSING))
        encoded = trimmed.dictionary_encode()
        codes: Array = encoded.indices.to_numpy(zero_copy_only=False)
        texts = [text or MISSING for text in encoded.dictionary.to_pylist()]
    if not asked:
        known = [text for text in texts if text != MISSING]
        _refuse_odd(odd_number(known), codes, texts, place)
        _refuse_mixed(codes, texts, place)
        _refuse_odd(decimal_text(texts), codes, texts, place)
    found = set(texts)
    given = (request.options.categories or {}).get(title)
    if given is None and len(found) > MOST_CATEGORIES:
        raise DataError(
            f"{place} must have at most {MOST_CATEGORIES} categories, got {len(found)} distinct texts, which looks "
            "like an id or free text: remove it, name it with the option id, or with the option text"
        )
    categories = given if given is not None else tuple(sorted(found, key=_order))
    position = {category: i for i, category in enumerate(categories)}
    values = np.array([position.get(text, -1) for text in texts], np.int32)[codes]
    unseen = int((values < 0).sum())
    if unseen:
        logger.warning("%s: %s records have a category that is not among those given; they get zeros", place, unseen)
    return Feature(title, values, categories, _content_keys(texts)[codes])


def _content_keys(texts: Sequence[str]) -> Array:
    """A number for each text that depends on this text alone."""
    import zlib

    return np.array([zlib.crc32(text.encode("utf-8", "surrogatepass")) for text in texts], np.uint32)


def _order(category: str) -> tuple[bool, float, str]:
    """Sort key: whole numbers come first, by value; then text."""
    number = re.fullmatch(r"-?\d{1,15}", category, re.ASCII) is not None
    return not number, float(category) if number else 0.0, category


def _refuse_odd(odd: str | None, codes: Array, texts: Sequence[str], place: str) -> None:
    """Refuses a column of numbers that would be read as names, since each would become a feature of its own."""
    if odd is not None:
        row = int(np.argmax(codes == texts.index(odd)))
        raise DataError(
            f"{place} must hold numbers written as in 1234.5, and not as text, got {quote(odd, 60)} in row {row}: "
            "write them so, without marks and units, or name the column in categorical"
        )


def _refuse_mixed(codes: Array, texts: Sequence[str], place: str) -> None:
    """Refuses a column of numbers with some cells of text: a mistake, or marks for missing numbers."""
    numbers = np.array([USUAL.fullmatch(text) is not None for text in texts], bool)
    others = ~numbers
    missing = np.array([text == MISSING for text in texts], bool)
    if not numbers.any() or (numbers | missing).all() and not missing.any():
        return
    row = int(np.argmax(others[codes]))
    told_value = "a missing value" if missing[codes[row]] else quote(texts[codes[row]], 60)
    raise DataError(
        f"{place} must be numbers or text, got both, {told_value} in row {row} ({int(others[codes].sum())} such rows): "
        "correct or impute them, or name the column in categorical"
    )


@dataclass(frozen=True)
class Block:
    """Features of a data set that come from one column of its table.

    Attributes:
        title: name of the column.
        start: first feature.
        stop: behind the last.
        categories: None if the column is numeric.
    """

    title: str
    start: int
    stop: int
    categories: tuple[str, ...] | None


def blocks(columns: Sequence[str], categories: Mapping[str, tuple[str, ...]] | None) -> list[Block]:
    """Features, grouped by the column that they come from.

    >>> [(block.title, block.start, block.stop) for block in blocks(["a", "b=x", "b=y"], {"b": ("x", "y")})]
    [('a', 0, 1), ('b', 1, 3)]
    """
    starts = {f"{title}={listed[0]}": (title, listed) for title, listed in (categories or {}).items()}
    found: list[Block] = []
    place = 0
    while place < len(columns):
        title, listed = starts.get(columns[place], (columns[place], None))
        stop = place + (1 if listed is None else len(listed))
        found.append(Block(title, place, stop, listed))
        place = stop
    return found
