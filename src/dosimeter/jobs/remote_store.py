"""A cache behind a URL that fsspec can open, such as a bucket, with a local copy; keys are those of a folder store.

`URL/KEY/` holds what an entry's folder holds. An entry is uploaded under a draft's name, then its tensors and last its
manifest get their names, so an entry with a manifest is complete. What is read is copied, and checked by hash, into a
folder of this machine.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dosimeter.foundation.errors import AuditError, ConfigError, StoreError
from dosimeter.foundation.keys.known_code import cache_folder
from dosimeter.foundation.wording import one_line
from dosimeter.jobs.store import Store, damage_of, damage_of_tensors, find_leftovers, own_name, writing

if TYPE_CHECKING:
    from torch import Tensor

logger = logging.getLogger(__name__)

TENSORS, MANIFEST = "tensors.safetensors", "manifest.json"
WITH_FOLDERS = ("file", "local", "sftp", "ssh", "smb", "hdfs")
"""Protocols whose folders must be created; a bucket has none, and creating one would create a bucket."""


def is_url(place: Path | str) -> bool:
    """Returns whether a place is a URL, not a path."""
    return "://" in str(place)


def show_url(url: str) -> str:
    """A URL without user, password, query and fragment, for messages.

    >>> show_url("s3://key:secret@bucket/folder?token=x")
    's3://bucket/folder'
    """
    return re.sub(r"(://)[^/?#]*@", r"\1", re.split(r"[?#]", url)[0])


def open_store(place: Path | str) -> Store:
    """Opens the store in a folder or behind a URL.

    Args:
        place: a path, or a URL such as `s3://bucket/folder`.

    Raises:
        ConfigError: nothing here can open such a URL.
    """
    if not is_url(place):
        return Store(Path(place))
    url = str(place)
    _open(url)
    return RemoteStore(cache_folder() / hashlib.sha256(show_url(url).encode()).hexdigest()[:16], url)


@functools.cache
def _open(url: str) -> tuple[Any, str]:
    """The file system behind a URL and the path in it."""
    import fsspec

    protocol = url.split("://")[0]
    try:
        system, path = fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise ConfigError(f"--store: {protocol}:// needs another package ({one_line(error)}): install it") from None
    except Exception as error:  # a bad host or port, or no credentials, each system in its own way
        reason = _without_secrets(one_line(error), url)
        raise ConfigError(
            f"--store: must be a folder or a URL that fsspec can open, got {show_url(url)} ({reason}): correct it"
        ) from None
    return system, str(path).rstrip("/")


def _without_secrets(text: str, url: str) -> str:
    """A message without the URL's user, password and query."""
    secrets = re.findall(r"://([^/?#]*)@", url) + re.findall(r"[?#](.+)", url)
    parts = {part for secret in secrets for part in (secret, *re.split(r"[:&=]", secret)) if part}
    for part in sorted(parts, key=len, reverse=True):
        text = text.replace(part, "***")
    return text


@dataclass(frozen=True)
class RemoteStore(Store):
    """The cache behind a URL, with a local copy.

    Attributes:
        root: folder of the local copy, itself a store.
        url: where the entries are.
    """

    url: str = field(repr=False)

    @property
    def name(self) -> str:
        """Name of the store in messages."""
        return show_url(self.url)

    def has(self, key: str) -> bool:
        """Implements `Store.has`."""
        system, path = self._at(key, MANIFEST)
        with self._reaching("read"):
            system.invalidate_cache()
            return bool(system.exists(path))

    def definitions(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Implements `Store.definitions`."""
        for key, _, _ in self.listing():
            try:
                yield key, self.definition(key)
            except (ValueError, KeyError, TypeError, RecursionError, OSError) as error:
                logger.warning("%s/%s: unreadable, ignored (%s)", self.name, key, error)

    def listing(self) -> Iterator[tuple[str, int, float]]:
        """Key, bytes, and when it was written (seconds since the epoch), of every complete entry."""
        system, base = self._at()
        try:
            with self._reaching("read"):
                system.invalidate_cache()
                found = system.find(base, detail=True)
        except FileNotFoundError:
            return
        files: dict[str, dict[str, Any]] = {}
        for path, about in found.items():
            key, _, name = path.removeprefix(base).strip("/").partition("/")
            files.setdefault(key, {})[name] = about
        for key, own in sorted(files.items()):
            if MANIFEST in own and not key.startswith("."):
                yield key, sum(int(one.get("size") or 0) for one in own.values()), _write_time(own[MANIFEST])

    def verify(self, key: str) -> bool:
        """Returns whether there is a complete and undamaged entry; it is copied here. See `Store.verify`."""
        try:
            problem = self._bring(key)
        except FileNotFoundError:
            return False
        if problem:
            logger.warning("%s/%s: cached entry is damaged (%s); it is made again", self.name, key, problem)
            self.remove(key)
        else:
            self.touch(key)
        return not problem

    def load(self, key: str) -> dict[str, Tensor]:
        """Implements `Store.load`; copied here first, unless it is here."""
        if not super().has(key):
            try:
                problem = self._bring(key)
            except FileNotFoundError:
                problem = "there is none"
            if problem:
                raise StoreError(f"{self.name}/{key}: cannot be read ({problem}): run again to make it anew")
        return super().load(key)

    def save(self, key: str, tensors: Mapping[str, Tensor], definition: Mapping[str, Any]) -> None:
        """Implements `Store.save`; the entry is written here and uploaded."""
        self._own_folder()
        super().save(key, tensors, definition)
        with contextlib.suppress(FileNotFoundError):
            if not self._bring(key):
                return  # another writer was first
            self.remove(key)
            super().save(key, tensors, definition)
        self._upload(key)

    def remove(self, key: str) -> None:
        """Implements `Store.remove`; the manifest goes first. If nothing may be removed, only the local copy goes."""
        super().remove(key)
        system, folder = self._at(key)
        with contextlib.suppress(StoreError, FileNotFoundError), self._reaching("written"):
            system.invalidate_cache()
            with contextlib.suppress(FileNotFoundError):
                system.rm_file(f"{folder}/{MANIFEST}")
            system.rm(folder, recursive=True)

    def sweep(self) -> None:
        """Implements `Store.sweep`."""
        super().sweep()
        system, base = self._at()
        with contextlib.suppress(StoreError, FileNotFoundError), self._reaching("written"):
            system.invalidate_cache()
            for path in system.ls(base, detail=False):
                if find_leftovers(path.rstrip("/").rpartition("/")[2]):
                    system.rm(path, recursive=True)

    def _bring(self, key: str) -> str:
        """Makes the local copy equal to the entry; returns the problem with the entry, or an empty string.

        Raises:
            FileNotFoundError: there is no entry.
            StoreError: the store cannot be reached, or the copy cannot be written.
        """
        manifest = self._get(f"{key}/{MANIFEST}")
        problem = damage_of(manifest, f"{self.name}/{key}")
        if problem:
            return problem
        own = self.root / key / MANIFEST
        if own.is_file() and own.read_bytes() == manifest and not self._damage(key):
            return ""
        self._own_folder()
        with writing(self.root):
            draft = Path(tempfile.mkdtemp(dir=self.root, prefix=own_name("draft")))
        try:
            system, path = self._at(key, TENSORS)
            with self._reaching("read"):
                system.get_file(path, str(draft / TENSORS))
            (draft / MANIFEST).write_bytes(manifest)
            problem = damage_of_tensors(manifest, draft / TENSORS)
            if not problem:
                super().remove(key)  # an older copy
                self._rename(draft, key)
        except FileNotFoundError:
            problem = "it has no tensors"
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return problem

    def _upload(self, key: str) -> None:
        """Copies a local entry to its place: a draft first, then the tensors, then the manifest."""
        draft = own_name("draft")
        with self._reaching("written"):
            try:
                for folder in (draft, key):
                    self._make_folder(folder)
                for name in (TENSORS, MANIFEST):
                    system, path = self._at(draft, name)
                    system.put_file(str(self.root / key / name), path)
                for name in (TENSORS, MANIFEST):
                    system.mv(self._at(draft, name)[1], self._at(key, name)[1])
            finally:
                with contextlib.suppress(Exception):  # what is left of a draft counts for nothing
                    system, path = self._at(draft)
                    system.invalidate_cache()
                    system.rm(path, recursive=True)

    def _at(self, *parts: str) -> tuple[Any, str]:
        """The file system, and a path below the store."""
        system, base = _open(self.url)
        return system, "/".join((base, *parts))

    def _get(self, name: str) -> bytes:
        """A small file's content; `FileNotFoundError` if there is none."""
        system, path = self._at(name)
        with self._reaching("read"):
            return bytes(system.cat_file(path))

    def _put(self, name: str, text: str) -> None:
        """Writes a small file."""
        system, path = self._at(name)
        with self._reaching("written"):
            self._make_folder("")
            system.pipe_file(path, text.encode())

    def _drop(self, name: str) -> None:
        """Removes a small file."""
        system, path = self._at(name)
        with contextlib.suppress(StoreError, FileNotFoundError), self._reaching("written"):
            system.rm_file(path)

    def _make_folder(self, name: str) -> None:
        """Makes a folder, if the protocol has folders."""
        if self.url.split("://")[0] in WITH_FOLDERS:
            system, path = self._at(name)
            system.makedirs(path, exist_ok=True)

    def _own_folder(self) -> None:
        """Makes the folder of the local copy, readable by its owner only, because it holds data."""
        with writing(self.root):
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)

    @contextlib.contextmanager
    def _reaching(self, how: str) -> Iterator[None]:
        """Turns errors of a file system into one line without secrets; a missing file only where one is written."""
        try:
            yield
        except AuditError:
            raise
        except Exception as error:  # each system has its own kinds
            if isinstance(error, FileNotFoundError) and how == "read":
                raise
            reason = _without_secrets(one_line(getattr(error, "strerror", None) or error), self.url)
            raise StoreError(
                f"{self.name}: cannot be {how} ({type(error).__name__}: {reason}): check the address, the network and "
                "the rights"
            ) from None


def _write_time(about: Mapping[str, Any]) -> float:
    """Time at which a file was written, seconds since the epoch, as the file system reports it; 0 if it does not."""
    for name in ("mtime", "LastModified", "last_modified", "updated", "created"):
        found = about.get(name)
        if isinstance(found, datetime):
            return found.timestamp()
        if isinstance(found, int | float):
            return float(found)
        with contextlib.suppress(TypeError, ValueError):
            return datetime.fromisoformat(found or "").timestamp()
    return 0.0
