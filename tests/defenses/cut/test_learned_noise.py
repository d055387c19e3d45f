"""Learned noise: the task stays, the network stays, and what repeated queries and known patterns undo."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from dosimeter.defenses import LearnedNoise
from dosimeter.defenses.cut.additive import Additive
from dosimeter.defenses.cut.learned_noise import OneOf
from dosimeter.defenses.sending import noisy_step, send
from dosimeter.foundation.errors import ConfigError
from dosimeter.training.cuts.place import CutPlace

WIDTH, CLASSES = 40, 4


@pytest.fixture(scope="module")
def world():
    """Features of four classes in 40 numbers, a linear second half that tells them apart, and the learned noise."""
    rng = np.random.default_rng(0)
    labels = np.arange(2000) % CLASSES
    made = rng.normal(size=(CLASSES, WIDTH))[labels] + rng.normal(size=(2000, WIDTH))
    features = torch.from_numpy(made).float()
    second = nn.Linear(WIDTH, CLASSES)
    known = torch.cat([features[:1000], torch.ones(1000, 1)], 1)
    fitted = torch.linalg.lstsq(known, torch.eye(CLASSES)[labels[:1000]]).solution
    with torch.no_grad():
        second.weight.copy_(10 * fitted[:-1].T)
        second.bias.copy_(10 * fitted[-1])
    return CutPlace(nn.Identity(), second, features, features[:512], lambda sent: second(sent)), features, labels


def accuracy(world, *releases):
    """Share of the records behind the first thousand that are told rightly behind a defense."""
    place, features, labels = world
    sent = send(features[1000:], releases, np.random.default_rng(3))
    with torch.no_grad():
        return float((place.answer(sent).argmax(1).numpy() == labels[1000:]).mean())


@pytest.mark.parametrize("sample", ["law", "tensor"])
def test_the_task_is_kept_where_plain_noise_of_the_same_size_costs_it(world, sample):
    learned = LearnedNoise(scale=0.7, tensors=8, steps=250, sample=sample).fitted(world[0])
    plain = accuracy(world)
    sent = send(world[1], (learned,), np.random.default_rng(1))
    size = float((sent - world[1]).abs().mean())
    assert accuracy(world, learned) > plain - 0.07
    assert accuracy(world, Additive("laplace", size)) < plain - 0.2


def test_noise_grows_with_its_weight_and_starts_are_different(world):
    small, large = (LearnedNoise(weight=one, tensors=8, steps=100).fitted(world[0]).noise for one in (0.0, 0.3))
    assert float(large.abs().mean()) > 1.3 * float(small.abs().mean())
    assert small.shape == (8, WIDTH)
    assert float(np.abs(np.corrcoef(small.numpy()) - np.eye(8)).max()) < 0.9


def test_the_strongest_setting_sends_less(world):
    found = []
    for settings in LearnedNoise.ladder:
        sent = send(
            world[1], (LearnedNoise(tensors=8, steps=100, **settings).fitted(world[0]),), np.random.default_rng(5)
        )
        found.append(float(np.corrcoef(sent.flatten(), world[1].flatten())[0, 1]))
    assert found[0] > found[1] + 0.05 > found[2] + 0.1


def test_the_network_is_frozen_bit_by_bit_and_training_is_the_same_each_time(world):
    second = world[0].second
    before = [one.clone() for one in second.parameters()]
    first, again = (LearnedNoise(steps=20).fitted(world[0]).noise for _ in range(2))
    assert torch.equal(first, again)
    for old, new in zip(before, second.parameters(), strict=True):
        assert torch.equal(old, new)
        assert new.grad is None


def test_the_mean_of_many_queries_is_the_features_plus_a_constant(world):
    learned = LearnedNoise(tensors=8, steps=50).fitted(world[0])
    features = world[1][:300]

    def left(repeats):
        """What differs between records after the constant is taken away."""
        noise = send(features, (learned,), np.random.default_rng(2), repeats=repeats) - features
        return float((noise - noise.mean(0)).std())

    assert left(100) == pytest.approx(left(1) / 10, rel=0.1)


def test_a_trained_tensor_is_one_of_few_patterns_that_anybody_can_try(world):
    learned = LearnedNoise(sample="tensor", tensors=5, steps=20).fitted(world[0])
    noise = send(world[1][:200], (learned,), np.random.default_rng(0)) - world[1][:200]
    apart = (noise[:, None] - learned.noise).abs().amax(2)
    assert float(apart.amin(1).max()) < 1e-5
    assert set(apart.argmin(1).tolist()) == set(range(5))


def test_a_law_is_that_of_most_likelihood_and_its_numbers_stand_in_the_order_of_the_tensor():
    tensor = torch.tensor([[3.0, -1.0, 0.0, 10.0, 2.0]])
    sent = send(torch.zeros(4000, 5), (OneOf(tensor, "law"),), np.random.default_rng(0)).numpy()
    assert (sent.argsort(1) == tensor.numpy().argsort(1)).all()
    assert np.median(sent) == pytest.approx(2.0, abs=0.15)  # the median of the tensor
    assert np.abs(sent - 2.0).mean() == pytest.approx((1 + 3 + 2 + 8 + 0) / 5, rel=0.03)  # the mean distance from it


def test_it_says_that_it_guarantees_nothing_and_has_no_fisher_information(world):
    assert getattr(LearnedNoise(), "epsilon", None) is None
    assert "no ε can be given" in LearnedNoise(tensors=7).guarantee
    assert "7 patterns" in LearnedNoise(tensors=7).guarantee
    assert noisy_step((LearnedNoise(steps=1).fitted(world[0]),)) is None


def test_features_that_do_not_vary_are_refused_in_one_line(world):
    place = world[0]
    flat = CutPlace(place.first, place.second, place.records, torch.ones(8, WIDTH))
    with pytest.raises(ConfigError, match="features do not vary") as caught:
        LearnedNoise().fitted(flat)
    assert len(caught.value.problems) == 1
