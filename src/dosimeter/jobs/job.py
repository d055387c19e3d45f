"""A piece of work that ends in one entry of the store, and the execution of a list of such jobs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

from dosimeter.foundation.errors import AuditError, StoreError, TrainingError
from dosimeter.foundation.user_code import is_users_fault
from dosimeter.foundation.wording import describe
from dosimeter.jobs.runners import Runner
from dosimeter.jobs.store import Store, timing


@runtime_checkable
class Job(Protocol):
    """A piece of work that ends in one entry of the store."""

    @property
    def store(self) -> Store:
        """The store of its entry."""
        ...

    @property
    def key(self) -> str:
        """Key of its entry."""
        ...

    @property
    def definition(self) -> dict[str, Any]:
        """Everything that the key depends on."""
        ...

    @property
    def place(self) -> str:
        """Subject of the job, in the user's words: "stage 'head', model 0 to 63"."""
        ...

    @property
    def users_code(self) -> tuple[str, ...]:
        """The user's own code in it, in words: "the model", "the defense Noise"."""
        ...

    def perform(self) -> None:
        """Makes the entry."""
        ...


@runtime_checkable
class Costed(Protocol):
    """A job that knows its own cost, given the speed of this machine."""

    @property
    def alike(self) -> object:
        """A hashable value that jobs of equal cost share."""
        ...

    def cost(self, pace: Any) -> float:
        """Rough duration on one core, seconds.

        Args:
            pace: speed of this machine on the work of a chain, see `pipeline.recipe.durations.Pace`.
        """
        ...

    @property
    def size(self) -> int:
        """Rough size of its entry, bytes."""
        ...


def models_of(job: Job) -> int:
    """Number of models that a job trains: that of its attribute `trained`, else 0."""
    return int(getattr(job, "trained", 0))


def perform(job: Job) -> None:
    """Does a job; a module-level function, so that it can be sent to other processes.

    Raises:
        AuditError: what the job raised, with its place; so too what a user's code raised, or want of memory.
    """
    place = job.place
    try:
        with timing():
            job.perform()
    except StoreError:
        raise
    except AuditError as error:
        told = tuple(one if one.startswith(place) else f"{place}: {one}" for one in error.problems)
        if told == error.problems:
            raise
        raise type(error)(*told) from error
    except (RuntimeError, MemoryError, SystemExit) as error:
        remedy = "try --workers 1 or a smaller batch_size" if "memory" in repr(error).lower() else "correct the model"
        raise TrainingError(f"{place}: raised {describe(error)}: {remedy}") from error
    except Exception as error:
        if not job.users_code and not is_users_fault(error):
            raise  # nobody's code but ours
        raise TrainingError(
            f"{place}: raised {describe(error)}: correct {' or '.join(job.users_code) or 'it'}"
        ) from error


def missing(jobs: Sequence[Job]) -> list[Job]:
    """The jobs whose entries are absent or damaged."""
    return [job for job in jobs if not job.store.verify(job.key)]


def ensure(jobs: Sequence[Job], runner: Runner, advance: Callable[[int, int], None]) -> int:
    """Does the jobs that are not cached.

    Args:
        jobs: all jobs of one kind; they do not depend on each other.
        runner: runner that does them.
        advance: called with (done, total), cached jobs counted as done.

    Returns:
        Number of jobs that were done now.
    """
    todo = missing(jobs)
    done = len(jobs) - len(todo)
    advance(done, len(jobs))

    def one_more(_: int) -> None:
        nonlocal done
        done += 1
        advance(done, len(jobs))

    if todo:
        runner.run(perform, todo, one_more)
    return len(todo)
