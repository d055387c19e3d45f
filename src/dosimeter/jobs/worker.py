"""What a worker process sets up before its first job."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Mapping

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""Environment of a worker: libraries that a job loads read it; `torch.set_num_threads` reaches PyTorch only."""

STANDARD_ERROR = 2


def start_worker(path: list[str], parent: int) -> None:
    """Sets up a worker: import path of the parent, one thread, and an end when the parent ends, even by SIGKILL."""
    import torch  # not before the environment is there

    sys.path[:] = path
    sys.stdout = sys.stderr  # standard output belongs to the verb's own words, perhaps JSON; users' code may print
    torch.set_num_threads(1)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def start_forked_worker(path: list[str], environment: Mapping[str, str], package: str) -> None:
    """Sets up a worker that a server forked: as `start_worker`, and undoes what it has of the server.

    These are the server's environment and standard error, which are those of a moment before, and the state of NumPy's
    global generator, with which all workers would draw the same numbers.

    Raises:
        RuntimeError: the server has loaded another copy of this package than the file `package` of the parent's.
    """
    from multiprocessing import forkserver  # not on every system

    import numpy as np
    import torch

    import dosimeter  # as the server has it

    if dosimeter.__file__ != package:
        raise RuntimeError(f"workers must run the code of {package}, got {dosimeter.__file__}: use --workers 1")
    os.environ.clear()
    os.environ.update(environment, **ONE_THREAD)
    inherited = forkserver.get_inherited_fds()
    assert inherited is not None
    os.dup2(inherited[0], STANDARD_ERROR)  # sent first, see `fork_server`
    sys.path[:] = path
    sys.stdout = sys.stderr  # as above
    np.random.seed()  # noqa: NPY002 -- users' code may draw from it
    torch.set_num_threads(1)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()  # the system's parent is the server, which outlives it as long as it has workers
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
