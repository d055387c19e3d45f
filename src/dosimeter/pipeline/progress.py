"""Messages of a run about its progress, with the time left, and about an interruption."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from dosimeter.jobs.job import Job, models_of
from dosimeter.jobs.runners import Workers, workers_for
from dosimeter.jobs.store import Store
from dosimeter.pipeline.durations import LOADING
from dosimeter.pipeline.execution import Progress, silent

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

PLAIN_EVERY = 5.0
"""Seconds between lines of progress if there is no terminal."""
SOON = 1.0
"""Seconds before the time left is shown."""
WHOLE = "whole run"
"""Name of the line with the estimate that was made before the first job."""


@runtime_checkable
class Display(Protocol):
    """A progress callback that also takes an estimate; for other callbacks a run saves the time of estimating."""

    def __call__(self, phase: str, done: int, total: int) -> None:
        """Shows that `done` of a phase's jobs are done."""
        ...

    def expect(self, seconds: float | None) -> None:
        """Takes the estimated duration of the rest of the run; None if it is unknown."""
        ...


@contextlib.contextmanager
def showing(quiet: bool, *, workers: Workers | int | None = None, device: str = "cpu") -> Iterator[Progress]:
    """A progress callback: bars with the time left on a terminal, plain lines elsewhere, nothing if quiet.

    Args:
        quiet: show nothing.
        workers: workers of the run, which give the number of jobs at once.
        device: device of the run, for the same purpose.
    """
    if quiet:
        yield silent
    elif sys.stderr.isatty():
        alone = isinstance(workers, Workers) and workers.runner == "serial"
        with _bars(_at_once(workers, device), 0.0 if alone else LOADING) as progress:
            yield progress
    else:
        yield _Lines()


@contextlib.contextmanager
def show_progress(given: Progress | None, *, workers: Workers | int | None, device: str) -> Iterator[Progress]:
    """The progress that was given in Python; by default bars on a terminal and nothing elsewhere."""
    if given is not None:
        yield given
    else:
        with showing(not sys.stderr.isatty(), workers=workers, device=device) as progress:
            yield progress


def _at_once(workers: Workers | int | None, device: str) -> int | None:
    """Number of jobs that run at once; None if only a cluster knows."""
    if isinstance(workers, Workers) and workers.runner == "ray":
        return None
    return workers_for(workers, device)


@dataclass
class Clock:
    """Time that a phase has left, from its progress so far.

    Attributes:
        begun: time at which it began, seconds.
        first: number of jobs that were done then.
        at_once: number of jobs that run at once, None if unknown.
        done: number of jobs that are done.
        total: number of all jobs.
        moved: time at which the last job ended, seconds.
        loading: seconds that processes need before they begin a job.
    """

    begun: float
    first: int
    at_once: int | None
    done: int
    total: int
    moved: float
    loading: float = 0.0

    def advance(self, done: int, total: int, now: float) -> None:
        """Records that `done` jobs are done."""
        self.done, self.total, self.moved = done, total, now

    def left(self, now: float) -> tuple[float, bool] | None:
        """Seconds left, and whether they are only a lower limit; None if nothing can be said yet.

        Jobs of a phase are alike. So a job that has not ended after t seconds makes every later round of jobs take
        at least about t.

        >>> clock = Clock(begun=0.0, first=0, at_once=2, done=0, total=16, moved=0.0)
        >>> clock.left(now=3.0)
        (21.0, True)
        >>> clock.advance(2, 16, now=4.0)
        >>> clock.left(now=5.0)
        (27.0, False)
        """
        if self.done >= self.total or now - self.begun < SOON:
            return None
        made = self.done - self.first
        if made > 0:
            each = (self.moved - self.begun) / made
            return max(0.0, each * (self.total - self.done) - (now - self.moved)), False
        spent = now - self.begun - self.loading
        if self.at_once is None or spent <= 0:
            return None
        rounds = -(-(self.total - self.done) // self.at_once) - 1
        return (rounds * spent, True) if rounds else None


def in_time(seconds: float) -> str:
    """A duration in words.

    >>> in_time(41.6), in_time(400), in_time(11_000)
    ('42 s', '7 min', '3 h 3 min')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


@dataclass
class _Shown:
    """Bars on a terminal.

    Attributes:
        bars: bars of rich.
        at_once: jobs that run at once, None if unknown.
        loading: seconds that processes need before they begin a job.
        clocks: clocks of the phases so far.
        tasks: of rich, by phase.
        begun: when the estimate was made.
        end: when the run is expected to end, if that was estimated.
    """

    bars: Bars
    at_once: int | None
    loading: float
    clocks: dict[str, Clock] = field(default_factory=dict)
    tasks: dict[str, Any] = field(default_factory=dict)
    begun: float = 0.0
    end: float | None = None

    def __call__(self, phase: str, done: int, total: int) -> None:
        now = time.monotonic()
        if phase not in self.tasks:
            self.clocks[phase] = Clock(now, done, self.at_once, done, total, now, self.loading)
            self.tasks[phase] = self.bars.add_task(phase, total=total, completed=done)
        self.clocks[phase].advance(done, total, now)
        self.bars.update(self.tasks[phase], completed=done, total=total)
        if self.end is not None:
            self.bars.update(self.tasks[WHOLE], completed=min(now, self.end) - self.begun)

    def expect(self, seconds: float | None) -> None:
        """Implements `Display`."""
        if seconds is not None and self.end is None:
            self.begun = time.monotonic()
            self.end = self.begun + seconds
            self.tasks[WHOLE] = self.bars.add_task(WHOLE, total=max(seconds, 1e-9))

    def told(self, phase: str) -> str:
        """Text: the time that a phase, or the whole run, has left."""
        now = time.monotonic()
        if phase != WHOLE:
            found = self.clocks[phase].left(now)
            return "" if found is None else f"{'at least ' if found[1] else ''}about {in_time(found[0])} left"
        known = [found[0] for clock in self.clocks.values() if (found := clock.left(now))]
        return f"about {in_time(max(0.0, (self.end or now) - now, *known))} left"


@contextlib.contextmanager
def _bars(at_once: int | None, loading: float) -> Iterator[Display]:
    """Bars by rich on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, ProgressColumn, Task, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars
    from rich.text import Text

    class Counted(ProgressColumn):
        """Column with the number of finished jobs and of all jobs."""

        def render(self, task: Task) -> Text:
            return Text("" if task.description == WHOLE else f"{task.completed:.0f}/{task.total:.0f}")

    class Left(ProgressColumn):
        """Column with the time left."""

        def render(self, task: Task) -> Text:
            return Text(display.told(task.description))

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), Counted(), TimeElapsedColumn(), Left())
    # what the user's code prints stays where they sent it, unless that is the terminal on which the bars stand
    with Bars(*columns, console=Console(stderr=True), redirect_stdout=sys.stdout.isatty()) as bars:
        display = _Shown(bars, at_once, loading)
        yield display


@dataclass
class _Lines:
    """Lines at the start and the end of a phase, and every few seconds between."""

    started: dict[str, tuple[float, int]] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)

    def __call__(self, phase: str, done: int, total: int) -> None:
        now = time.monotonic()
        known = phase in self.started
        if not known or self.started[phase][1] == 0:
            self.started[phase] = (now, done)  # the clock starts with the first piece done, after workers have loaded
        if known and done < total and now - self.last[phase] < PLAIN_EVERY:
            return
        begin, first = self.started[phase]
        left = (now - begin) / (done - first) * (total - done) if done > first else None
        tail = "done" if done >= total else "" if left is None else f"about {in_time(left)} left"
        print(f"{phase}: {done}/{total} {tail}".rstrip(), file=sys.stderr, flush=True)
        self.last[phase] = now

    def expect(self, seconds: float | None) -> None:
        """Implements `Display`."""
        if seconds is not None:
            print(f"{WHOLE}: about {in_time(seconds)} left", file=sys.stderr, flush=True)


@contextlib.contextmanager
def interruptible(jobs: Sequence[Job], store: Store | None) -> Iterator[None]:
    """Adds a note to an interruption inside the block: what is kept, and how to continue.

    Args:
        jobs: of the run.
        store: where they are kept; None if the jobs are not known.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        if not getattr(error, "__notes__", ()):
            kept = "what was trained is kept" if store is None else _kept(jobs, store)
            error.add_note(f"interrupted: {kept}: to continue, run the same command, or make the same call, again")
        raise


def _kept(jobs: Sequence[Job], store: Store) -> str:
    """Text: number of trainings that are in the store."""
    models = {job.key: models_of(job) for job in jobs}
    done = sum(count for key, count in models.items() if store.has(key))
    total = sum(models.values())
    return f"{done} of {total} trainings are stored in {store.name}" if total else "this audit trains nothing"
