"""Faces drawn by a formula: whose they are, what changes with a trait, and what a pose leaves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dosimeter.data import Options, load
from dosimeter.data.named.drawn_faces import TRAITS, drawn, looks, poses


@pytest.fixture(scope="module")
def faces():
    return load("drawn-faces", options=Options(attributes=("skin", "jaw")))


def test_each_person_has_20_pictures_and_the_traits_of_their_own(faces):
    assert faces.inputs.shape == (8000, 1, 32, 32)
    assert faces.inputs.dtype == np.uint8
    assert (np.bincount(faces.labels) == 20).all()
    assert list(faces.ids[:2]) == ["f001/01", "f002/01"]
    assert np.array_equal(faces.attributes["skin"], looks()[faces.labels, TRAITS.index("skin")])
    assert {part: len(set(faces.persons[faces.groups == part])) for part in set(faces.groups)} == {
        str(part): 50 for part in range(1, 9)
    }
    assert len(np.unique(faces.inputs.reshape(8000, -1), axis=0)) == 8000


def test_rows_and_size_give_the_same_people(faces):
    few = load("drawn-faces", rows="100:140", options=Options(size=(16, 24)))
    assert few.inputs.shape == (40, 1, 16, 24)
    assert np.array_equal(few.ids, faces.ids[100:140])
    assert few.attributes == {}


def test_an_unknown_attribute_is_refused_in_one_line(fails):
    assert "has no attribute 'skim': did you mean 'skin'" in fails(
        load, "drawn-faces", options=Options(attributes=("skim",))
    )


@pytest.mark.parametrize("trait", TRAITS)
def test_every_trait_shows_and_where_it_should(trait):
    """One pose without noise, one trait at both ends."""
    people = np.full((2, len(TRAITS)), 0.5)
    people[:, TRAITS.index(trait)] = 0, 1
    pose = poses(np.random.default_rng(0), 1)
    plain = replace(pose, **{name: np.repeat(getattr(pose, name), 2) for name in pose.__dataclass_fields__})
    first, second = drawn(people, plain, _Still()).astype(int)
    changed = np.abs(first - second) > 8
    assert changed.any()
    if trait in ("hairline", "brow angle", "eye size"):
        assert not changed[22:].any()
    if trait in ("lips", "mouth width"):
        assert not changed[:15].any()


def test_light_from_one_side_leaves_the_other_darker():
    pose = poses(np.random.default_rng(1), 1)
    lit = replace(pose, light=np.zeros(1), shade=np.full(1, 0.3), turn=np.zeros(1), across=np.zeros(1))
    (picture,) = drawn(np.full((1, len(TRAITS)), 0.5), lit, _Still()).astype(float)
    assert picture[:, :4].mean() < 0.85 * picture[:, -4:].mean()


class _Still:
    """Noise of nothing."""

    def normal(self, mean, spread, shape):
        return np.full(shape, float(mean))
