"""The gradient of a dense first layer against the records that made it."""

import inspect

import numpy as np
import pytest
import torch

from dosimeter.families.exchange.inverting.dense import dense_records, first_records
from dosimeter.statistics.leakage.matched import matched, mean_baseline
from families.exchange.inverting.batches import BOX, batch, dense_net, gradients


def layer(seed, size, width=256):
    trunk, head = dense_net(seed, width)
    records, labels = batch(seed, size)
    own, _ = gradients(trunk, head, records, labels)
    return own["1.weight"], own["1.bias"], records.flatten(1)


@pytest.mark.parametrize("seed", range(3))
def test_one_record_comes_back_exactly(seed):
    weight, bias, records = layer(seed, 1)
    shown = dense_records(weight, bias, BOX)
    assert len(shown.records) == 1
    assert shown.neurons.tolist() == [int((bias != 0).sum())]
    assert torch.allclose(first_records(shown, 1, BOX), records, atol=1e-5)


def test_every_record_that_activates_a_neuron_alone_is_in_the_list():
    """Errors of each record are set by hand, so that who is alone is known."""
    rng = np.random.default_rng(0)
    records = torch.from_numpy(rng.random((4, 9), dtype=np.float32))
    errors = torch.zeros(6, 4)
    errors[0, 0], errors[1, 1], errors[2, 1] = 0.5, -0.2, 0.3  # records 0 and 1 stand alone
    errors[3, 2], errors[3, 3], errors[4, 2], errors[4, 3] = 0.4, -0.3, 0.1, 0.3  # records 2 and 3 never do
    shown = dense_records(errors @ records, errors.sum(1), BOX)
    assert sorted(shown.neurons.tolist()) == [1, 1, 1, 2]  # a silent neuron shows nothing
    found = matched(shown.records.numpy(), records.numpy())
    assert found.error[:2].max() < 1e-10
    assert found.error[2:].min() > 1e-3
    assert torch.allclose(shown.records[0], records[1], atol=1e-6)  # two neurons agree on it


def test_what_lies_between_two_others_comes_last():
    records = torch.tensor([[0.0, 1.0, 0.2], [1.0, 0.0, 0.6]])
    errors = torch.zeros(9, 2)
    errors[:2, 0], errors[2:4, 1], errors[4:] = 1.0, 1.0, 1.0  # five neurons agree on the mean of both
    chosen = first_records(dense_records(errors @ records, errors.sum(1), BOX), 2, BOX)
    assert matched(chosen.numpy(), records.numpy()).recovered == 1.0
    alone = first_records(dense_records(errors @ records, errors.sum(1)), 2)
    assert torch.allclose(alone[0], records.mean(0))  # without a box, nobody can tell what is a mixture


def test_a_mixture_of_chosen_records_is_not_chosen():
    records = torch.tensor([[0.0, 1.0, 0.2, 0.1], [1.0, 0.0, 0.6, 0.9], [0.3, 0.3, 1.0, 0.0]])
    errors = torch.zeros(6, 3)
    errors[:2, 0], errors[2:4, 1] = 1.0, 1.0
    errors[4] = torch.tensor([0.5, 0.5, 0.0])
    errors[5, 2] = 1.0
    shown = dense_records(errors @ records, errors.sum(1))
    assert matched(first_records(shown, 3).numpy(), records.numpy()).recovered == 1.0


def test_a_small_batch_is_recovered_and_a_large_one_is_not():
    found = {}
    for size in (4, 32):
        shares = []
        for seed in range(4):
            weight, bias, records = layer(seed, size)
            made = first_records(dense_records(weight, bias, BOX), size, BOX)
            shares.append(matched(made.numpy(), records.numpy()).recovered)
        found[size] = np.mean(shares)
    assert found[4] > 0.9
    assert found[32] < 0.3


def test_noise_for_a_gradient_shows_nothing():
    """Quotients of noise are no nearer to records than the mean record is."""
    weight, bias, records = layer(0, 1)
    rng = np.random.default_rng(1)
    noise = [torch.from_numpy(rng.standard_normal(one.shape, dtype=np.float32)) for one in (weight, bias)]
    found = matched(first_records(dense_records(*noise, BOX), 1, BOX).numpy(), records.numpy())
    assert found.recovered == 0.0
    assert found.error[0] > mean_baseline(batch(9, 200)[0].flatten(1).numpy(), records.numpy()).error[0]


@pytest.mark.parametrize("width", [64, 256])
def test_wider_layers_show_more(width):
    shares = []
    for seed in range(4):
        weight, bias, records = layer(seed, 8, width)
        shares.append(matched(dense_records(weight, bias, BOX).records.numpy(), records.numpy()).recovered)
    assert (np.mean(shares) > 0.9) == (width == 256)


def test_a_silent_layer_shows_nothing_and_wrong_shapes_are_refused():
    shown = dense_records(torch.zeros(3, 5), torch.zeros(3))
    assert (len(shown.records), tuple(first_records(shown, 2).shape)) == (0, (0, 5))
    with pytest.raises(ValueError, match=r"weights \[k p\] and biases \[k\]"):
        inspect.unwrap(dense_records)(torch.zeros(3, 5), torch.zeros(4))
    with pytest.raises(ValueError, match="must be finite"):
        dense_records(torch.full((1, 2), torch.nan), torch.ones(1))
