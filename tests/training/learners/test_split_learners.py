"""A first half for a given second half, and an own model of an attribute."""

import numpy as np
import pytest
import torch
from torch import nn

from dosimeter.training.learners.halves.shadowing import fit_shadow, moments_apart
from dosimeter.training.learners.halves.uncensored import fit_uncensored


def normal(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape, dtype=np.float32))


def test_moments_are_those_of_the_matrices():
    made, aim = normal(30, 5), 2 * normal(40, 5, seed=1) + 1
    covariances = [torch.cov(one.T, correction=0) for one in (made, aim)]
    apart = ((covariances[0] - covariances[1]) ** 2).sum() / (covariances[1] ** 2).sum()
    means = ((made.mean(0) - aim.mean(0)) ** 2).sum() / covariances[1].trace()
    assert float(moments_apart(made, aim)) == pytest.approx(float(apart + means), rel=1e-4)


def problem():
    """Records of two classes, features of others, and a second half that reads them."""
    inputs = normal(200, 1, 4, 4)
    labels = (inputs[:, 0, 0, 0] > 0).long()
    seen = normal(100, 6, seed=2).relu()
    return inputs, labels, seen, lambda features: torch.stack([-features[:, 0], features[:, 0] - 1], 1)


def test_a_shadow_is_understood_and_looks_like_what_was_seen():
    inputs, labels, seen, rest = problem()
    fitted = {}
    for weight in (0.0, 1.0):
        network = fit_shadow(inputs, labels, rest, seen, (20, 0.005, weight), seed=0)
        made = network(inputs)
        assert float((rest(made).argmax(1) == labels).float().mean()) > 0.9
        assert seen.min() <= made.min() <= made.max() <= seen.max()
        fitted[weight] = float(moments_apart(made, seen))
    assert fitted[1.0] < 0.5 * fitted[0.0]


def test_the_second_half_stays_as_it_is_and_seeds_decide():
    inputs, labels, seen, _ = problem()
    rest = nn.Linear(6, 2).requires_grad_(False)
    before = rest.weight.clone()
    first, again, other = (fit_shadow(inputs, labels, rest, seen, (2, 0.01, 1.0), seed=seed) for seed in (0, 0, 1))
    assert torch.equal(rest.weight, before)
    assert torch.equal(first(inputs), again(inputs))
    assert not torch.equal(first(inputs), other(inputs))


def test_an_own_model_tells_the_attribute_and_its_hidden_numbers_hold_it():
    records = normal(1000, 1, 4, 4) * 10 + 3
    values = (records[:, 0, 0, 0] > 3).long()
    own = fit_uncensored(records, values, hidden=8, epochs=20, seed=0)
    asked = normal(200, 1, 4, 4, seed=3) * 10 + 3
    hidden = own.body(asked)
    assert hidden.shape == (200, 8)
    right = own.head(hidden).argmax(1) == (asked[:, 0, 0, 0] > 3)
    assert float(right.float().mean()) > 0.85
    assert not any(one.requires_grad for one in (*own.body.parameters(), *own.head.parameters()))
    again = fit_uncensored(records, values, hidden=8, epochs=20, seed=0)
    assert torch.equal(again.body(asked), hidden)
