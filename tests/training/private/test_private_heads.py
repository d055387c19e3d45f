"""Private heads against one-by-one training and Opacus; noise and batches against their laws."""

import dataclasses
import warnings

import numpy as np
import pytest
import torch
from defenses.twins import CPU, C, D, K, data
from scipy.stats import kstest
from torch import nn

from dosimeter.defenses import DPSGD, Dropout
from dosimeter.foundation.errors import TrainingError
from dosimeter.foundation.seeds import generator, seed_for
from dosimeter.training.heads import initial_heads
from dosimeter.training.loop import train
from dosimeter.training.private.accounting import Privacy, poisson
from dosimeter.training.private.heads import _add_noise, _pad, clipped_sums, train_private_heads
from dosimeter.training.recipe import Hyperparameters, settle

HP = Hyperparameters(
    epochs=5, batch_size=6, lr=0.3, momentum=0.5, weight_decay=0.01, schedule="cosine",
    defenses=(DPSGD(noise_multiplier=0.9, delta=1e-2, clip=0.7),),
)  # fmt: skip
SEEDS = [7, 8, 9, 10]


def noiseless(hp, n):
    """The recipe with clipping and Poisson batches alone."""
    return dataclasses.replace(hp, privacy=dataclasses.replace(settle(hp, n).privacy, noise_multiplier=0.0))


def one_head(features, labels, own, hp, seed):
    """DP-SGD of one head, record by record, with automatic gradients and `torch.optim`."""
    privacy = settle(hp, len(own)).privacy
    weight, bias = (one[0].requires_grad_() for one in initial_heads([seed], C, D, CPU))
    optimizer = torch.optim.SGD([weight, bias], lr=hp.lr, momentum=hp.momentum, weight_decay=hp.weight_decay)
    draw, noise = generator(seed, "Poisson batches"), torch.Generator()
    noise.manual_seed(seed_for(seed, "privacy noise"))
    batches = -(-len(own) // hp.batch_size)
    for step in range(hp.epochs * batches):
        sums = [torch.zeros_like(weight), torch.zeros_like(bias)]
        for row in own[poisson(draw, len(own), privacy.rate)]:
            logits = (weight @ features[row] + bias)[None]
            slopes = torch.autograd.grad(nn.functional.cross_entropy(logits, labels[row][None]), (weight, bias))
            norm = float(torch.sqrt(sum((one**2).sum() for one in slopes)))
            for total, one in zip(sums, slopes, strict=True):
                total += one * min(1, privacy.clip / norm)
        drawn = torch.randn(C, D + 1, generator=noise) * privacy.noise_multiplier * privacy.clip
        weight.grad, bias.grad = (sums[0] + drawn[:, :D]) / hp.batch_size, (sums[1] + drawn[:, D]) / hp.batch_size
        for group in optimizer.param_groups:
            group["lr"] = hp.lr_at(step, hp.epochs * batches)
        optimizer.step()
    return weight.detach(), bias.detach()


def test_batched_private_heads_equal_record_by_record_training():
    features, labels, rows = data()
    heads = train_private_heads(features, labels, rows, HP, classes=C, seeds=SEEDS, device=CPU)
    for i, own in enumerate(rows):
        weight, bias = one_head(features, labels, own, HP, SEEDS[i])
        torch.testing.assert_close(heads.weight[i], weight, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(heads.bias[i], bias, rtol=1e-4, atol=1e-5)


def test_clipped_sums_are_those_of_opacus():
    from opacus.grad_sample import GradSampleModule
    from opacus.optimizers import DPOptimizer

    features, labels, rows = data()
    weight, bias = (one * 3 for one in initial_heads(SEEDS, C, D, CPU))
    chosen = [np.arange(5), np.arange(9), np.arange(1), np.arange(0)]
    batch, inside = _pad(chosen, rows)
    _, slope, total = clipped_sums(features[batch], labels[batch], inside, weight, bias, clip=0.8)
    for i, picked in enumerate(chosen[:3]):
        layer = nn.Linear(D, C)
        layer.load_state_dict({"weight": weight[i], "bias": bias[i]})
        layer = GradSampleModule(layer, loss_reduction="sum")
        optimizer = DPOptimizer(
            torch.optim.SGD(layer.parameters(), lr=0.1), noise_multiplier=0.0, max_grad_norm=0.8, expected_batch_size=1,
            loss_reduction="sum",
        )  # fmt: skip
        own = rows[i][picked]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            nn.functional.cross_entropy(layer(features[own]), labels[own], reduction="sum").backward()
        optimizer.pre_step()
        torch.testing.assert_close(slope[i], layer._module.weight.grad, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(total[i], layer._module.bias.grad, rtol=1e-5, atol=1e-5)
    assert float(slope[3].abs().max()) == float(total[3].abs().max()) == 0


def test_heads_equal_a_network_of_one_layer():
    features, labels, rows = data()
    hp = noiseless(HP, K)
    heads = train_private_heads(features, labels, rows[:1], hp, classes=C, seeds=[7], device=CPU)
    layer = nn.Linear(D, C)
    weight, bias = initial_heads([7], C, D, CPU)
    layer.load_state_dict({"weight": weight[0], "bias": bias[0]})
    loss = train(layer, features[rows[0]], labels[rows[0]], hp, seed=7, device=CPU)
    torch.testing.assert_close(heads.weight[0], layer.weight.detach(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(heads.bias[0], layer.bias.detach(), rtol=1e-4, atol=1e-5)
    assert float(heads.loss[0]) == pytest.approx(loss, rel=1e-4)


def test_no_record_moves_an_update_by_more_than_the_clip():
    rng = np.random.default_rng(4)
    x = torch.from_numpy(rng.normal(0, 10.0 ** rng.integers(-3, 4, (200, 1)), (200, D)).astype(np.float32))[None]
    y, weight = torch.from_numpy(rng.integers(C, size=(1, 200))), torch.randn(1, C, D)
    for i in range(200):
        one = torch.zeros(1, 200, dtype=torch.bool)
        one[0, i] = True
        _, slope, total = clipped_sums(x, y, one, weight, torch.zeros(1, C), clip=0.5)
        assert float(torch.sqrt((slope**2).sum() + (total**2).sum())) <= 0.5 * (1 + 1e-5)


def test_noise_has_its_law_and_every_head_its_own():
    privacy = Privacy(1.0, 1e-5, noise_multiplier=2.5, clip=0.4, rate=0.1, steps=10, accountant="prv")
    noises = [torch.Generator().manual_seed(seed) for seed in (1, 2)]
    slope, total = torch.zeros(2, 50, 400), torch.zeros(2, 50)
    _add_noise(slope, total, noises, privacy, expected=8.0)
    both = torch.cat([slope, total[:, :, None]], 2).double().flatten(1) / (2.5 * 0.4 / 8.0)
    for one in both:
        assert kstest(one.numpy(), "norm").pvalue > 1e-3
    assert abs(float(torch.corrcoef(both)[0, 1])) < 5 / np.sqrt(both.shape[1])


def test_empty_batches_are_updates_too():
    features, labels, rows = data()
    hp = Hyperparameters(epochs=2, batch_size=1, lr=0.1, defenses=(DPSGD(noise_multiplier=1.0),))
    rng = generator(7, "Poisson batches")
    assert sum(not len(poisson(rng, K, 1 / K)) for _ in range(2 * K)) > 5
    heads = train_private_heads(features, labels, rows, hp, classes=C, seeds=SEEDS, device=CPU)
    weight, bias = one_head(features, labels, rows[0], hp, 7)
    torch.testing.assert_close(heads.weight[0], weight, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(heads.bias[0], bias, rtol=1e-4, atol=1e-5)
    assert bool(torch.isfinite(heads.loss).all())


def test_dropout_goes_with_it_and_changes_what_is_trained():
    features, labels, rows = data()
    hidden = dataclasses.replace(HP, defenses=(*HP.defenses, Dropout(0.5)))
    both = [
        train_private_heads(features, labels, rows, hp, classes=C, seeds=SEEDS, device=CPU).weight
        for hp in (HP, hidden)
    ]
    assert float((both[0] - both[1]).abs().max()) > 0.01


def test_a_loss_that_is_not_finite_is_told():
    features, labels, rows = data()
    wild = dataclasses.replace(HP, lr=1e30)
    with pytest.raises(TrainingError, match="training loss must be finite"):
        train_private_heads(features * 1e20, labels, rows, wild, classes=C, seeds=SEEDS, device=CPU)
