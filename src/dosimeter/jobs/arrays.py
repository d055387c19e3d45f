"""Named arrays of a run's folder: writing and reading."""

from __future__ import annotations

import contextlib
import hashlib
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import StoreError
from dosimeter.jobs.store import writing

_SAMPLE = 1 << 16
"""Bytes by which an array is judged: it is compressed if these shrink to less than half."""


def save_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Writes arrays as an npz without pickle, under a temporary name that is then renamed.

    Bits, counts and copies of one row are compressed. Scores are not: their last digits are chance.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}")
        with draft.open("wb") as file, zipfile.ZipFile(file, "w", compresslevel=1) as archive:
            for name, value in arrays.items():
                array = np.asanyarray(value)
                archive.compression = zipfile.ZIP_DEFLATED if _shrinks(array) else zipfile.ZIP_STORED
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, array, allow_pickle=False)
        draft.replace(path)


def _shrinks(array: Array) -> bool:
    """Returns whether compression is worth its time, by a part from the middle."""
    values = np.ascontiguousarray(array).reshape(-1)
    first = max(0, (array.nbytes - _SAMPLE) // 2) // max(array.itemsize, 1)
    sample = values[first:][: _SAMPLE // max(array.itemsize, 1)].tobytes()
    return 2 * len(zlib.compress(sample, 1)) < len(sample)


def read_arrays(path: Path) -> dict[str, Array]:
    """The arrays of an npz, read whole; the file is closed even if it is damaged."""
    with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def arrays_hash(**arrays: Any) -> str:
    """SHA-256 over named arrays: names, types, shapes and bytes, 24 hexadecimal digits; texts count by themselves.

    >>> arrays_hash(a=np.arange(2)) == arrays_hash(a=np.arange(2)), arrays_hash(a=np.arange(2)) == arrays_hash(a=[0, 2])
    (True, False)
    """
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        array = array.astype(str) if array.dtype.kind == "O" else array
        digest.update(f"{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:24]


@contextlib.contextmanager
def undamaged(folder: Path) -> Iterator[None]:
    """Says that a run's folder is damaged if reading inside the block fails.

    Raises:
        StoreError: it failed.
    """
    try:
        yield
    except (OSError, ValueError, KeyError, IndexError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise StoreError(f"{folder}: is damaged ({type(error).__name__}: {error}): run the audit again") from error
