"""A content-addressed cache of tensors on disk: atomic, checked by hash, safe for several writers.

`ROOT/KEY/` holds `tensors.safetensors` and `manifest.json`. An entry is prepared under a temporary name and renamed
as a whole, so an entry that has a name is complete.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import logging
import os
import platform
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors

from dosimeter.foundation.errors import StoreError
from dosimeter.foundation.package import __version__

if TYPE_CHECKING:
    from torch import Tensor

logger = logging.getLogger(__name__)

_HOST = hashlib.sha256(platform.node().encode()).hexdigest()[:8]
"""Short hash of this machine's name, for the names of drafts: a store may be shared between machines."""


def this_machine() -> str:
    """A short name of this machine, for drafts and leases in a shared store."""
    return _HOST


FORMAT = 1
"""Version of the layout of an entry."""
_BEGAN: ContextVar[float | None] = ContextVar("began", default=None)


@contextlib.contextmanager
def timing() -> Iterator[None]:
    """Notes when a piece of work begins; an entry that is saved inside the block keeps the seconds until then.

    They are those of the processor, since work waits for its turn where several processes share a machine.
    """
    token = _BEGAN.set(time.process_time())
    try:
        yield
    finally:
        _BEGAN.reset(token)


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal definitions give equal text.

    >>> canonical({"b": 1, "a": [1.5, None]})
    '{"a":[1.5,null],"b":1}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def key_of(definition: Mapping[str, Any]) -> str:
    """The key of a definition: 24 hexadecimal digits of SHA-256 over its canonical JSON."""
    return hashlib.sha256(canonical(definition).encode()).hexdigest()[:24]


def file_hash(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns errors of the operating system inside the block into one line with a remedy."""
    try:
        yield
    except (OSError, safetensors.SafetensorError) as error:
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error)
        remedy = "free space or choose another place with --out or --store" if full else "check that it can be written"
        reason = "the disk is full" if full else (getattr(error, "strerror", None) or str(error))
        raise StoreError(f"{path}: cannot be written, {reason}: {remedy}") from error


def write_text(path: Path, text: str) -> None:
    """Writes a text file under a temporary name in the same folder, then renames it."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o644)
            Path(name).replace(path)
        finally:
            Path(name).unlink(missing_ok=True)


@dataclass(frozen=True)
class Store:
    """The cache.

    Attributes:
        root: its folder; made when first written.
    """

    root: Path

    @property
    def name(self) -> str:
        """Name of the store in messages."""
        return str(self.root)

    def has(self, key: str) -> bool:
        """Returns whether there is a complete entry, without reading its tensors."""
        return (self.root / key / "manifest.json").is_file()

    def definition(self, key: str) -> dict[str, Any]:
        """The definition that was hashed to make the key."""
        return dict(json.loads(self._get(f"{key}/manifest.json"))["definition"])

    def seconds(self, key: str) -> float | None:
        """Seconds in which an entry was made, whenever that was; None if nobody noted them."""
        try:
            own = self.root / key / "manifest.json"  # a remote store has copied here what it read
            found = json.loads(own.read_bytes() if own.is_file() else self._get(f"{key}/manifest.json")).get("seconds")
        except (OSError, ValueError, StoreError):
            return None
        return float(found) if isinstance(found, int | float) else None

    def definitions(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Key and definition of every complete entry, in the order of keys."""
        for path in sorted(self.root.glob("*/manifest.json")):
            try:
                yield path.parent.name, self.definition(path.parent.name)
            except (ValueError, KeyError, TypeError, RecursionError, OSError) as error:
                logger.warning("%s: unreadable, ignored (%s)", path, error)

    def listing(self) -> Iterator[tuple[str, int, float]]:
        """Key, bytes and time of last use (seconds since the epoch) of every complete entry."""
        for manifest in self.root.glob("*/manifest.json"):
            with contextlib.suppress(FileNotFoundError):  # another process may remove it meanwhile
                size = sum(file.stat().st_size for file in manifest.parent.iterdir())
                yield manifest.parent.name, size, manifest.stat().st_mtime

    def verify(self, key: str) -> bool:
        """Returns whether there is a complete and undamaged entry.

        A damaged entry (its hash differs, or it cannot be read) is removed and logged, so that it is made again.

        Raises:
            StoreError: another version wrote the entry; it stays.
        """
        folder = self.root / key
        if not folder.exists():
            return False
        problem = self._damage(key)
        if problem:
            logger.warning("%s: cached entry is damaged (%s); it is removed and made again", folder, problem)
            _remove(folder)
        else:
            self.touch(key)
        return not problem

    def touch(self, key: str) -> None:
        """Notes that an entry is used, if there is one; a read-only store takes no note."""
        with contextlib.suppress(OSError):
            os.utime(self.root / key / "manifest.json")

    def remove(self, key: str) -> None:
        """Removes an entry, after renaming it, so that nobody reads a part of it."""
        draft = self.root / f".draft-{os.getpid()}-{_HOST}-removed-{key}"
        with contextlib.suppress(OSError):
            (self.root / key).rename(draft)
        shutil.rmtree(draft, ignore_errors=True)

    def _damage(self, key: str) -> str:
        """The problem with an entry, or an empty string."""
        folder = self.root / key
        try:
            text = (folder / "manifest.json").read_bytes()
            return damage_of(text, folder) or damage_of_tensors(text, folder / "tensors.safetensors")
        except OSError as error:
            return f"{type(error).__name__}: {error}"

    def load(self, key: str) -> dict[str, Tensor]:
        """The tensors of an entry, memory-mapped.

        Raises:
            StoreError: there is no such entry.
        """
        from safetensors.torch import load_file  # loads PyTorch, which takes seconds

        path = self.root / key / "tensors.safetensors"
        try:
            return load_file(path)
        except (OSError, safetensors.SafetensorError) as error:
            raise StoreError(f"{path}: cannot be read ({error}): run again to make it anew") from error

    def save(self, key: str, tensors: Mapping[str, Tensor], definition: Mapping[str, Any]) -> None:
        """Writes an entry as a whole. If another writer was first, that entry stays: both hold the same.

        Args:
            key: `key_of(definition)`.
            tensors: at least one.
            definition: the definition that the key was made of.

        Raises:
            StoreError: the disk is full or not writable; nothing is left behind.
        """
        from safetensors.torch import save_file

        with writing(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            draft = Path(tempfile.mkdtemp(dir=self.root, prefix=f".draft-{os.getpid()}-{_HOST}-"))
            try:
                path = draft / "tensors.safetensors"
                save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
                manifest = {"format": FORMAT, "sha256": file_hash(path), "definition": definition}
                if (began := _BEGAN.get()) is not None:
                    manifest["seconds"] = round(time.process_time() - began, 4)
                (draft / "manifest.json").write_text(canonical(manifest), encoding="utf-8")
                draft.chmod(0o755)
                self._rename(draft, key)
            finally:
                shutil.rmtree(draft, ignore_errors=True)

    def sweep(self) -> None:
        """Removes drafts and leases that interrupted processes of this machine left behind."""
        for left in (*self.root.glob(".draft-*"), *self.root.glob(".lease-*"), *self.root.glob(".mark-*")):
            if find_leftovers(left.name):
                _remove(left)

    @contextlib.contextmanager
    def leave_mark(self) -> Iterator[str]:
        """Writes a mark by which another machine can check that it reaches this very store; gives its name.

        Raises:
            StoreError: the store cannot be written.
        """
        mark = own_name("mark")
        self._put(mark, mark)
        try:
            yield mark
        finally:
            self._drop(mark)

    def meet(self, mark: str) -> None:
        """Reads another machine's mark, and writes and reads one of this machine.

        Raises:
            OSError: it cannot be done, or this is another store.
            StoreError: the same, of a store behind a URL.
        """
        for last in (False, False, True):  # a network's file system may show a new file late
            try:
                self._get(mark)
                break
            except FileNotFoundError:
                if last:
                    raise
                time.sleep(1)
        with self.leave_mark() as own:
            self._get(own)

    def _get(self, name: str) -> bytes:
        """A small file's content."""
        return (self.root / name).read_bytes()

    def _put(self, name: str, text: str) -> None:
        """Writes a small file."""
        with writing(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            (self.root / name).write_text(text, encoding="utf-8")

    def _drop(self, name: str) -> None:
        """Removes a small file."""
        with contextlib.suppress(OSError):
            (self.root / name).unlink()

    def _rename(self, draft: Path, key: str) -> None:
        """Gives a draft its name. If a sound entry has it, another writer was first; a damaged one is replaced."""
        final = self.root / key
        for _ in range(3):  # another writer may do the same between two steps
            try:
                draft.rename(final)
                return
            except OSError as error:
                if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                    raise
            if not self._damage(key):
                return
            _remove(final)
        draft.rename(final)


def damage_of(manifest: bytes, place: Path | str) -> str:
    """The problem with the manifest of an entry, or an empty string.

    Args:
        manifest: the file's content.
        place: of the entry; its last part is the key.

    Raises:
        StoreError: nothing is wrong, but another version of dosimeter wrote it.
    """
    key = str(place).rpartition(os.sep if isinstance(place, Path) else "/")[2]
    try:
        found = json.loads(manifest.decode("utf-8"))
        if type(found["format"]) is int and found["format"] != FORMAT and isinstance(found["definition"], dict):
            raise StoreError(
                f"{place}: must be an entry of format {FORMAT}, which dosimeter {__version__} reads, got format "
                f"{found['format']}, which another version wrote: use that version, or another --store"
            )
        if found["format"] != FORMAT:
            return f"format {found['format']!r} instead of {FORMAT}"
        return "" if key_of(found["definition"]) == key else "its definition is that of another entry"
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        return f"{type(error).__name__}: {error}"


def damage_of_tensors(manifest: bytes, path: Path) -> str:
    """The problem with the tensors of an entry, given its sound manifest, or an empty string."""
    try:
        same = file_hash(path) == json.loads(manifest)["sha256"]
    except (KeyError, OSError) as error:
        return f"{type(error).__name__}: {error}"
    return "" if same else "the hash of its tensors differs from the manifest's"


def own_name(kind: str) -> str:
    """A fresh name for something that stays in a store only while this process lives."""
    return f".{kind}-{os.getpid()}-{_HOST}-{secrets.token_hex(8)}"


def find_leftovers(name: str) -> bool:
    """Returns whether a draft, lease or mark belongs to a dead process of this machine."""
    _, pid, host, *_ = [*name[1:].split("-"), "", ""]
    return host == _HOST and pid.isdigit() and not _alive(int(pid))


def _remove(entry: Path) -> None:
    """Removes an entry, also if it is no folder."""
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry, ignore_errors=True)
    else:
        entry.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    """Returns whether a process with this number exists on this machine."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
