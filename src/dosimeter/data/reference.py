"""Finds the data set for a data reference in an audit file."""

from __future__ import annotations

import logging
import re
import time
from dataclasses import replace
from pathlib import Path

from dosimeter.data.dataset import Dataset
from dosimeter.data.files.arrays import load_npz
from dosimeter.data.files.functions import load_function
from dosimeter.data.files.huggingface import load_huggingface
from dosimeter.data.files.images import load_images
from dosimeter.data.files.tables import load_table
from dosimeter.data.options import Options, Request, parse_rows, show_path
from dosimeter.foundation.checks import suggest
from dosimeter.foundation.errors import DataError
from dosimeter.foundation.user_code import REFERENCE
from dosimeter.foundation.wording import one_line

logger = logging.getLogger(__name__)

FILES = (".npz", ".csv", ".parquet")


def load(
    reference: str, *, rows: str | None = None, seed: int = 0, base: Path | None = None, options: Options | None = None
) -> Dataset:
    """The data set that a reference names.

    | reference | data |
    | --- | --- |
    | a name | built in, see `DATASETS` |
    | `cifar10:PATH`, `cifar10` | the user's own copy; without path from the environment variable DOSIMETER_CIFAR10 |
    | the same of `mnist`, `fashion-mnist`, `omniglot`, `sotu`, `spam` | DOSIMETER_MNIST and so on |
    | `hf:NAME_OR_PATH` | Hugging Face `datasets` |
    | `package.module:function` | what `function(seed)` returns |
    | a path | `.npz`, `.csv`, `.parquet`, or a folder of class folders |

    Args:
        reference: see above; `./digits` is a path where `digits` is a name.
        rows: `"a:b"`, records a to b - 1; None takes all.
        seed: handed to a function of the user; files do not read it.
        base: the folder that paths start from (the audit file's); None is the working directory.
        options: options for reading the source.

    Returns:
        The data set. Class numbers and ids do not depend on `rows`.

    Raises:
        DataError: nothing there by this name, or a broken rule of the source, one line each.

    >>> load("digits", rows="0:100").inputs.shape
    (100, 1, 8, 8)
    """
    name = one_line(reference, limit=500)
    request = Request(name, parse_rows(rows, name), options or Options(), seed, base or Path())
    if rows is not None:
        request = replace(request, name=f"{name}[{rows.strip()}]")
    return read(reference, request)


def read(reference: str, request: Request) -> Dataset:
    """The data set that a reference names, as `load` gives it, for a prepared request.

    Raises:
        DataError: nothing there by this name, or a broken rule of the source, one line each.
    """
    started = time.perf_counter()
    found = _dispatch(reference, request.base, request)
    logger.info("loaded %s: %s records, %.1f s", request.name, len(found), time.perf_counter() - started)
    return found


def _dispatch(reference: str, base: Path, request: Request) -> Dataset:
    """The loader for each kind of reference."""
    from dosimeter.data import DATASETS

    if reference in DATASETS:
        return DATASETS[reference].load(request)
    kind, _, rest = reference.partition(":")
    if rest and (kind == "hf" or (kind in DATASETS and DATASETS[kind].own)):
        path = base / Path(rest).expanduser()
        return load_huggingface(rest, path, request) if kind == "hf" else DATASETS[kind].load(request, path)
    if REFERENCE.fullmatch(reference):
        return load_function(reference, request)
    return _load_path(reference, base, request)


def _load_path(reference: str, base: Path, request: Request) -> Dataset:
    """A file by its suffix, or a folder of class folders."""
    if not reference.strip() or "\0" in reference:
        raise DataError(f"{request.name}: data must be a name, a path or package.module:function, got {reference!r}")
    path = base / Path(reference).expanduser()
    try:
        if path.is_dir():
            return load_images(path, request)
        there = path.is_file()
    except OSError as caught:
        raise DataError(f"{request.name}: must be readable, got {type(caught).__name__}: check the path") from None
    if not there:
        raise DataError(_not_there(reference, path, request.name))
    suffix = path.suffix.lower()
    if suffix not in FILES:
        raise DataError(
            f"{request.name}: a file of data must end in {', '.join(FILES)}, got {suffix!r}: convert it, "
            "or read it in a function of yours and write package.module:function"
        )
    return load_npz(path, request) if suffix == ".npz" else load_table(path, request)


def _not_there(reference: str, path: Path, name: str) -> str:
    """The error about a reference that names nothing."""
    from dosimeter.data import DATASETS

    if re.fullmatch(r"[\w-]+", reference):
        return f"{name}: unknown data set, and no folder {show_path(path)}: {suggest(reference, DATASETS)}"
    if ":" in reference:
        return f"{name}: a function is written package.module:function, got {reference!r}: correct it"
    return f"{name}: no such file or folder, got {show_path(path.absolute())}: paths start from the audit file's folder"
