"""Classes from the gradient of a last layer."""

import numpy as np
import pytest
import torch

from dosimeter.families.exchange.inverting.labels import inferred_labels, label_counts, labels_of
from dosimeter.families.exchange.inverting.observed import Observed
from families.exchange.inverting.batches import CLASSES, batch, dense_net, gradients, seen, sigmoid_net


@pytest.mark.parametrize("seed", range(5))
def test_the_class_of_one_record_is_exact_whatever_the_model(seed):
    for model in (sigmoid_net(seed), dense_net(seed)):
        records, labels = batch(seed, 1)
        bias = gradients(*model, records, labels)[1]["bias"]
        assert int(label_counts(bias, 1).argmax()) == int(labels)


@pytest.mark.parametrize("size", [1, 3, 8])
def test_counts_are_exact_where_the_mean_prediction_is_known(size):
    rng = np.random.default_rng(size)
    for _ in range(20):
        predictions = torch.from_numpy(rng.dirichlet(np.ones(6), size))
        counts = torch.from_numpy(np.bincount(rng.integers(6, size=size), minlength=6))
        bias = predictions.mean(0) - counts / size
        assert label_counts(bias, size, predictions.mean(0)).tolist() == counts.tolist()


def test_what_the_gradient_makes_certain_is_kept_whatever_is_expected():
    bias = torch.tensor([-0.5, 0.2, 0.3])  # of two records, one at least has class 0
    for usual in (None, torch.tensor([0.0, 0.0, 1.0]), torch.tensor([0.0, 1.0, 0.0])):
        assert int(label_counts(bias, 2, usual)[0]) >= 1
        assert int(label_counts(bias, 2, usual).sum()) == 2


def test_a_noisy_gradient_that_promises_too_much_still_gives_one_class_for_each_record():
    assert int(label_counts(torch.tensor([-0.9, -0.9, -0.8]), 2).sum()) == 2
    assert label_counts(torch.tensor([-1e9, 0.0, 1e9]), 3).tolist() == [3, 0, 0]  # at once, not one by one


def test_what_noise_is_taken_for_counts_better_than_equal_predictions():
    """Where biases lean, equal predictions are wrong; the model says of noise where they lean."""
    right = {"equal": 0, "noise": 0}
    for seed in range(20):
        trunk, head = sigmoid_net(seed)
        records, labels = batch(seed, 4)
        own, true = seen(trunk, head, records, labels), sorted(labels.tolist())
        equal = torch.full((CLASSES,), 1 / CLASSES)
        right["equal"] += inferred_labels(own, np.random.default_rng(0), equal).tolist() == true
        right["noise"] += inferred_labels(own, np.random.default_rng(0)).tolist() == true
    assert right["noise"] > right["equal"]
    assert right["noise"] >= 16


def test_labels_without_a_gradient_of_the_head_are_refused():
    trunk, head = dense_net(0)
    records, labels = batch(0, 2)
    own, _ = gradients(trunk, head, records, labels)
    private = Observed(trunk, head, own, {}, 2, (1, 6, 6), CLASSES)
    with pytest.raises(ValueError, match="labels need the gradient of the head's bias"):
        inferred_labels(private, np.random.default_rng(0))
    with pytest.raises(ValueError, match="finite gradient"):
        label_counts(torch.tensor([torch.nan, 1.0]), 1)
    assert labels_of(torch.tensor([2, 0, 1])).tolist() == [0, 0, 2]
