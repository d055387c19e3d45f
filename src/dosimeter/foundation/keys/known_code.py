"""What earlier processes read of the files of this package: to parse them anew takes each command two seconds."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TypeAlias

from pydantic import TypeAdapter, ValidationError

Reading: TypeAlias = tuple[str, tuple[str, ...]]
"""Digest of a file's code, and the modules that it imports from this package."""

MOST = 4_000
"""Most entries of a file; those that came first are left out."""

_FILE = TypeAdapter(dict[str, Reading])


def cache_folder() -> Path:
    """The folder of the user's cache: `dosimeter` below `XDG_CACHE_HOME`, or below `~/.cache`.

    Raises:
        RuntimeError: the user has no home.
    """
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dosimeter"


class KnownCode:
    """Readings by the digest of what was read, in a file of the user's cache.

    The file may be absent, damaged or not writable: then files are read again, as they would be without it.
    """

    def __init__(self) -> None:
        self._path: Path | None = None
        with contextlib.suppress(RuntimeError):  # a user without a home has no cache
            self._path = cache_folder() / "code.json"
        self._kept, self._new = self._stored(), dict[str, Reading]()

    def get(self, name: str) -> Reading | None:
        """The reading of this name, if it is known."""
        return self._kept.get(name)

    def add(self, name: str, reading: Reading) -> None:
        """Keeps a reading; `save` writes it."""
        self._kept[name] = self._new[name] = reading

    def save(self) -> None:
        """Writes what is new beside what other processes have written since; all or nothing."""
        if self._path is None or not self._new:
            return
        kept = dict(list((self._stored() | self._new).items())[-MOST:])
        self._new = {}
        with contextlib.suppress(OSError):  # a cache that cannot be written costs time alone
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle, draft = tempfile.mkstemp(dir=self._path.parent, prefix=".code.")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(_FILE.dump_json(kept))
                Path(draft).replace(self._path)
            finally:
                Path(draft).unlink(missing_ok=True)

    def _stored(self) -> dict[str, Reading]:
        """The entries of the file; none if it is not as `save` writes it."""
        try:
            return {} if self._path is None else _FILE.validate_json(self._path.read_bytes())
        except (OSError, ValidationError):
            return {}
