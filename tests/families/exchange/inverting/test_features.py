"""Features of a batch from the gradient of a dense head."""

import numpy as np
import pytest
import torch
from torch import nn

from dosimeter.families.exchange.inverting.features import head_features
from dosimeter.families.exchange.inverting.matching import Newton
from dosimeter.families.exchange.inverting.observed import Observed
from dosimeter.statistics.leakage.matched import matched, mean_baseline

D, SEARCH = 16, Newton(5, 20, 2)


def heads(seed, size, classes):
    """A head, the features of a batch, their classes, and what is seen of the head's gradient."""
    torch.manual_seed(seed)
    head, features = nn.Linear(D, classes), torch.randn(size, D).relu()
    labels = torch.from_numpy(np.random.default_rng(seed).permutation(classes)[:size])
    made = torch.autograd.grad(nn.functional.cross_entropy(head(features), labels), [head.weight, head.bias])
    gradient = dict(zip(("weight", "bias"), made, strict=True))
    return features, labels, Observed(nn.Identity(), head, {}, gradient, size, (D,), classes)


@pytest.mark.parametrize("size", [1, 3])
def test_features_of_few_records_come_back(size):
    for seed in range(3):
        features, labels, own = heads(seed, size, 10)
        found = head_features(own, np.random.default_rng(0), search=SEARCH)
        assert sorted(found.labels.tolist()) == sorted(labels.tolist())
        assert matched(found.records.numpy(), features.numpy()).error.max() < 1e-3
        assert found.distance == min(found.attempts)


def test_more_records_than_classes_are_not_told_apart():
    torch.manual_seed(0)
    head, features, labels = nn.Linear(D, 3), torch.randn(8, D).relu(), torch.arange(8) % 3
    made = torch.autograd.grad(nn.functional.cross_entropy(head(features), labels), [head.weight, head.bias])
    own = Observed(nn.Identity(), head, {}, {"weight": made[0], "bias": made[1]}, 8, (D,), 3)
    error = matched(
        head_features(own, np.random.default_rng(0), labels, SEARCH).records.numpy(), features.numpy()
    ).error
    known = torch.randn(200, D).relu()
    assert error.mean() > 0.5 * mean_baseline(known.numpy(), features.numpy()).error.mean()


def test_noise_for_a_gradient_gives_no_more_than_the_mean():
    features, labels, own = heads(0, 2, 10)
    rng = np.random.default_rng(0)
    noise = {
        name: torch.from_numpy(rng.standard_normal(one.shape, dtype=np.float32))
        for name, one in own.head_gradient.items()
    }
    blind = Observed(nn.Identity(), own.head, {}, noise, 2, (D,), 10)
    error = matched(head_features(blind, rng, labels, SEARCH).records.numpy(), features.numpy()).error
    assert error.mean() > mean_baseline(torch.randn(200, D).relu().numpy(), features.numpy()).error.mean()


def test_another_head_is_refused():
    features, labels, own = heads(0, 2, 10)
    bare = Observed(nn.Identity(), own.head, {}, {"bias": own.head_gradient["bias"]}, 2, (D,), 10)
    with pytest.raises(ValueError, match=r"features need a dense head .* got Linear with \['bias'\]"):
        head_features(bare, np.random.default_rng(0))
