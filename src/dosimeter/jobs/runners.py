"""Runners of jobs: this process, several, or a cluster. Results have the same bytes with every runner.

A job is a picklable function of one picklable argument that writes its result to the store. Every job computes with one
thread, in every runner: parallelism is across jobs.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pickle import PicklingError
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar, get_args, runtime_checkable

import torch
from loky import ProcessPoolExecutor
from threadpoolctl import threadpool_limits

import dosimeter
from dosimeter.foundation.errors import ConfigError, TrainingError
from dosimeter.foundation.wording import one_line, quote
from dosimeter.jobs.store import Store
from dosimeter.jobs.worker import ONE_THREAD, start_forked_worker, start_worker

if TYPE_CHECKING:
    from dosimeter.jobs.ray_runner import RayRunner

J = TypeVar("J")
Done = Callable[[int], None]
WORTH_STARTING = 10.0
"""Seconds of work for which processes are started, for which PyTorch is loaded again; jobs say theirs as `brief`."""
RunnerName = Literal["auto", "serial", "processes", "ray"]


@dataclass(frozen=True)
class Workers:
    """Workers that do the jobs of a run; none of the settings can change a result.

    Attributes:
        count: processes, or jobs in flight on a cluster; None for one per core, or what the cluster can do.
        runner: "serial" in this process, "processes" on this machine, "ray" on a Ray cluster; "auto" is one of the
            first two.
        address: `host:port` of the Ray cluster; None for `RAY_ADDRESS`, or the cluster that runs on this machine.
        gpus_per_job: GPUs of one job on the cluster, such as 0.25; None for one on "cuda" and none on "cpu".

    Raises:
        ConfigError: they do not fit together.

    >>> Workers(2).count, Workers(runner="ray", gpus_per_job=0.25).gpus("cuda")
    (2, 0.25)
    """

    count: int | None = None
    runner: RunnerName = "auto"
    address: str | None = None
    gpus_per_job: float | None = None

    def __post_init__(self) -> None:
        problems = []
        if self.runner not in get_args(RunnerName):
            known = ", ".join(get_args(RunnerName))
            problems.append(f"--runner: must be one of {known}, got {quote(self.runner)}: choose one")
        if self.count is not None and self.count < 1:
            problems.append(f"--workers: must be at least 1, got {self.count}: leave it out for one per core")
        if self.runner == "serial" and self.count not in (None, 1):
            problems.append(f"--workers: must be 1 with --runner serial, got {self.count}: leave one of them out")
        for name, value in (("--address", self.address), ("--gpus-per-job", self.gpus_per_job)):
            if value is not None and self.runner != "ray":
                problems.append(f"{name}: must stand with --runner ray, got --runner {self.runner}: leave it out")
        gpus = self.gpus_per_job
        if gpus is not None and not (0 < gpus <= 1 or (gpus > 1 and gpus == int(gpus))):
            problems.append(f"--gpus-per-job: must be a part of 1 or a whole number, got {gpus}: give 0.25, 1 or 2")
        if problems:
            raise ConfigError(*problems)

    def gpus(self, device: str) -> float:
        """GPUs of one job on a cluster.

        Raises:
            ConfigError: they do not fit the device.
        """
        if device == "cpu" and self.gpus_per_job is not None:
            raise ConfigError("--gpus-per-job: must stand with --device cuda, got --device cpu: leave one of them out")
        if device not in ("cpu", "cuda"):
            raise ConfigError(f"--device: must be cpu or cuda with --runner ray, which chooses the GPU, got {device}")
        return 0.0 if device == "cpu" else self.gpus_per_job or 1.0


@runtime_checkable
class Runner(Protocol):
    """Runs a function over jobs; closed when the run is over."""

    def run(self, function: Callable[[J], None], jobs: Sequence[J], done: Done) -> None:
        """Runs all jobs; `done(index)` after each, in any order. The first error stops the rest and is raised."""
        ...

    def close(self) -> None:
        """Releases processes."""
        ...


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Limits PyTorch, with the libraries inside it, and NumPy's compute to one thread inside the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True)
class SerialRunner:
    """Runs one job after another in this process."""

    def run(self, function: Callable[[J], None], jobs: Sequence[J], done: Done) -> None:
        """Implements `Runner.run`."""
        with one_thread():
            for index, job in enumerate(jobs):
                function(job)
                done(index)

    def close(self) -> None:
        """Does nothing, since there is nothing to release."""


class ProcessRunner:
    """Runs jobs in other processes with one thread each, which serve all jobs of a run and end if it is interrupted.

    A single job runs in this process, where PyTorch is already loaded; so do jobs that say that they are brief, unless
    processes have been started before. Processes are loky's: they do not import the
    user's script again, and a job may hold a function that was typed at a prompt or closes over values.

    Args:
        workers: number of processes.
        apart: whether a single job runs in a process of its own too.
    """

    def __init__(self, workers: int, *, apart: bool = False) -> None:
        self.workers, self.apart = workers, apart
        self._pool: ProcessPoolExecutor | None = None

    def run(self, function: Callable[[J], None], jobs: Sequence[J], done: Done) -> None:
        """Implements `Runner.run`."""
        brief = sum(getattr(job, "brief", float("inf")) for job in jobs)
        if (len(jobs) == 1 and not self.apart) or (self._pool is None and brief < WORTH_STARTING):
            SerialRunner().run(function, jobs, done)
            return
        if self._pool is None:
            self._pool = _pool(self.workers, {function.__module__, *(type(job).__module__ for job in jobs)})
        futures: dict[Future[None], int] = {self._pool.submit(function, job): i for i, job in enumerate(jobs)}
        try:
            for future in as_completed(futures):
                future.result()
                done(futures[future])
        except BrokenProcessPool as error:
            if "un-serialize" in str(error):
                raise TrainingError(
                    "runner: a worker process must be able to read the job, got one that it cannot: define your "
                    "function in a .py file that can be imported"
                ) from error
            raise TrainingError(
                "runner: a worker process ended without a word, perhaps for want of memory: run again to continue, "
                "with --workers 1 if it recurs"
            ) from error
        except PicklingError as error:
            raise TrainingError(
                f"runner: a worker process must get a copy of the job, got {_reason(error)}: use --workers 1 "
                "(workers=1), or keep such an object out of your model and data"
            ) from error
        except KeyboardInterrupt:  # whoever interrupts does not wait until jobs under way are finished
            self._pool.shutdown(wait=True, kill_workers=True)
            self._pool = None
            raise
        finally:
            for future in futures:
                future.cancel()

    def close(self) -> None:
        """Ends the processes, after the jobs that are running."""
        if self._pool is not None:
            self._pool.shutdown(wait=True)


def _pool(workers: int, modules: Collection[str]) -> ProcessPoolExecutor:
    """Processes that are forked from a server which has loaded this package, or started afresh where that cannot be.

    Args:
        workers: number of processes.
        modules: names of modules that the first jobs need.
    """
    path = list(sys.path)
    if sys.platform == "linux":  # elsewhere libraries of the system do not survive a fork
        from dosimeter.jobs.fork_server import fork_context

        context = fork_context([one for one in modules if one.startswith("dosimeter.")])
        if context is not None:
            setting = (path, dict(os.environ), dosimeter.__file__)
            return ProcessPoolExecutor(workers, context=context, initializer=start_forked_worker, initargs=setting)
    return ProcessPoolExecutor(workers, initializer=start_worker, initargs=(path, os.getpid()), env=ONE_THREAD)


def _reason(error: PicklingError) -> str:
    """Why a job cannot be copied: loky gives the cause as the text of a traceback, which ends in it."""
    told = [line.strip(" \"'") for line in str(error.__cause__ or error).splitlines()]
    return one_line(next((line for line in reversed(told) if line), "one that cannot be copied"))


def make_runner(
    workers: Workers | int | None, device: str, store: Store | None = None, *, apart: bool = False
) -> Runner:
    """The runner of a run.

    Args:
        workers: workers, or a number of processes; None means one per core, or one on an accelerator.
        device: "cpu" or an accelerator's name.
        store: the cache; a cluster's nodes are asked whether they reach it.
        apart: whether jobs run the user's training beside a model of theirs, which it must not touch: then they run in
            other processes even if there is one worker, unless "serial" was asked for by name.
    """
    wanted = workers if isinstance(workers, Workers) else Workers(workers)
    if wanted.runner == "ray":
        assert store is not None
        return _on_ray(wanted, device, store)
    count = workers_for(wanted, device)
    serial = wanted.runner == "serial" or (wanted.runner == "auto" and count <= 1 and not apart)
    return SerialRunner() if serial else ProcessRunner(count, apart=apart)


def workers_for(workers: Workers | int | None, device: str, store: Store | None = None) -> int:
    """Number of jobs that the runner of `make_runner` does at once; arguments as there."""
    wanted = workers if isinstance(workers, Workers) else Workers(workers)
    if wanted.runner == "ray" and store is not None:
        with contextlib.closing(_on_ray(wanted, device, store)) as runner:
            return max(1, min(runner.slots(), wanted.count or sys.maxsize))
    if wanted.count is not None:
        return wanted.count
    if wanted.runner == "serial" or device != "cpu" or not hasattr(os, "sched_getaffinity"):
        return 1
    return len(os.sched_getaffinity(0))


def _on_ray(workers: Workers, device: str, store: Store) -> RayRunner:
    """The runner of a cluster, before any connection."""
    try:
        from dosimeter.jobs.ray_runner import RayRunner  # Ray takes a second to load
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise ConfigError("--runner ray: needs Ray, got no such package: pip install 'dosimeter[ray]'") from None
    return RayRunner(store, address=workers.address, gpus=workers.gpus(device), workers=workers.count)
