"""A server that has loaded PyTorch and forks worker processes, so that they do not each load it; Linux only.

To load PyTorch and this package takes seconds of a processor and some hundred megabytes. The server pays them once; its
workers start in milliseconds and share its memory. Forking is safe there, and only there: the server has one thread and
has computed nothing. It is one of our own, because `multiprocessing`'s has one list of modules to load, which is the
user's, and because workers of that one import the user's script again. It ends with the process that started it.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from multiprocessing import forkserver, popen_forkserver, reduction, spawn, util
from multiprocessing.context import ForkServerContext, ForkServerProcess, set_spawning_popen
from typing import Any

from dosimeter.jobs.worker import ONE_THREAD, STANDARD_ERROR

_SERVER: Any = forkserver.ForkServer()


class _Popen(popen_forkserver.Popen):
    """Asks our server for a process; after CPython's `multiprocessing/popen_forkserver.py`."""

    _fds: list[int]

    def _launch(self, process_obj: Any) -> None:
        """Sends the process to the server, with this process's standard error and without the user's script."""
        self.duplicate_for_child(STANDARD_ERROR)
        setting = spawn.get_preparation_data(process_obj._name)
        buffer = io.BytesIO()
        set_spawning_popen(self)
        try:
            reduction.dump({name: value for name, value in setting.items() if "main" not in name}, buffer)
            reduction.dump(process_obj, buffer)
        finally:
            set_spawning_popen(None)
        self.sentinel, pipe = _SERVER.connect_to_new_process(self._fds)
        # The worker reads the end of this process from the end of the pipe, so one copy stays open.
        self.finalizer = util.Finalize(self, _close, (os.dup(pipe), self.sentinel))
        with open(pipe, "wb", closefd=True) as file:
            file.write(buffer.getbuffer())
        self.pid = forkserver.read_signed(self.sentinel)


def _close(*files: int) -> None:
    """Closes files of the system."""
    for file in files:
        os.close(file)


class _Process(ForkServerProcess):
    """A process that our server forks."""

    @staticmethod
    def _Popen(process_obj: Any) -> _Popen:  # noqa: N802 -- multiprocessing's name
        return _Popen(process_obj)


class _Context(ForkServerContext):
    """Queues and locks of processes that our server forks."""

    Process = _Process


def fork_context(modules: Collection[str]) -> ForkServerContext | None:
    """The context of processes that the server forks; the server is started unless it runs.

    Args:
        modules: full names of modules that the workers' jobs need; loaded by a server that starts now.

    Returns:
        The context, whose processes begin with `start_forked_worker`; None where there is no standard error, or the
        folder of temporary files has too long a path for the server's socket.
    """
    _SERVER.set_forkserver_preload(["torch", *sorted(modules)])
    try:
        os.fstat(STANDARD_ERROR)
        with _environment():
            _SERVER.ensure_running()
    except OSError:
        return None
    util.Finalize(None, _end, exitpriority=0)
    return _Context()


@contextmanager
def _environment() -> Iterator[None]:
    """The environment in which a server starts: one thread, and modules from where this process has them.

    Without the last, a file of the user's in the working directory could stand in for a module of the same name, and
    another copy of this package for this one.
    """
    before = dict(os.environ)
    path = os.pathsep.join(one or os.getcwd() for one in sys.path)
    os.environ.update(ONE_THREAD, PYTHONPATH=path, PYTHONSAFEPATH="1")
    try:
        yield
    finally:
        for name in (*ONE_THREAD, "PYTHONPATH", "PYTHONSAFEPATH"):
            if name in before:
                os.environ[name] = before[name]
            else:
                del os.environ[name]


def _end() -> None:
    """Ends the server and waits for it, so that the system adds the times of its workers to those of this process."""
    pid = _SERVER._forkserver_pid
    if pid is not None:
        os.kill(pid, signal.SIGKILL)  # it holds nothing, and to take PyTorch down in order takes it a second
        _SERVER._stop()
