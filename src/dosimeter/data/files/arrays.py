"""Data sets from arrays; `.npz` files, tables and the user's functions share this code."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dosimeter.data.cells import Cells
from dosimeter.data.dataset import Dataset, content_ids
from dosimeter.data.labels import encode_labels
from dosimeter.data.options import Request, as_data_error
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.checks import suggest
from dosimeter.foundation.errors import DataError
from dosimeter.foundation.wording import one_line, quote

NAMES = {
    "inputs": ("inputs", "x", "images"),
    "labels": ("labels", "y"),
    "ids": ("ids",),
    "persons": ("persons",),
    "groups": ("groups",),
}
"""Parts of a data set, with the array names that an `.npz` file may use for each."""
UNKNOWN = ("nan", "NaN", "<NA>", "NaT")
"""Texts that stand for missing values; as names of persons they would merge strangers into one."""


def load_npz(path: Path, request: Request) -> Dataset:
    """Reads an `.npz` with `inputs` and `labels` (also x and y, images and labels) and optional ids, persons, groups.

    Args:
        path: the file; nothing in it is unpickled.
        request: rows, `classes`, `noun`.

    Returns:
        Images `[n c h w]` uint8 stay so (`[n h w]` gets an axis); other numbers become float32.

    Raises:
        DataError: the file is damaged, holds pickled objects, or lacks an array.
    """
    request.only("classes", "noun")
    with as_data_error(request.name, "write it again with numpy.savez"), path.open("rb") as file:
        archive = np.load(file, allow_pickle=False)
        if isinstance(archive, np.ndarray):
            raise DataError(f"{request.name}: must hold named arrays, got a single one: write it with numpy.savez")
        with archive:
            chosen = _choose(archive.files, request.name)
            arrays = {column: _read(archive, key, request.name) for column, key in chosen.items()}
    return assemble(arrays, request)


def _choose(files: list[str], name: str) -> dict[str, str]:
    """Choice of the array for each part of a data set."""
    if {"blob", "off", "label"} <= set(files):
        raise DataError(f"{name}: this is CIFAR-10 packed as JPEG, got it as plain arrays: write cifar10:{name}")
    chosen, known = {}, [key for keys in NAMES.values() for key in keys]
    for column, keys in NAMES.items():
        there = [key for key in keys if key in files]
        if len(there) > 1:
            raise DataError(f"{name}: must hold one array of {column}, got {' and '.join(there)}: keep one of them")
        if not there and column in ("inputs", "labels"):
            listed = one_line(", ".join(files)) or "no array"
            raise DataError(f"{name}: needs an array {column!r}, got {listed}: name it {' or '.join(keys)}")
        if there:
            chosen[column] = there[0]
    for key in sorted(set(files) - set(known)):
        raise DataError(f"{name}: array {quote(key)} has no use here: {suggest(key, known)}")
    return chosen


def _read(archive: Any, key: str, name: str) -> Array:
    """One array; refuses damaged ones and pickled objects."""
    try:
        array = archive[key]
    except ValueError as caught:
        if "allow_pickle" not in str(caught):
            raise
        raise DataError(
            f"{name}: array {key!r} must hold numbers or text, got Python objects, which are not unpickled: "
            "convert it, for example with .astype(str)"
        ) from None
    except (zipfile.BadZipFile, EOFError) as caught:
        raise DataError(f"{name}: array {key!r} is damaged, got {one_line(caught)}: copy the file again") from None
    if not isinstance(array, np.ndarray):  # a member of the archive that is no .npy file comes as bytes
        raise DataError(f"{name}: {key!r} must be an array, got {type(array).__name__}: write it with numpy.savez")
    return array


def assemble(arrays: Mapping[str, Array], request: Request, noun: str = "record") -> Dataset:
    """A data set from raw arrays: labels are encoded, ids made if none are given, rows selected.

    Class numbers and ids come from the whole source, so they do not depend on the rows asked for.

    Args:
        arrays: `inputs` `[n ...]`, `labels` `[n]`, and perhaps `ids`, `persons`, `groups` `[n]`.
        request: name, rows, `classes` and `noun`.
        noun: noun for a record unless the request says.

    Raises:
        DataError: see `Dataset`; also for shapes and types that cannot be inputs.
    """
    name = request.name
    inputs = as_inputs(arrays["inputs"], name)
    raw = arrays["labels"]
    lengths = {column: len(array) for column, array in arrays.items() if array.ndim}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{length} {column}" for column, length in lengths.items())
        raise DataError(f"{name}: columns must have equal lengths, got {listed}: give each record one of each")
    labels, classes = encode_labels(raw, name, request.options.classes)
    texts = {
        column: as_text(arrays[column], column, name) for column in ("ids", "persons", "groups") if column in arrays
    }
    ids = texts.get("ids")
    own = arrays["inputs"]
    typed = request.part and own.dtype.kind in "fiub" and own.dtype != inputs.dtype
    whole = Dataset(
        inputs=inputs,
        labels=labels,
        classes=classes,
        ids=content_ids(inputs, np.array(classes)[labels]) if ids is None else ids,
        persons=texts.get("persons"),
        groups=texts.get("groups"),
        noun=request.options.noun or noun,
        name=name,
        part=request.part,
        cells=Cells("array", own, primary=False) if typed else None,
        ordered=request.options.classes is not None or raw.dtype.kind in "iufb",
    )
    return request.select(whole)


def as_inputs(values: Array, name: str) -> Array:
    """Inputs in the types that models take: uint8 images `[n c h w]` stay, all other numbers become float32.

    Raises:
        DataError: text or objects, fewer than two axes, no features, or channels last.
    """
    if values.dtype.kind not in "fiub":
        raise DataError(f"{name}: inputs must be numbers, got {values.dtype}: encode them as numbers")
    if values.ndim < 2 or (len(values) and 0 in values.shape):
        raise DataError(
            f"{name}: inputs must have shape (n, features...), got {values.shape}: "
            "give each record at least one feature"
        )
    if values.ndim == 4 and values.shape[1] not in (1, 3) and values.shape[3] in (1, 3, 4) and values.shape[2] > 4:
        raise DataError(
            f"{name}: images must have shape (n, channels, height, width), got {values.shape}: "
            "move the channels with .transpose(0, 3, 1, 2)"
        )
    if values.dtype == np.uint8 and values.ndim in (3, 4):
        return values[:, None] if values.ndim == 3 else values
    if values.dtype == np.float32:
        return values
    with np.errstate(over="ignore"):
        small = values.astype(np.float32)
    lost = ~np.isfinite(small) & np.isfinite(values)
    if lost.any():
        row = int(np.flatnonzero(lost.reshape(len(values), -1).any(1))[0])
        raise DataError(f"{name}: inputs must fit float32, got {values[lost][0]} in row {row}: rescale the feature")
    return small


def _whole(values: Array, column: str, name: str) -> Array:
    """Whole numbers that were read as floats, as integers; NaN, and groups with fractions, stay as they are."""
    known, exact = ~np.isnan(values), 2.0 ** (np.finfo(values.dtype).nmant + 1)
    broken = known & ~((values == np.floor(values)) & (abs(values) <= exact))
    if broken.any() and column != "groups":
        row = int(np.argmax(broken))
        raise DataError(
            f"{name}: {column} must be text or whole numbers, as floats at most {exact:.0f}, got {values[row]} in row "
            f"{row} ({int(broken.sum())} such records): write whole numbers as integers, others as text"
        )
    return values if broken.any() or not known.all() else values.astype(np.int64)


def as_text(values: Array, column: str, name: str) -> Array:
    """Ids, persons or groups as text `[n]`, none missing."""
    if values.ndim != 1:
        raise DataError(f"{name}: {column} must have shape (n,), got {values.shape}: give one entry per record")
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8", "backslashreplace")
    if values.dtype.kind == "f":
        values = _whole(values, column, name)
    if values.dtype.kind == "U":
        missing = np.char.strip(values) == ""
        if column == "persons":
            missing |= np.isin(values, UNKNOWN)
    else:
        missing = np.array([v is None or v != v or str(v).strip() == "" for v in values.tolist()], bool)
    if missing.any():
        row = int(np.argmax(missing))
        shown = quote(str(values[row])) if values.dtype.kind == "U" and str(values[row]).strip() else "none"
        raise DataError(
            f"{name}: {column} must not be empty, got {shown} in row {row} "
            f"({int(missing.sum())} such records): fill them in or leave the whole column out"
        )
    return values if values.dtype.kind == "U" else np.array([str(v) for v in values.tolist()], dtype=str)
