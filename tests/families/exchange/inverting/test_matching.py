"""Searches for records with the same gradient: exact on small smooth nets, at chance where the gradient is noise."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from dosimeter.families.exchange.inverting.matching import (
    Newton,
    Signs,
    dlg,
    idlg,
    inverting_gradients,
    variation,
)
from dosimeter.families.exchange.inverting.observed import Observed, holding
from dosimeter.statistics.leakage.matched import matched, mean_baseline
from families.exchange.inverting.batches import BOX, CLASSES, batch, dense_net, gradients, narrow_net, seen, sigmoid_net

QUICK = Newton(rounds=8, steps=20, attempts=2)


def case(seed, size):
    trunk, head = sigmoid_net(seed)
    records, labels = batch(seed, size)
    return seen(trunk, head, records, labels), records, labels


def db(found, records):
    return float(matched(found.records.numpy(), records.numpy()).psnr.mean())


def floor(records):
    """The mean picture."""
    return float(mean_baseline(batch(99, 300)[0].numpy(), records.numpy()).psnr.mean())


def test_the_gradient_of_the_truth_is_the_one_that_was_seen():
    own, records, labels = case(0, 3)
    assert float(own.distance(own.of(records, labels))) < 1e-10
    assert float(own.angle(own.of(records, labels))) < 1e-5
    as_shares = nn.functional.one_hot(labels, CLASSES).float()
    assert float(own.distance(own.of(records, as_shares))) < 1e-10
    assert float(own.distance(own.of(records.flip(2), labels))) > 1e-4


@pytest.mark.parametrize("attack", [dlg, idlg])
def test_one_record_of_a_smooth_net_comes_back(attack):
    good = 0
    for seed in range(3):
        own, records, labels = case(seed, 1)
        found = attack(own, np.random.default_rng(seed), search=QUICK)
        good += db(found, records) > 25
        assert found.labels.tolist() == labels.tolist()
        assert found.distance == min(found.attempts)
    assert good >= 2


def test_two_records_come_back_in_any_order():
    own, records, labels = case(1, 2)
    found = idlg(own, np.random.default_rng(0), labels.flip(0), QUICK)
    assert db(found, records) > 25


def test_signs_of_adam_beat_the_mean_picture_by_far():
    own, records, labels = case(0, 1)
    found = inverting_gradients(own, np.random.default_rng(0), search=Signs(steps=200))
    assert db(found, records) > floor(records) + 6
    assert found.labels.tolist() == labels.tolist()
    assert float(found.records.min()) >= BOX[0]
    assert float(found.records.max()) <= BOX[1]


def test_a_private_head_does_not_hide_a_record():
    """The gradient of the trunk alone and nothing of the head: errors of the features are sought, not a class."""
    good = 0
    for seed in range(3):
        trunk, head = narrow_net(seed)
        records, labels = batch(seed, 1)
        own = gradients(trunk, head, records, labels)[0]
        private = Observed(trunk, None, own, {}, 1, (1, 6, 6), CLASSES, BOX)
        found = dlg(private, np.random.default_rng(seed), QUICK)
        assert found.labels.tolist() == [-1]
        good += db(found, records) > 25
    assert good >= 2


@pytest.mark.parametrize("attack", ["dlg", "idlg", "inverting_gradients"])
def test_noise_for_a_gradient_gives_no_more_than_the_mean_picture(attack):
    rng, gains = np.random.default_rng(5), []
    for seed in range(3):
        own, records, labels = case(seed, 1)
        noisy = dataclasses.replace(
            own,
            gradient={
                name: torch.from_numpy(rng.standard_normal(one.shape, dtype=np.float32))
                for name, one in own.gradient.items()
            },
            head_gradient={
                name: torch.from_numpy(rng.standard_normal(one.shape, dtype=np.float32))
                for name, one in own.head_gradient.items()
            },
        )
        if attack == "dlg":
            found = dlg(noisy, rng, Newton(2, 10, 1))
        elif attack == "idlg":
            found = idlg(noisy, rng, labels, Newton(2, 10, 1))
        else:
            found = inverting_gradients(noisy, rng, labels, Signs(steps=30))
        gains.append(db(found, records) - floor(records))
        assert found.distance > 0.1
    assert max(gains) < 1


def test_the_same_seed_gives_the_same_and_another_seed_another():
    own, *_ = case(0, 1)
    first, again, other = (idlg(own, np.random.default_rng(seed), search=Newton(1, 5, 1)) for seed in (0, 0, 1))
    assert torch.equal(first.records, again.records)
    assert not torch.allclose(first.records, other.records, atol=1e-3)


def test_an_attempt_that_is_exact_ends_the_search():
    own, *_ = case(0, 1)
    assert len(idlg(own, np.random.default_rng(0), search=Newton(8, 20, 5)).attempts) == 1
    assert len(idlg(own, np.random.default_rng(0), search=Newton(1, 1, 3)).attempts) == 3


def test_variation_is_that_of_loops():
    records = batch(3, 2)[0]
    down = [abs(float(one[i + 1, j] - one[i, j])) for one in records[:, 0] for i in range(5) for j in range(6)]
    across = [abs(float(one[i, j + 1] - one[i, j])) for one in records[:, 0] for i in range(6) for j in range(5)]
    assert float(variation(records)) == pytest.approx(np.mean(down) + np.mean(across), rel=1e-5)
    assert float(variation(records.flatten(1))) == 0


def test_parameters_of_a_message_are_put_into_a_copy():
    trunk, _ = dense_net(0)
    moved = holding(trunk, {"1.bias": torch.ones(64)})
    assert moved.get_parameter("1.bias").detach().tolist() == [1.0] * 64
    assert trunk.get_parameter("1.bias").detach().tolist() != [1.0] * 64
    assert torch.equal(moved.get_parameter("1.weight"), trunk.get_parameter("1.weight"))


def test_what_does_not_fit_is_refused():
    trunk, head = dense_net(0)
    records, labels = batch(0, 2)
    own, last = gradients(trunk, head, records, labels)
    for wrong, message in (
        ({"nope": torch.ones(1)}, "got 'nope'"),
        ({"1.bias": torch.ones(3)}, r"must have shape \(64,\), got \(3,\)"),
        ({"1.bias": torch.full((64,), torch.inf)}, "must be finite"),
        ({"1.bias": torch.zeros(64)}, "an entry that is not 0"),
    ):
        with pytest.raises(ValueError, match=message):
            Observed(trunk, head, wrong, {}, 2, (1, 6, 6), CLASSES)
    moving = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(36))
    with pytest.raises(ValueError, match=r"1 must not normalise by the batch.*call eval\(\)"):
        Observed(moving, None, {"1.bias": torch.ones(36)}, {}, 2, (1, 6, 6), CLASSES)
    assert Observed(moving.eval(), None, {"1.bias": torch.ones(36)}, {}, 2, (1, 6, 6), CLASSES).scale == 36
    with pytest.raises(ValueError, match="1 record or more of 2 classes"):
        Observed(trunk, head, own, last, 0, (1, 6, 6), CLASSES)
    with pytest.raises(ValueError, match="box must be"):
        Observed(trunk, head, own, last, 2, (1, 6, 6), CLASSES, (1.0, 0.0))
    whole = Observed(trunk, head, own, last, 2, (1, 6, 6), CLASSES)
    with pytest.raises(ValueError, match="labels must be 2 classes below 4"):
        idlg(whole, np.random.default_rng(0), torch.tensor([0, 4]))
    with pytest.raises(ValueError, match="classes need a head"):
        inverting_gradients(Observed(trunk, None, own, {}, 2, (1, 6, 6), CLASSES), np.random.default_rng(0), labels)
    for build in (lambda: Newton(rounds=0), lambda: Signs(lr=0.0), lambda: Signs(variation=-1.0)):
        with pytest.raises(ValueError, match="must be positive|0 or more"):
            build()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_finds_the_same_record():
    own, records, labels = case(0, 1)
    there = Observed(
        own.trunk.cuda(), own.head.cuda(), {name: one.cuda() for name, one in own.gradient.items()},
        {name: one.cuda() for name, one in own.head_gradient.items()}, 1, own.shape, CLASSES, BOX,
    )  # fmt: skip
    found = idlg(there, np.random.default_rng(0), search=QUICK)
    assert found.records.device.type == "cuda"
    assert matched(found.records.cpu().numpy(), records.numpy()).psnr[0] > 25
