"""Runners say in one line what cannot be sent to other processes."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from multiprocessing.forkserver import ForkServer
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from dosimeter.foundation.errors import TrainingError
from dosimeter.jobs import runners
from dosimeter.jobs.runners import ProcessRunner, SerialRunner

forked = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux only")


class Holding:
    """A piece of work that holds what cannot be copied."""

    def __init__(self):
        self.lock, self.done = threading.Lock(), False


def do(job):
    job.done = True


def test_a_job_that_cannot_be_copied_is_refused_in_one_line_and_runs_in_this_process():
    jobs = [Holding(), Holding()]
    runner = ProcessRunner(1)
    try:
        with pytest.raises(TrainingError) as caught:
            runner.run(do, jobs, lambda index: None)
    finally:
        runner.close()
    (line,) = caught.value.problems
    assert line.startswith("runner: a worker process must get a copy of the job, got TypeError: cannot pickle")
    assert "--workers 1" in line
    SerialRunner().run(do, jobs, lambda index: None)
    assert all(job.done for job in jobs)


def tell(folder):
    """Write what a worker has of the process that sent the job."""
    drawn, wanted = np.random.random(), os.environ.get("OF_THIS_RUN")  # noqa: NPY002 -- as users' code may
    print("told", file=sys.stderr)
    while len(list(folder.iterdir())) < 2 and not (folder / str(os.getpid())).exists():  # so that both workers have one
        (folder / str(os.getpid())).write_text(f"{wanted} {drawn} {Path.cwd()}")
        time.sleep(0.02)


@forked
def test_workers_have_the_environment_of_their_run_and_not_that_of_the_server(tmp_path, monkeypatch, capfd):
    from dosimeter.jobs import fork_server  # Linux only

    drawn, servers = [], []
    for run in ("first", "second"):
        folder = tmp_path / run
        folder.mkdir()
        monkeypatch.chdir(folder.parent)
        monkeypatch.setenv("OF_THIS_RUN", run)
        runner = ProcessRunner(2)
        runner.run(tell, [folder] * 8, lambda index: None)
        runner.close()
        servers.append(fork_server._SERVER._forkserver_pid)
        for path in folder.iterdir():
            wanted, number, here = path.read_text().split(" ", 2)
            assert (wanted, here) == (run, str(tmp_path))
            drawn.append(number)
        assert "told" in capfd.readouterr().err  # the server began under another test, or before the first reading
    assert len(set(drawn)) == len(drawn) >= 3  # no two workers draw the same numbers
    assert servers[0] == servers[1]


@forked
@pytest.mark.slow
def test_a_server_takes_no_module_from_the_working_directory(tmp_path):
    for name in ("random", "queue", "torch", "numpy"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('a file of the user')")
    script = tmp_path / "elsewhere" / "script.py"
    script.parent.mkdir()
    script.write_text("from dosimeter.jobs.runners import ProcessRunner\nProcessRunner(2).run(abs, [1, 2], print)")
    found = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (found.returncode, sorted(found.stdout.split()), found.stderr) == (0, ["0", "1"], "")


@forked
def test_a_server_that_cannot_listen_is_told_by_no_context(tmp_path, monkeypatch):
    from dosimeter.jobs import fork_server

    deep = tmp_path / ("a" * 120)
    deep.mkdir()
    monkeypatch.setattr(fork_server, "_SERVER", ForkServer())
    monkeypatch.setitem(multiprocessing.current_process()._config, "tempdir", str(deep))
    assert fork_server.fork_context([]) is None
    assert fork_server._SERVER._forkserver_pid is None


@pytest.mark.slow
def test_processes_that_are_not_forked_do_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(runners, "sys", SimpleNamespace(platform="other", path=sys.path))
    runner = ProcessRunner(2)
    runner.run(tell, [tmp_path] * 2, lambda index: None)
    runner.close()
    assert list(tmp_path.iterdir())


SLEEPERS = """
import os, sys, time
from pathlib import Path
from dosimeter.jobs import fork_server
from dosimeter.jobs.runners import ProcessRunner
def sleep(folder):
    (folder / str(os.getpid())).touch()
    (folder / str(os.getppid())).touch()
    time.sleep(600)
ProcessRunner(2).run(sleep, [Path(sys.argv[1])] * 2, print)
"""


@forked
@pytest.mark.slow
def test_workers_and_their_server_end_when_their_parent_is_killed(tmp_path):
    parent = subprocess.Popen([sys.executable, "-c", SLEEPERS, str(tmp_path)], start_new_session=True)
    limit = time.monotonic() + 600
    while len(list(tmp_path.iterdir())) < 3:
        assert parent.poll() is None
        assert time.monotonic() < limit
        time.sleep(0.05)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    pids = [int(path.name) for path in tmp_path.iterdir()]
    while any(map(_runs, pids)):
        assert time.monotonic() < limit
        time.sleep(0.05)


def _runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")")[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
