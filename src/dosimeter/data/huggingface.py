"""Data sets of the Hugging Face library `datasets`, which is imported only here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from dosimeter._check import suggest
from dosimeter._resolve import one_line, quoted
from dosimeter.data.arrays import as_inputs, as_text
from dosimeter.data.dataset import Array, Dataset
from dosimeter.data.labels import encode_labels
from dosimeter.data.options import Request, told
from dosimeter.errors import DataError


def load_huggingface(source: str, path: Path, request: Request) -> Dataset:
    """A data set saved by `save_to_disk`, or one that `datasets.load_dataset` finds by name.

    Args:
        source: the name, for `load_dataset`.
        path: where a saved one would lie; it goes first.
        request: rows; `split`; columns `inputs` (images; without it the only image column, else all numeric columns),
            `label`, `id`, `person`, `group`; `classes`, `noun`.

    Returns:
        Images `[n c h w]` uint8, or numeric columns `[n d]` float32. Ids are `split/00001` without an id column.

    Raises:
        DataError: the package or the data set is missing, or a column.
    """
    request.only("classes", "noun", "label", "id", "person", "group", "inputs", "split")
    try:
        import datasets
    except ImportError:
        raise DataError(
            f'{request.name}: needs the package datasets, which is not installed: pip install "dosimeter[hf-datasets]"'
        ) from None
    with told(request.name, "check the name and the connection"):
        on_disk = path.is_dir()
        found: Any = datasets.load_from_disk(str(path)) if on_disk else datasets.load_dataset(source)
    part, table = _split(found, request)
    options, columns = request.options, list(table.column_names)
    kept = {key: _column(getattr(options, key) or key, key, columns, request) for key in ("id", "person", "group")}
    label = _column(options.label, "label", columns, request)
    assert label is not None  # a missing label column was refused
    classes = options.classes or tuple(getattr(table.features[label], "names", None) or ()) or None
    labels, names = encode_labels(np.asarray(table[label][:]), request.name, classes)
    rows = request.rows.within(len(table), request.name)
    with told(request.name, "save it again with this version of datasets"):
        asked = table.select(rows)
    inputs = _inputs(asked, {label, *kept.values()}, request)
    texts = {key: as_text(np.asarray(asked[c][:]), key, request.name) for key, c in kept.items() if c is not None}
    numbered = np.array([f"{part}/{i:05d}" for i in rows])
    return Dataset(
        inputs=inputs,
        labels=labels[np.array(rows)],
        classes=names,
        ids=texts.get("id", numbered),
        persons=texts.get("person"),
        groups=texts.get("group"),
        noun=options.noun or ("image" if inputs.ndim == 4 else "record"),
        name=request.name,
    )


def _split(found: Any, request: Request) -> tuple[str, Any]:
    """The asked split and its name."""
    asked = request.options.split
    if not isinstance(found, dict):
        if asked is not None:
            raise DataError(f"{request.name}: this data set has no splits, got split = {asked!r}: remove the option")
        return str(found.split or "all"), found
    if asked is None and len(found) == 1:
        asked = next(iter(found))
    if asked not in found:
        remedy = suggest(asked, found) if asked else f"set split to one of: {', '.join(sorted(found))}"
        raise DataError(f"{request.name}: split must name one part, got {asked!r}: {remedy}")
    return str(asked), found[asked]


def _column(column: str, key: str, columns: list[str], request: Request) -> str | None:
    """The column if it is there; the label and what was asked by name must be."""
    if column in columns:
        return column
    if key == "label" or getattr(request.options, key) is not None:
        remedy = one_line(suggest(column, columns))
        raise DataError(f"{request.name}: needs a column {column!r} for the {key}, got none: {remedy}")
    return None


def _inputs(table: Any, special: set[str | None], request: Request) -> Array:
    """Images `[n c h w]`, or numeric columns `[n d]`."""
    rest = [column for column in table.column_names if column not in special]
    images = [column for column in rest if type(table.features[column]).__name__ == "Image"]
    chosen = request.options.inputs
    if chosen is None and len(images) > 1:
        raise DataError(f"{request.name}: one column must hold the inputs, got {one_line(images)}: set inputs to one")
    if chosen is not None and chosen not in rest:
        raise DataError(f"{request.name}: inputs must name a column, got {chosen!r}: {one_line(suggest(chosen, rest))}")
    if chosen is None and not images:
        with told(request.name, "set inputs to a column of images, or keep numeric columns only"):
            return as_inputs(np.stack([np.asarray(table[column][:]) for column in rest], 1), request.name)
    column = chosen or images[0]
    with told(f"{request.name}: column {quoted(column)}", "images must decode and have one size"):
        return as_inputs(np.stack([_pixels(value) for value in table[column]]), request.name)


def _pixels(value: Any) -> Array:
    """One image `[c h w]` from Pillow, or an array as it is."""
    if not hasattr(value, "convert"):
        return np.asarray(value)
    if value.mode in ("1", "L"):
        return np.asarray(value.convert("L"))[None]
    return np.asarray(value.convert("RGB")).transpose(2, 0, 1)
