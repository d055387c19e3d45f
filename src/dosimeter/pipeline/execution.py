"""Place and means of a run; none of them can change a result."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from dosimeter.jobs.housekeeping import check_cleanable
from dosimeter.jobs.ray_address import knock
from dosimeter.jobs.remote_store import open_store
from dosimeter.jobs.runners import Workers
from dosimeter.jobs.store import Store
from dosimeter.pipeline import variants

Progress = Callable[[str, int, int], None]
STORE = ".store"


def silent(phase: str, done: int, total: int) -> None:
    """Shows no progress."""


@dataclasses.dataclass(frozen=True)
class Execution:
    """Place and means of a run; none of them can change a result.

    Attributes:
        out: the run's folder.
        store: the cache, a folder or a URL; `out`'s neighbour `.store` unless given.
        device: device on which models are trained and queried.
        workers: workers that do the jobs, or a number of processes; None for one per core.
        progress: called with (phase, done, total).
        disk_cap: bytes that the cache may hold; None for no limit.
    """

    out: Path
    store: Path | str | None = None
    device: str = "cpu"
    workers: Workers | int | None = None
    progress: Progress = silent
    disk_cap: int | None = None

    @property
    def cache(self) -> Path | str:
        """Folder or URL of the cache."""
        return self.store or self.out.parent / STORE

    def open(self) -> Store:
        """Opens the cache.

        Raises:
            ConfigError: it cannot be opened, is to be held below a cap and cannot be cleaned, or no cluster answers.
        """
        store = open_store(self.cache)
        if isinstance(self.workers, Workers) and self.workers.runner == "ray":
            knock(self.workers.address)  # before any data are read
        if self.disk_cap is not None:
            check_cleanable(store, "--disk-cap")
        return store

    def below(self, variant: str) -> Execution:
        """The execution of a variant, in a folder below this one."""

        def progress(phase: str, done: int, total: int) -> None:
            self.progress(f"{variant}: {phase}", done, total)

        return dataclasses.replace(self, out=variants.folder(self.out, variant), store=self.cache, progress=progress)
