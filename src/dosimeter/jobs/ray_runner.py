"""Jobs on a Ray cluster: a bounded window of them in flight, retried when a worker is lost. Imported only when used.

A job writes its entry to the store, which every node must reach; only its key comes back. A worker is set up once: the
driver's import path and folder, one thread, standard output to standard error, and a look at the store.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
import os
import platform
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import ray
import torch
from ray import cloudpickle
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from dosimeter.foundation.errors import AuditError, ConfigError, StoreError, TrainingError
from dosimeter.foundation.package import ROOT, __version__
from dosimeter.foundation.user_code import user_sources
from dosimeter.foundation.wording import one_line
from dosimeter.jobs.ray_address import knock, no_answer
from dosimeter.jobs.store import Store

logger = logging.getLogger(__name__)
J = TypeVar("J")

CONNECT_SECONDS = 9.0
"""Longest wait, in seconds, for a cluster with an open port to answer."""
NODE_SECONDS = 120.0
"""Longest wait, in seconds, for every node to load PyTorch and answer at the start."""
POLL_SECONDS = 5.0
STRANDED_SECONDS = 60.0
"""Longest wait, in seconds, for a node after the cluster lost all nodes that could do its jobs."""
RETRIES = 3
"""Number of times that a job is repeated after its worker or node was lost."""


@dataclass(frozen=True)
class _Setting:
    """Data that a worker needs before its first job.

    Attributes:
        path: the driver's import path.
        folder: the driver's working folder.
        store: the cache.
        mark: the driver's mark in it.
        versions: result of `_versions` for the driver.
        code: result of `_code` for the driver.
        sources: the user's files beside the audit file that it imported, to their SHA-256.
    """

    path: tuple[str, ...]
    folder: str
    store: Store
    mark: str
    versions: str
    code: str
    sources: dict[str, str]


class RayRunner:
    """Jobs on the nodes of a Ray cluster, one thread each.

    Args:
        store: the cache, which every node must reach.
        address: `host:port` of the cluster; None for `RAY_ADDRESS`, or the cluster that runs on this machine.
        gpus: GPUs of one job, such as 0.25; 0 for jobs on a CPU.
        workers: jobs in flight at most; None for twice as many as the cluster does at once.

    Raises:
        AuditError: when first used, if the cluster does not answer or a node cannot do jobs.
    """

    def __init__(
        self, store: Store, *, address: str | None = None, gpus: float = 0.0, workers: int | None = None
    ) -> None:
        self.store, self.address, self.gpus, self.workers = store, address, gpus, workers
        self._closing = contextlib.ExitStack()
        self._setting: Any = None  # the reference to a `_Setting` in the cluster, once every node has answered
        self._task: Any = None

    def run(self, function: Callable[[J], None], jobs: Sequence[J], done: Callable[[int], None]) -> None:
        """Implements `runners.Runner.run`."""
        self._start()
        left, under_way = iter(enumerate(jobs)), dict[Any, int]()
        active = time.monotonic()
        try:
            while True:
                room = self.workers or max(2, 2 * self.slots())
                while len(under_way) < room and (following := next(left, None)) is not None:
                    index, job = following
                    under_way[self._task.remote(self._setting, cloudpickle.dumps((function, job)))] = index
                if not under_way:
                    return
                ready, _ = ray.wait(list(under_way), timeout=POLL_SECONDS)
                if ready or self.slots():
                    active = time.monotonic()
                elif time.monotonic() - active > STRANDED_SECONDS:
                    raise TrainingError(
                        f"--runner ray: the cluster must have a node that can do a job, got none for "
                        f"{STRANDED_SECONDS:.0f} s: start nodes and run again to continue"
                    )
                for reference in ready:
                    index = under_way.pop(reference)
                    _outcome(reference, f"job {getattr(jobs[index], 'key', index)}")
                    done(index)
        finally:
            for reference in under_way:
                ray.cancel(reference)

    def slots(self) -> int:
        """Number of jobs that the cluster does at once; connects if necessary.

        Raises:
            ConfigError: the cluster does not answer.
        """
        self._connect()
        each = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        cpus = [int(one.get("CPU", 0)) for one in each]
        if not self.gpus:
            return sum(cpus)
        return sum(min(own, int(one.get("GPU", 0) / self.gpus)) for own, one in zip(cpus, each, strict=True))

    def close(self) -> None:
        """Leaves the cluster, which ends this run's workers."""
        self._closing.close()
        self._setting = None

    def _connect(self) -> None:
        """Joins the cluster, unless this process has joined it."""
        if not ray.is_initialized():
            _join(self.address)
            self._closing.callback(ray.shutdown)

    def _start(self) -> None:
        """Joins the cluster and checks that each node has the same code and reaches the store."""
        if self._setting is not None:
            return
        if not self.slots():
            wanted = "a GPU" if self.gpus else "a CPU"
            raise ConfigError(f"--runner ray: the cluster must have {wanted} for jobs, got none: start such a node")
        mark = self._closing.enter_context(self.store.leave_mark())
        setting = _Setting(tuple(sys.path), str(Path.cwd()), self.store, mark, _versions(), _code(), user_sources())
        self._setting = ray.put(setting)
        self._task = ray.remote(num_cpus=1, num_gpus=self.gpus, max_retries=RETRIES, max_calls=0)(_work)
        nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
        asked = {}
        for node in nodes:
            place = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            options = ray.remote(num_cpus=0, max_retries=0)(_answer).options(scheduling_strategy=place)
            asked[options.remote(self._setting)] = f"{node['NodeManagerAddress']} ({node['NodeManagerHostname']})"
        ready, silent = ray.wait(list(asked), num_returns=len(asked), timeout=NODE_SECONDS)
        problems = [
            f"node {asked[one]}: must answer within {NODE_SECONDS:.0f} s, got no answer: restart or remove it"
            for one in silent
        ]
        for one in ready:
            try:
                _outcome(one, f"node {asked[one]}")
            except AuditError as error:
                problems += error.problems
        if problems:
            raise StoreError(*sorted(set(problems)))
        logger.info("ray: %d nodes, %d jobs at once", len(nodes), self.slots())


def _outcome(reference: Any, what: str) -> None:
    """Raises the error of a finished job unchanged, or Ray's message about its loss in one line."""
    try:
        problem = ray.get(reference)
    except RayTaskError as error:
        raise (error.cause if isinstance(error.cause, Exception) else error) from error
    except RayError as error:
        kind = type(error).__name__
        if kind == "RuntimeEnvSetupError" or "import" in str(error):
            remedy = "install the same dosimeter on every node"
        else:
            remedy = "run again to continue, with fewer --workers or more memory on each node if it recurs"
        raise TrainingError(
            f"{what}: must end on a worker of the cluster, got {kind} after {RETRIES} retries, perhaps for want of "
            f"memory: {remedy}"
        ) from error
    if problem is not None:
        raise problem


def _work(setting: _Setting, payload: bytes) -> AuditError | None:
    """Does a job on a node; an error comes back as a value."""
    try:
        _settle(setting)
        function, job = cloudpickle.loads(payload)
        function(job)
    except AuditError as error:
        return error
    return None


def _answer(setting: _Setting) -> AuditError | None:
    """Returns whether jobs can be done on this node."""
    try:
        _settle(setting)
    except AuditError as error:
        return error
    return None


_settled: set[str] = set()
"""Marks of the runs for which this worker is set up."""


def _settle(setting: _Setting) -> None:
    """Sets up this worker, once."""
    torch.set_num_threads(1)
    if setting.mark in _settled:
        return
    sys.stdout = sys.stderr  # standard output belongs to the verb's own words, perhaps JSON; users' code may print
    sys.path[:] = [*setting.path, *(one for one in sys.path if one not in setting.path)]
    node = f"node {ray.util.get_node_ip_address()} ({socket.gethostname()})"
    try:
        os.chdir(setting.folder)
    except OSError:
        logger.warning("%s: has no folder %s; relative paths lead elsewhere", node, setting.folder)
    if _code() != setting.code:
        got = _versions() if _versions() != setting.versions else "another source of dosimeter"
        raise ConfigError(
            f"{node}: must have what the run was started with, {setting.versions}, got {got}: install the same on "
            "every node, and change nothing while a run lasts"
        )
    for file, digest in setting.sources.items():
        if not Path(file).is_file() or hashlib.sha256(Path(file).read_bytes()).hexdigest() != digest:
            raise ConfigError(
                f"{node}: must have the same {file} as where the run was started, got another or none: share the "
                "folder of the audit file with every node"
            )
    try:
        setting.store.meet(setting.mark)
    except (OSError, StoreError) as error:
        reason = one_line(getattr(error, "strerror", None) or error)
        remedy = "mount it at the same path on every node, or give --store a URL such as s3://bucket/folder"
        if "://" in setting.store.name:
            remedy = "let every node reach the same one"
        raise StoreError(
            f"{node}: must read and write the store {setting.store.name}, got {type(error).__name__} ({reason}): "
            f"{remedy}"
        ) from error
    setting.store.sweep()
    _settled.add(setting.mark)


def _versions() -> str:
    """Versions that determine a job's bytes beside its definition."""
    return f"Python {platform.python_version()}, PyTorch {torch.__version__}, dosimeter {__version__}"


@functools.cache
def _code() -> str:
    """SHA-256 over the versions and the package's source."""
    digest = hashlib.sha256(_versions().encode())
    for path in sorted(ROOT.rglob("*.py")):
        digest.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def _join(address: str | None) -> None:
    """Connects this process to a cluster, in less than 20 seconds or not at all."""
    given = knock(address)
    problems: list[str] = []

    def connect() -> None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                ray.init(address=given, logging_level="ERROR")
        except Exception as error:  # Ray raises many kinds: versions that differ, no cluster, a node without Ray
            problems.append(one_line(error))

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(CONNECT_SECONDS)
    if thread.is_alive():
        problems.append(f"no answer within {CONNECT_SECONDS:.0f} s")
    if problems:
        raise no_answer(address, problems[0])
