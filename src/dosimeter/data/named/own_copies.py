"""The user's own copy of a data set: its place, and its files, packed or not."""

from __future__ import annotations

import gzip
import os
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

from dosimeter.data.options import Request, as_data_error, show_path
from dosimeter.foundation.errors import DataError

ARCHIVES = (".tgz", ".tar.gz", ".tar")


def find_own_copy(request: Request, path: Path | None, name: str, forms: str, usual: Path | None = None) -> Path:
    """Path of the copy that a reference `name:PATH`, an environment variable, or the usual place gives.

    Args:
        request: whose name messages use.
        path: from the reference, or None.
        name: name of the data set; the variable is `DOSIMETER_NAME`.
        forms: in words, what the copy may look like.
        usual: where a system package puts it.

    Raises:
        DataError: no copy is named, or none lies there.
    """
    variable = f"DOSIMETER_{name.upper().replace('-', '_')}"
    if path is None and os.environ.get(variable):
        path = Path(os.environ[variable]).expanduser()
    if path is None and usual is not None and usual.exists():
        path = usual
    if path is None:
        raise DataError(
            f"{request.name}: needs your own copy, got no path: write {name}:PATH or set {variable} to {forms}"
        )
    if not path.exists():
        raise DataError(f"{request.name}: no such file or folder, got {show_path(path)}: give {forms}")
    return path


def files_of(copy: Path, wanted: re.Pattern[str], request: Request, forms: str) -> Iterator[tuple[str, bytes]]:
    """Path and content of the files of a folder or a tar archive, sorted by path; those named `.gz` are unpacked.

    Nothing is written: members of an archive are read in place.

    Args:
        copy: folder or archive.
        wanted: is searched for in each path, which has `/` between its parts.
        request: whose name messages use.
        forms: in words, what the copy may look like.

    Raises:
        DataError: neither folder nor archive, damaged, or none of its files is wanted.
    """
    found = 0
    if copy.is_dir():
        paths = sorted((p.relative_to(copy).as_posix(), p) for p in copy.rglob("*") if p.is_file())
        for place, path in paths:
            if wanted.search(f"/{place}"):
                found += 1
                with as_data_error(f"{request.name}: {show_path(Path(place))}", "copy the file again"):
                    content = gzip.decompress(path.read_bytes()) if place.endswith(".gz") else path.read_bytes()
                yield place, content
    elif copy.name.lower().endswith(ARCHIVES):
        for place, content in _members(copy, wanted, request):
            found += 1
            yield place, content
    if not found:
        raise DataError(
            f"{request.name}: must be a known form, got {show_path(copy)}, which has no such files: give {forms}"
        )


def _members(copy: Path, wanted: re.Pattern[str], request: Request) -> list[tuple[str, bytes]]:
    """The wanted files of an archive, which is read once from front to back."""
    kept = []
    with as_data_error(request.name, "copy the archive again"), tarfile.open(copy) as archive:
        for member in archive:
            if member.isfile() and wanted.search(f"/{member.name}"):
                opened = archive.extractfile(member)
                content = opened.read() if opened else b""
                kept.append((member.name, gzip.decompress(content) if member.name.endswith(".gz") else content))
    return sorted(kept)
