"""Data sets of the Hugging Face library `datasets`, which is imported only here."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dosimeter.data.dataset import Dataset, content_ids
from dosimeter.data.files.arrays import as_inputs, as_text
from dosimeter.data.files.attributes import attribute_values, check_attributes
from dosimeter.data.files.tables import OPTIONS, from_table
from dosimeter.data.labels import encode_labels
from dosimeter.data.options import Request, as_data_error
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.checks import suggest
from dosimeter.foundation.errors import DataError
from dosimeter.foundation.wording import one_line, quote


def load_huggingface(source: str, path: Path, request: Request) -> Dataset:
    """A data set that `save_to_disk` wrote, or one that `datasets.load_dataset` finds by name.

    Args:
        source: the name, for `load_dataset`.
        path: where a saved one would lie; it goes first.
        request: rows; `split`; columns `inputs` (images or arrays; without it the only image column), `label`, `id`,
            `person`, `group`, `attributes`; without images, all that `tables.from_table` reads; `classes`, `noun`.

    Returns:
        Images `[n c h w]` uint8; features `[n d]` float32; or tokens `[n length]` int64. Without a column of ids they
        are made of each record's content, of images from the encoded file.

    Raises:
        DataError: the package or the data set is missing, or a column.
    """
    request.only(*OPTIONS, "inputs", "split")
    try:
        import datasets
    except ImportError:
        raise DataError(
            f'{request.name}: needs the package datasets, which is not installed: pip install "dosimeter[hf-datasets]"'
        ) from None
    with as_data_error(request.name, "check the name and the connection"):
        on_disk = path.is_dir()
        found: Any = datasets.load_from_disk(str(path)) if on_disk else datasets.load_dataset(source)
    return from_huggingface(found, request)


def is_huggingface(value: object) -> bool:
    """Returns whether a value is a data set of the library, or several splits of one; it imports nothing."""
    library = sys.modules.get("datasets")
    kinds = tuple(getattr(library, name, None) for name in ("Dataset", "DatasetDict"))
    return all(isinstance(kind, type) for kind in kinds) and isinstance(value, kinds)  # type: ignore[arg-type]


def from_huggingface(found: Any, request: Request) -> Dataset:
    """A data set of the library in memory, as `load_huggingface` reads it.

    Raises:
        DataError: a split or a column is missing.
    """
    request.only(*OPTIONS, "inputs", "split")
    table = _split(found, request)
    check_attributes(list(table.column_names), _special(request), request)
    label = _column(request.options.label, "label", list(table.column_names), request)
    names = None if label is None else getattr(table.features[label], "names", None)
    if names and request.options.classes is None:
        request = replace(request, options=replace(request.options, classes=tuple(names)))
    column = None if request.options.level is not None else _pictures(table, request)
    if column is not None:
        return _images(table, column, request)
    with as_data_error(request.name, "save it again with this version of datasets"):
        arrow = table.with_format("arrow")[:]
    return from_table(arrow, request)


def _images(table: Any, column: str, request: Request) -> Dataset:
    """The data set of a column of images or arrays; only the requested rows are decoded."""
    options, columns = request.options, list(table.column_names)
    for key in ("categorical", "categories", "text"):
        if getattr(options, key):
            raise DataError(f"{request.name}: the inputs are column {quote(column)}, got {key} too: remove one of them")
    kept = {key: _column(getattr(options, key) or key, key, columns, request) for key in ("id", "person", "group")}
    labels, classes = encode_labels(np.asarray(table[options.label][:]), request.name, options.classes)
    texts = {key: as_text(np.asarray(table[c][:]), key, request.name) for key, c in kept.items() if c is not None}
    rows = request.rows.within(len(table), request.name)
    with as_data_error(f"{request.name}: column {quote(column)}", "images must decode and have one size"):
        ids = texts["id"] if "id" in texts else content_ids(_raw(table, column), np.array(classes)[labels])
        inputs = as_inputs(np.stack([_pixels(value) for value in table.select(rows)[column]]), request.name)
    chosen = slice(rows.start, rows.stop)
    return Dataset(
        inputs=inputs,
        labels=labels[chosen],
        classes=classes,
        ids=ids[chosen],
        persons=texts["person"][chosen] if "person" in texts else None,
        groups=texts["group"][chosen] if "group" in texts else None,
        noun=options.noun or ("image" if inputs.ndim == 4 else "record"),
        name=request.name,
        part=request.part,
        attributes={c: _attribute(table, c, request.name)[chosen] for c in options.attributes},
    )


def _attribute(table: Any, column: str, name: str) -> Array:
    """One column as attribute of each record."""
    import pyarrow as pa

    place = f"{name}: column {quote(column)}"
    with as_data_error(place, "an attribute must be text or numbers"):
        values = pa.array(table[column][:])
    return attribute_values(values, place)


def _special(request: Request) -> dict[str, str]:
    """What columns serve as beside the inputs, by name."""
    options = request.options
    return {options.label: "label"} | {getattr(options, key) or key: key for key in ("id", "person", "group")}


def _raw(table: Any, column: str) -> list[bytes] | Array:
    """The content from which ids are made: encoded files of images, or values."""
    import datasets

    if not _is_image(table, column):
        return np.stack([np.asarray(value) for value in table[column]])
    encoded = table.select_columns([column]).cast_column(column, datasets.Image(decode=False))
    return [one["bytes"] or Path(one["path"]).read_bytes() for one in encoded[column]]


def _split(found: Any, request: Request) -> Any:
    """The requested split."""
    asked = request.options.split
    if not isinstance(found, dict):
        if asked is not None:
            raise DataError(f"{request.name}: this data set has no splits, got split = {asked!r}: remove the option")
        return found
    if asked is None and len(found) == 1:
        asked = next(iter(found))
    if asked not in found:
        remedy = suggest(asked, found) if asked else f"set split to one of: {', '.join(sorted(found))}"
        raise DataError(f"{request.name}: split must name one part, got {asked!r}: {remedy}")
    return found[asked]


def _column(column: str, key: str, columns: list[str], request: Request) -> str | None:
    """The column if it exists; refuses if the label, or a column that was requested by name, is missing."""
    if column in columns:
        return column
    if request.options.level is None if key == "label" else getattr(request.options, key) is not None:
        remedy = one_line(suggest(column, columns))
        raise DataError(f"{request.name}: needs a column {column!r} for the {key}, got none: {remedy}")
    return None


def _is_image(table: Any, column: str) -> bool:
    return type(table.features[column]).__name__ == "Image"


def _pictures(table: Any, request: Request) -> str | None:
    """The column of images or arrays that holds the inputs; None if they are columns of a table."""
    options = request.options
    special = {*_special(request), *options.attributes}
    rest = [column for column in table.column_names if column not in special]
    if options.inputs is not None:
        if options.inputs not in rest:
            remedy = one_line(suggest(options.inputs, rest))
            raise DataError(f"{request.name}: inputs must name a column, got {options.inputs!r}: {remedy}")
        return options.inputs
    images = [column for column in rest if _is_image(table, column)]
    if len(images) > 1 and options.text is None:
        raise DataError(f"{request.name}: one column must hold the inputs, got {one_line(images)}: set inputs to one")
    return images[0] if images and options.text is None else None


def _pixels(value: Any) -> Array:
    """One image `[c h w]` from Pillow, or an array as it is."""
    if not hasattr(value, "convert"):
        return np.asarray(value)
    if value.mode in ("1", "L"):
        return np.asarray(value.convert("L"))[None]
    return np.asarray(value.convert("RGB")).transpose(2, 0, 1)
