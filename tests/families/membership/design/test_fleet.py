"""Who is trained on what, views, and the cache of jobs."""

from __future__ import annotations

import functools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dosimeter.data.views import apply_view
from dosimeter.families.membership.design.design import membership_matrix, split_records
from dosimeter.families.membership.design.person_split import halvable
from dosimeter.foundation.errors import ConfigError, TrainingError
from dosimeter.jobs.job import missing, perform


@given(half=st.integers(1, 40), pairs=st.integers(1, 12), seed=st.integers(0, 99))
def test_membership_rows_are_complementary_halves(half, pairs, seed):
    matrix = membership_matrix(2 * half, 2 * pairs, seed)
    assert (matrix[0::2] ^ matrix[1::2]).all()
    assert (matrix.sum(1) == half).all()
    assert (matrix.sum(0) == pairs).all()


def test_every_record_has_equally_many_in_and_out_shadows_whatever_the_targets_bit():
    matrix = membership_matrix(60, 10, 3)
    for target in range(10):
        pair = target // 2 * 2
        others = np.delete(matrix, [pair, pair + 1], axis=0)
        assert (others.sum(0) == 4).all()


def test_a_longer_fleet_keeps_the_shorter_ones_rows():
    np.testing.assert_array_equal(membership_matrix(20, 6, 1), membership_matrix(20, 12, 1)[:6])


def test_purposes_give_independent_matrices():
    one, other = membership_matrix(1000, 2, 0), membership_matrix(1000, 2, 0, purpose="null membership")
    assert 0.4 < (one[0] == other[0]).mean() < 0.6


def test_split_is_disjoint_and_complete():
    labels = np.repeat(np.arange(4), 25)
    split = split_records(labels, population=20, candidates=30, stratify=False, seed=0)
    assert sorted([*split.pool, *split.population]) == list(range(100))
    assert len(split.population) == 20
    assert len(split.candidates) == 30
    assert len(set(split.candidates)) == 30
    assert max(split.candidates) < len(split.pool)


def test_stratified_population_takes_equally_from_each_class():
    labels = np.repeat(np.arange(4), 25)
    split = split_records(labels, population=8, candidates=None, stratify=True, seed=0)
    assert np.bincount(labels[split.population]).tolist() == [2, 2, 2, 2]
    assert len(split.candidates) == 92


def test_an_odd_pool_gives_one_record_to_the_population():
    split = split_records(np.zeros(11, int), population=2, candidates=None, stratify=False, seed=0)
    assert (len(split.pool), len(split.population)) == (8, 3)


@pytest.mark.parametrize("population", [0, 1, 30])
@pytest.mark.parametrize("seed", range(5))
def test_no_person_stands_in_the_population_and_in_the_pool(population, seed):
    person = np.repeat(np.arange(40), np.random.default_rng(seed).integers(1, 7, 40))
    order = np.random.default_rng(seed).permutation(person)
    labels = np.zeros(len(order), int)
    split = split_records(labels, population=population, candidates=None, stratify=False, seed=seed, person=order)
    assert sorted([*split.pool, *split.population]) == list(range(len(order)))
    assert not set(order[split.pool]) & set(order[split.population])
    assert len(split.pool) % 2 == 0
    assert population <= len(split.population) <= population + 10


def test_one_more_person_stands_outside_where_only_so_the_others_fill_two_halves():
    person = np.append(np.repeat(np.arange(20), 3), [20, 20])
    split = split_records(np.zeros(62, int), population=0, candidates=None, stratify=False, seed=0, person=person)
    assert split.population.tolist() == [60, 61]
    pool = np.unique(person[split.pool], return_inverse=True)[1]
    assert membership_matrix(60, 4, 0, person=pool).sum(1).tolist() == [30] * 4


def test_persons_that_fill_no_halves_are_refused():
    person = np.repeat(np.arange(3), [40, 5, 3])
    with pytest.raises(ConfigError, match=r"got 3 persons with up to 40 of 48 records: use unit = 'record'"):
        split_records(np.zeros(48, int), population=0, candidates=None, stratify=False, seed=0, person=person)


def test_halvable_agrees_with_all_subsets():
    rng = np.random.default_rng(0)
    found = []
    for _ in range(200):
        size = rng.choice([1, 2, 3, 5, 9], rng.integers(1, 8))
        sums = {0}
        for one in size.tolist():
            sums |= {total + one for total in sums}
        found.append(halvable(size))
        assert found[-1] == (size.sum() / 2 in sums)
    assert {True, False} == set(found)


@pytest.mark.parametrize(
    ("population", "candidates", "stratify", "words"),
    [(90, 20, False, "at most 100"), (10, None, True, "multiple of 4 classes"), (101, None, False, "at most 100")],
)
def test_split_refuses_what_cannot_be(population, candidates, stratify, words):
    labels = np.repeat(np.arange(4), 25)
    with pytest.raises(ConfigError, match=words):
        split_records(labels, population=population, candidates=candidates, stratify=stratify, seed=0)


def test_views_move_pictures_as_their_names_say():
    picture = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert torch.equal(apply_view(picture, "identity"), picture)
    assert torch.equal(apply_view(picture, "flip"), picture.flip(-1))
    left = apply_view(picture, "left")[0, 0]
    assert torch.equal(left[:, :3], picture[0, 0, :, 1:])
    assert torch.equal(left[:, 3], picture[0, 0, :, 3])
    assert torch.equal(apply_view(picture, "right")[0, 0][:, 1:], picture[0, 0, :, :3])
    assert torch.equal(apply_view(picture, "up")[0, 0][:3], picture[0, 0, 1:])
    assert torch.equal(apply_view(picture, "down")[0, 0][1:], picture[0, 0, :3])
    assert torch.equal(apply_view(picture, "flip+left"), apply_view(picture.flip(-1), "left"))


def test_a_fault_of_ours_is_not_told_as_the_users():
    ours = functools.partial(missing, None)  # raises within the package
    job = SimpleNamespace(place="stage 'train', model 0", users_code=(), perform=ours)
    with pytest.raises(TypeError):
        perform(job)
    job.users_code = ("the model",)
    with pytest.raises(TrainingError, match="stage 'train', model 0: raised TypeError.*: correct the model"):
        perform(job)
