"""Judges who see with networks: they know people again whom they never learned on, and draw the same numbers again."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dosimeter.training.learners.seeing import (
    SeeingClassifier,
    SeeingLineup,
    fit_eye,
    fit_seeing_classifier,
    gallery_of,
)  # fmt: skip

SHAPE = (1, 12, 12)
RANGE = (0.0, 1.0)


def people(identities, each, seed):
    """Pictures `[n 1 12 12]` of bars and spots at places that belong to the identity, under noise and small shifts."""
    rng = np.random.default_rng(seed)
    labels, found = np.repeat(np.arange(identities), each), []
    plans = rng.random((identities, 6, 6)) < 0.35
    for one in labels:
        picture = np.kron(plans[one], np.ones((2, 2)))
        picture = np.roll(picture, rng.integers(-1, 2, 2), (0, 1))
        found.append(np.clip(0.8 * picture + 0.15 * rng.random((12, 12)), 0, 1))
    return torch.from_numpy(np.stack(found)[:, None].astype(np.float32)), labels


def flat(pictures):
    return pictures.flatten(1).double().numpy()


@pytest.fixture(scope="module")
def sets():
    known, asked = people(12, 8, 5), people(12, 8, 5)
    first = np.arange(len(known[1])) % 8 < 5
    return people(24, 8, 6), (known[0][first], known[1][first]), (asked[0][~first], asked[1][~first])


def test_an_eye_knows_people_again_whom_it_never_learned_on(sets):
    others, known, asked = sets
    eye = fit_eye(others, RANGE, 80, 0)
    lineup = SeeingLineup(eye, SHAPE, gallery_of(eye, flat(known[0]), known[1], SHAPE))
    assert (lineup.similarity(flat(asked[0])).argmax(1) == asked[1]).mean() > 0.6  # chance is 1 / 12
    assert all(not one.requires_grad or one.grad is not None for one in eye.parameters())


def test_the_classifier_names_the_identities_and_no_stranger(sets):
    others, known, asked = sets
    found = SeeingClassifier(fit_seeing_classifier(known, others, RANGE, 80, 0), SHAPE, 12)
    similarity = found.similarity(flat(asked[0]))
    assert similarity.shape == (len(asked[1]), 12)
    assert (similarity.argmax(1) == asked[1]).mean() > 0.6


def test_the_same_seed_gives_the_same_eye_and_another_one_another(sets):
    others = sets[0]
    first, again, other = (fit_eye(others, RANGE, 2, seed) for seed in (1, 1, 2))
    states = [torch.cat([one.flatten().float() for one in net.state_dict().values()]) for net in (first, again, other)]
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


def test_pictures_that_are_not_square_are_not_turned(sets):
    others = sets[0][0][:, :, :, :10], sets[0][1]
    eye = fit_eye(others, RANGE, 2, 0)
    with torch.no_grad():
        assert eye(others[0][:2]).shape == (2, 64)


def test_one_identity_teaches_nothing(sets):
    with pytest.raises(ValueError, match="2 identities or more"):
        fit_eye((sets[0][0][:1], np.zeros(1, np.int64)), RANGE, 1, 0)
