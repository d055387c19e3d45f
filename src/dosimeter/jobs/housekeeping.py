"""Limits the size of a store: list of entries with their last use, removal, and a cap.

An entry's time of use is the time stamp of its manifest. A run leaves a lease in the store while it lives; what was
used since the oldest live lease began is never removed, so a store may serve several runs while it is cleaned.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dosimeter.foundation.errors import ConfigError, StoreError
from dosimeter.foundation.wording import one_line, quote
from dosimeter.jobs.remote_store import RemoteStore, is_url, open_store
from dosimeter.jobs.store import Store, this_machine, writing

UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
DAY = 86_400.0


@dataclass(frozen=True)
class Entry:
    """One entry of a store.

    Attributes:
        key: its name.
        kind: "data", "features", "models", "outputs", "shadow", "play" and others, or "unreadable".
        what: stage and models, where it has them.
        size: bytes on disk.
        used: when it was last used, seconds since the epoch.
    """

    key: str
    kind: str
    what: str
    size: int
    used: float


@dataclass(frozen=True)
class Collection:
    """Result of a cleaning: what was removed (or would be) and what is left.

    Attributes:
        removed: entries.
        kept: number of entries left.
        freed: bytes.
        size: bytes left.
        in_use: entries that had to stay because a run uses them.
    """

    removed: tuple[Entry, ...]
    kept: int
    freed: int
    size: int
    in_use: int


def parse_size(text: str, place: str) -> int:
    """Bytes from a size in words.

    Raises:
        ConfigError: another form.

    >>> parse_size("1.5 GB", "--max-size"), parse_size("200MB", "--max-size")
    (1500000000, 200000000)
    """
    found = re.fullmatch(r"\s*(\d{1,12}(?:\.\d{1,6})?)\s*([KMGT]?B)\s*", text.upper(), re.ASCII)
    if not found:
        raise ConfigError(f"{place}: must be a size such as 500MB or 20GB, got {quote(text)}: correct it")
    return int(float(found[1]) * UNITS[found[2]])


def in_words(count: float | int) -> str:
    """A size in bytes as text.

    >>> in_words(950), in_words(1_500_000), in_words(2.25e12)
    ('950 B', '2 MB', '2250.0 GB')
    """
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def entries(store: Store) -> list[Entry]:
    """All complete entries, least recently used first.

    Raises:
        StoreError: the folder cannot be read.
    """
    found = []
    try:
        for key, size, used in store.listing():
            with contextlib.suppress(FileNotFoundError):  # another process may remove it meanwhile
                kind, what = _describe(store, key)
                found.append(Entry(key, kind, what, size, used))
    except OSError as error:
        raise StoreError(f"{store.name}: must be a folder that can be read, got {error.strerror}: check it") from error
    return sorted(found, key=lambda entry: (entry.used, entry.key))


def _describe(store: Store, key: str) -> tuple[str, str]:
    """Kind and content of an entry in words."""
    try:
        definition = store.definition(key)
    except (ValueError, KeyError, TypeError, RecursionError):
        return "unreadable", ""
    stage = definition.get("stage")
    name = f"stage {stage.get('name')}" if isinstance(stage, dict) else ""
    models = definition.get("models")
    if isinstance(models, list) and models:
        name += f", models {models[0]} to {models[-1]}" if len(models) > 1 else f", model {models[0]}"
    elif isinstance(attack := definition.get("attack"), list) and attack:
        name = f"attack {attack[0]}"
    elif "number" in definition:
        name = f"shadow {definition['number']}"
    return one_line(definition.get("kind", "unreadable"), 40), one_line(name.strip(", "), 100)


def collect(
    store: Store, *, keep_days: float | None = None, max_size: int | None = None, keep: Iterable[str] = (),
    dry_run: bool = False,
) -> Collection:  # fmt: skip
    """Removes entries unused for some days, then the least recently used ones until the store is small enough.

    Args:
        store: the cache.
        keep_days: entries used within so many days stay; None sets no limit.
        max_size: bytes that may be left; None sets no limit.
        keep: keys that stay in any case.
        dry_run: report only, remove nothing.

    Raises:
        StoreError: the folder cannot be read.
        ConfigError: the store is behind a URL.
    """
    check_cleanable(store, "store gc")
    store.sweep()
    now, begun, kept = time.time(), oldest_lease(store), set(keep)
    found = entries(store)
    size = sum(entry.size for entry in found)
    removed, held = [], 0
    for entry in found:
        old = keep_days is not None and now - entry.used > keep_days * DAY
        large = max_size is not None and size > max_size
        if not (old or large):
            continue
        if entry.key in kept or entry.used >= begun:
            held += 1
            continue
        size -= entry.size
        removed.append(entry)
    if not dry_run:
        for entry in removed:
            store.remove(entry.key)
    freed = sum(entry.size for entry in removed)
    return Collection(tuple(removed), len(found) - len(removed), freed, size, held)


@contextlib.contextmanager
def lease(store: Store) -> Iterator[None]:
    """Marks that a run uses the store, so that nothing it uses is removed meanwhile."""
    with writing(store.root):
        store.root.mkdir(parents=True, exist_ok=True)
        path = store.root / f".lease-{os.getpid()}-{this_machine()}-{time.time_ns()}"
        path.touch()
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def oldest_lease(store: Store) -> float:
    """Time at which the oldest run began that still uses the store; infinity if there is none."""
    times = []
    for path in store.root.glob(".lease-*"):
        with contextlib.suppress(FileNotFoundError):
            times.append(path.stat().st_mtime)
    return min(times, default=float("inf"))


def make_room(store: Store, cap: int, keep: Iterable[str]) -> None:
    """Keeps a store below a cap: removes entries that no run uses, the least recently used first.

    Args:
        store: the cache.
        cap: bytes.
        keep: keys that this run needs.

    Raises:
        StoreError: what is in use alone is larger.
    """
    left = collect(store, max_size=cap, keep=keep)
    if left.size > cap:
        raise StoreError(
            f"{store.root}: must stay below {in_words(cap)} (--disk-cap), got {in_words(left.size)} in use: "
            "raise the cap, or audit fewer shadows or records"
        )


def check_cleanable(store: Store, place: str) -> None:
    """Refuses to clean a store behind a URL, which does not record times of use.

    Raises:
        ConfigError: it is one.
    """
    if isinstance(store, RemoteStore):
        raise ConfigError(
            f"{place}: must be used with a store in a folder, got {store.name}: let the bucket's own rules remove what "
            f"is old, and clean this machine's copy of it with --store {store.root}"
        )


def existing(place: Path | str) -> Store:
    """The store in a folder or behind a URL.

    Raises:
        StoreError: there is no such folder.
    """
    if not is_url(place) and not Path(place).is_dir():
        raise StoreError(f"{place}: must be the folder of a store, got none: name it with --store")
    return open_store(place)
