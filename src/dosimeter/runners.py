"""Where jobs run: in this process, or in several. Results are the same bytes, whatever the runner.

A job is a picklable function of one picklable argument that writes its result to the store. Every job computes with one
thread, in every runner: parallelism is across jobs.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

import torch
from loky import ProcessPoolExecutor

from dosimeter.errors import TrainingError

J = TypeVar("J")
Done = Callable[[int], None]


@runtime_checkable
class Runner(Protocol):
    """Runs a function over jobs; closed when the run is over."""

    def run(self, function: Callable[[J], None], jobs: Sequence[J], done: Done) -> None:
        """Run all jobs; `done(index)` after each, in any order. The first error stops the rest and is raised."""
        ...

    def close(self) -> None:
        """Release processes."""
        ...


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch computes with one thread inside the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True)
class SerialRunner:
    """One job after another in this process."""

    def run(self, function: Callable[[J], None], jobs: Sequence[J], done: Done) -> None:
        """See `Runner.run`."""
        with one_thread():
            for index, job in enumerate(jobs):
                function(job)
                done(index)

    def close(self) -> None:
        """Nothing to release."""


class ProcessRunner:
    """Jobs in fresh processes with one thread each, which stay for all jobs of a run.

    A single job runs in this process, where PyTorch is already loaded. Processes are loky's: they do not import the
    user's script again, and a job may hold a function that was typed at a prompt or closes over values.

    Args:
        workers: number of processes.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._pool: ProcessPoolExecutor | None = None

    def run(self, function: Callable[[J], None], jobs: Sequence[J], done: Done) -> None:
        """See `Runner.run`."""
        if len(jobs) == 1:
            SerialRunner().run(function, jobs, done)
            return
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                self.workers, initializer=_start_worker, initargs=(list(sys.path), os.getpid())
            )
        futures: dict[Future[None], int] = {self._pool.submit(function, job): i for i, job in enumerate(jobs)}
        try:
            for future in as_completed(futures):
                future.result()
                done(futures[future])
        except BrokenProcessPool as error:
            raise TrainingError(
                "runner: a worker process ended without a word, perhaps for want of memory: run again to continue, "
                "with --workers 1 if it recurs"
            ) from error
        finally:
            for future in futures:
                future.cancel()

    def close(self) -> None:
        """End the processes; jobs under way are finished first."""
        if self._pool is not None:
            self._pool.shutdown(wait=True)


def _start_worker(path: list[str], parent: int) -> None:
    """Set up a worker: the parent's import path, one thread, and an end when the parent ends, even by SIGKILL."""
    sys.path[:] = path
    sys.stdout = sys.stderr  # standard output belongs to the verb's own words, perhaps JSON; users' code may print
    torch.set_num_threads(1)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def make_runner(workers: int | None, device: str) -> Runner:
    """The runner of a run.

    Args:
        workers: processes wanted; None means one per core, or one on an accelerator.
        device: "cpu" or an accelerator's name.
    """
    workers = workers_for(workers, device)
    return SerialRunner() if workers <= 1 else ProcessRunner(workers)


def workers_for(workers: int | None, device: str) -> int:
    """How many processes `make_runner` uses; arguments as there."""
    if workers is not None:
        return workers
    return len(os.sched_getaffinity(0)) if device == "cpu" and hasattr(os, "sched_getaffinity") else 1
