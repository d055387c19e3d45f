"""Runners say in one line what cannot be sent to other processes."""

import threading

import pytest

from dosimeter.foundation.errors import TrainingError
from dosimeter.jobs.runners import ProcessRunner, SerialRunner


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
