"""Jobs have the key of their definition, and those that read what another made have its store and the user's code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from dosimeter.jobs.job import Job
from dosimeter.jobs.keyed import FollowingJob, KeyedJob
from dosimeter.jobs.store import Store, key_of


@dataclass(frozen=True)
class First(KeyedJob):
    store: Store
    number: int
    users_code: tuple[str, ...] = ("the model",)
    place: str = "first"

    @property
    def definition(self) -> dict[str, Any]:
        return {"number": self.number}

    def perform(self) -> None:
        self.store.save(self.key, {}, self.definition)


@dataclass(frozen=True)
class Second(FollowingJob):
    first: First

    @property
    def follows(self) -> First:
        return self.first

    @property
    def definition(self) -> dict[str, Any]:
        return {"first": self.first.key}

    def perform(self) -> None:
        self.store.save(self.key, {}, self.definition)


def test_a_key_is_that_of_the_definition(tmp_path):
    job = First(Store(tmp_path), 3)
    assert isinstance(job, Job)
    assert job.key == key_of({"number": 3}) != First(job.store, 4).key


def test_a_following_job_has_store_place_and_users_code_of_the_other(tmp_path):
    job = Second(First(Store(tmp_path), 3))
    assert isinstance(job, Job)
    assert job.store is job.first.store
    assert (job.place, job.users_code) == ("first", ("the model",))
    assert job.key == key_of({"first": job.first.key})


def test_no_users_code_runs_unless_a_job_says_so(tmp_path):
    assert KeyedJob.users_code.fget(First(Store(tmp_path), 3)) == ()


def test_a_job_without_definition_is_none():
    with pytest.raises(TypeError, match="definition"):
        KeyedJob()
