"""What most jobs have in common: a key that follows from a definition, and the store of the job that they read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any, Protocol

from dosimeter.jobs.store import Store, key_of


class KeyedJob(ABC):
    """A `Job` whose key is that of its definition; a subclass is a frozen dataclass."""

    @property
    @abstractmethod
    def definition(self) -> dict[str, Any]:
        """Everything that the key depends on."""

    @cached_property
    def key(self) -> str:
        """Key of the entry."""
        return key_of(self.definition)

    @property
    def users_code(self) -> tuple[str, ...]:
        """An empty tuple: no code of the user's runs, or `perform` itself reports what it raised."""
        return ()


class Followed(Protocol):
    """What another job reads: a job, or a model that was trained."""

    @property
    def store(self) -> Store:
        """The store of its entry."""
        ...

    @property
    def place(self) -> str:
        """The job or the model, in words."""
        ...

    @property
    def users_code(self) -> tuple[str, ...]:
        """The user's own code in it."""
        ...


class FollowingJob(KeyedJob):
    """A job that reads what another made: in its store, with its models, and so with the user's code in them."""

    @property
    @abstractmethod
    def follows(self) -> Followed:
        """The other job."""

    @property
    def store(self) -> Store:
        """The store to read from and write to."""
        return self.follows.store

    @property
    def place(self) -> str:
        """What it reads, in words."""
        return self.follows.place

    @property
    def users_code(self) -> tuple[str, ...]:
        """The user's own code in what it reads."""
        return self.follows.users_code
