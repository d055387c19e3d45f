"""The batched program against one-by-one autograd training, and the loop for one model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from dosimeter.foundation.errors import TrainingError
from dosimeter.foundation.seeds import generator, seed_for
from dosimeter.models.architectures import convnet, mlp
from dosimeter.training.heads import VARIANCE_FLOOR, train_heads
from dosimeter.training.loop import SHIFT, augment, layout_for, seed_torch, train
from dosimeter.training.recipe import Hyperparameters

CPU = torch.device("cpu")
N, D, C, M, K = 60, 12, 4, 5, 30


def data(seed=0):
    """Features with means and deviations of their own, labels that depend on them, and the rows of each head."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(C, size=N)
    features = rng.normal(size=(C, D))[labels] + rng.normal(size=(N, D))
    features = features * rng.uniform(0.2, 2.0, D) + rng.normal(size=D)
    rows = np.stack([rng.permutation(N)[:K] for _ in range(M)])
    return torch.from_numpy(features).float(), torch.from_numpy(labels), rows


def one_head(features, labels, own, hp, seed):
    """The slow twin: nn.Linear, autograd and torch.optim on one head's rows; gives weight, bias and last mean loss."""
    head = nn.Linear(D, C)
    drawn = torch.rand(C, D + 1, generator=torch.Generator().manual_seed(seed_for(seed, "initialisation")))
    drawn = (drawn * 2 - 1) / D**0.5
    with torch.no_grad():
        head.weight.copy_(drawn[:, :D])
        head.bias.copy_(drawn[:, D])
    mean, scale = torch.zeros(D), torch.ones(D)
    if hp.standardise:
        mean, variance = features[own].mean(0), features[own].var(0, unbiased=False)
        scale = (variance + VARIANCE_FLOOR * variance.mean()).rsqrt()
    x, y, order = (features[own] - mean) * scale, labels[own], generator(seed, "order")
    if hp.optimizer == "adam":
        optimizer = torch.optim.Adam(head.parameters(), lr=1.0, weight_decay=hp.weight_decay)
    else:
        optimizer = torch.optim.SGD(head.parameters(), lr=1.0, momentum=hp.momentum, weight_decay=hp.weight_decay)
    steps_per_epoch = -(-len(own) // hp.batch_size)
    for epoch in range(hp.epochs):
        total = 0.0
        for step, rows in enumerate(torch.from_numpy(order.permutation(len(own))).split(hp.batch_size)):
            optimizer.param_groups[0]["lr"] = hp.lr_at(epoch * steps_per_epoch + step, hp.epochs * steps_per_epoch)
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(head(x[rows]), y[rows])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(rows)
    weight = (head.weight * scale).detach()
    return weight, head.bias.detach() - weight @ mean, total / len(own)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one-cycle"])
@pytest.mark.parametrize("standardise", [False, True])
@pytest.mark.parametrize(
    "recipe",
    [
        {"momentum": 0.0},
        {"momentum": 0.9, "weight_decay": 0.01},
        {"optimizer": "adam", "lr": 0.01},
        {"optimizer": "adam", "lr": 0.01, "weight_decay": 0.01},
    ],
    ids=["sgd", "sgd-momentum-decay", "adam", "adam-decay"],
)
def test_heads_equal_one_by_one_training(recipe, standardise, schedule):
    features, labels, rows = data()
    hp = Hyperparameters(
        **{"epochs": 6, "batch_size": 8, "lr": 0.05, **recipe}, schedule=schedule, standardise=standardise
    )
    seeds = [100 + i for i in range(M)]
    heads = train_heads(features, labels, rows, hp, classes=C, seeds=seeds, device=CPU)
    for i, (own, seed) in enumerate(zip(rows, seeds, strict=True)):
        weight, bias, loss = one_head(features, labels, own, hp, seed)
        torch.testing.assert_close(heads.weight[i], weight, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(heads.bias[i], bias, rtol=1e-5, atol=1e-5)
        assert float(heads.loss[i]) == pytest.approx(loss, abs=1e-5)


@pytest.mark.parametrize("batch_size", [1, 30, 64])
def test_heads_with_batches_of_one_record_and_of_all(batch_size):
    features, labels, rows = data()
    hp = Hyperparameters(epochs=2, batch_size=batch_size, lr=0.02)
    heads = train_heads(features, labels, rows, hp, classes=C, seeds=list(range(M)), device=CPU)
    weight, bias, _ = one_head(features, labels, rows[3], hp, 3)
    torch.testing.assert_close(heads.weight[3], weight, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(heads.bias[3], bias, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("standardise", [False, True])
def test_a_head_does_not_depend_on_the_others(standardise):
    features, labels, rows = data()
    hp = Hyperparameters(epochs=4, batch_size=8, lr=0.05, standardise=standardise)
    together = train_heads(features, labels, rows, hp, classes=C, seeds=list(range(M)), device=CPU)
    alone = train_heads(features, labels, rows[2:3], hp, classes=C, seeds=[2], device=CPU)
    torch.testing.assert_close(together.weight[2], alone.weight[0], rtol=1e-5, atol=1e-5)


def test_heads_repeat_and_ignore_the_global_generator():
    features, labels, rows = data()
    results = []
    for outside in (1, 2):
        torch.manual_seed(outside)
        before = torch.random.get_rng_state()
        results.append(train_heads(features, labels, rows, Hyperparameters(), classes=C, seeds=[0] * M, device=CPU))
        assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(results[0].weight, results[1].weight)
    assert torch.equal(results[0].bias, results[1].bias)


def test_heads_that_diverge_name_their_seed():
    features, labels, rows = data()
    features[rows[4][0]] = float("inf")
    rows = np.stack([np.setdiff1d(own, rows[4][0])[: K - 1] for own in rows[:4]] + [rows[4][: K - 1]])
    with pytest.raises(TrainingError, match=r"finite, got \w+ in epoch 1 of 20 with seed 14: lower lr \(0.01\)"):
        train_heads(features, labels, rows, Hyperparameters(), classes=C, seeds=[10, 11, 12, 13, 14], device=CPU)


def images(n=24):
    rng = np.random.default_rng(0)
    labels = torch.from_numpy(rng.integers(3, size=n))
    pixels = torch.from_numpy(rng.integers(0, 100, (n, 3, 16, 16), dtype=np.uint8))
    pixels[torch.arange(n), labels] += 100
    return pixels, labels


def net(dropout=False):
    with seed_torch(0):
        model = convnet((3, 16, 16), 3, widths=(8, 8))
    if dropout:
        model.backbone.append(nn.Dropout(0.5))
    return model


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_train_fits_and_repeats_whatever_the_global_generator_holds(precision, optimizer):
    hp = Hyperparameters(
        epochs=12, batch_size=8, lr=0.02, optimizer=optimizer, precision=precision, augment=("flip", "shift")
    )
    results = []
    for outside in (1, 2):
        torch.manual_seed(outside)
        before = torch.random.get_rng_state()
        model = net(dropout=True)
        loss = train(model, *images(), hp, seed=3, device=CPU)
        assert torch.equal(torch.random.get_rng_state(), before)
        assert not model.training
        assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
        results.append((loss, *model.state_dict().values()))
    assert results[0][0] == results[1][0] < 0.5
    assert all(torch.equal(one, other) for one, other in zip(results[0][1:], results[1][1:], strict=True))


def test_the_seed_decides_the_order():
    hp = Hyperparameters(epochs=1, batch_size=4)
    assert len({round(train(net(), *images(), hp, seed=seed, device=CPU), 4) for seed in (0, 1, 1)}) == 2


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one-cycle"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_train_equals_a_plain_loop(schedule, optimizer):
    features, labels, rows = data()
    hp = Hyperparameters(
        epochs=3, batch_size=8, lr=0.02, optimizer=optimizer, weight_decay=0.01, schedule=schedule, momentum=0.5
    )
    inputs, targets = features[rows[0]], labels[rows[0]]
    with seed_torch(0):
        model, plain = mlp((D,), C, width=8), mlp((D,), C, width=8)
    plain.load_state_dict(model.state_dict())
    loss = train(model, inputs, targets, hp, seed=5, device=CPU)
    kind = torch.optim.Adam if optimizer == "adam" else torch.optim.SGD
    options = {"weight_decay": 0.01} if optimizer == "adam" else {"weight_decay": 0.01, "momentum": 0.5}
    descent, order, steps, step = kind(plain.parameters(), lr=1.0, **options), generator(5, "order"), 3 * 4, 0
    for _ in range(hp.epochs):
        total = 0.0
        for chosen in torch.from_numpy(order.permutation(K)).split(8):
            descent.param_groups[0]["lr"] = hp.lr_at(step, steps)
            descent.zero_grad()
            one = nn.functional.cross_entropy(plain(inputs[chosen]), targets[chosen])
            one.backward()
            descent.step()
            step, total = step + 1, total + one.item() * len(chosen)
    assert loss == pytest.approx(total / K, abs=1e-5)
    for ours, theirs in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_frozen_parameters_stay():
    model = net()
    for parameter in model.backbone.parameters():
        parameter.requires_grad_(False)
    before = [parameter.clone() for parameter in model.backbone.parameters()]
    head = model.head.weight.clone()
    train(model, *images(), Hyperparameters(epochs=1), seed=0, device=CPU)
    assert all(torch.equal(a, b) for a, b in zip(before, model.backbone.parameters(), strict=True))
    assert not torch.equal(head, model.head.weight)


def test_a_loss_that_is_not_finite_names_the_seed():
    inputs, labels = torch.full((8, D), float("nan")), torch.zeros(8, dtype=torch.long)
    with pytest.raises(TrainingError, match="finite, got nan in epoch 1 of 20 with seed 77"):
        train(mlp((D,), C), inputs, labels, Hyperparameters(), seed=77, device=CPU)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [1.0] * 8),
        ("cosine", [0.5 * (1 + np.cos(np.pi * t / 8)) for t in range(8)]),
        ("one-cycle", [0.5, 1.0, 1.0, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6]),
    ],
)
def test_schedules_by_hand(schedule, expected):
    hp = Hyperparameters(lr=1.0, schedule=schedule)
    assert [hp.lr_at(step, 8) for step in range(8)] == pytest.approx(expected)


def picture():
    """Two images of 2 x 3 pixels with one channel, all pixels different."""
    return torch.arange(12.0).view(2, 1, 2, 3)


def test_flip_mirrors_where_the_first_number_is_below_one_half():
    flipped = augment(picture(), ("flip",), torch.tensor([[0.4, 0.0, 0.0], [0.5, 0.0, 0.0]]))
    assert flipped.tolist() == [[[[2.0, 1.0, 0.0], [5.0, 4.0, 3.0]]], [[[6.0, 7.0, 8.0], [9.0, 10.0, 11.0]]]]


def test_no_augmentation_changes_nothing():
    assert torch.equal(augment(picture(), (), torch.rand(2, 3)), picture())


@pytest.mark.parametrize(
    ("down", "right", "expected"),
    [
        (0, 0, [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]),
        (1, 0, [[3.0, 4.0, 5.0], [3.0, 4.0, 5.0]]),
        (-1, 0, [[0.0, 1.0, 2.0], [0.0, 1.0, 2.0]]),
        (0, 1, [[1.0, 2.0, 2.0], [4.0, 5.0, 5.0]]),
        (0, -1, [[0.0, 0.0, 1.0], [3.0, 3.0, 4.0]]),
        (SHIFT, -SHIFT, [[3.0, 3.0, 3.0], [3.0, 3.0, 3.0]]),
    ],
)
def test_shift_moves_the_window_and_repeats_borders(down, right, expected):
    """Numbers in [0, 1) choose one of 2 SHIFT + 1 offsets; each image has its own."""
    still = (SHIFT + 0.5) / (2 * SHIFT + 1)
    chosen = [(SHIFT + offset + 0.5) / (2 * SHIFT + 1) for offset in (down, right)]
    moved = augment(picture(), ("shift",), torch.tensor([[0.9, *chosen], [0.9, still, still]]))
    assert moved[0, 0].tolist() == expected
    assert torch.equal(moved[1], picture()[1])


def test_channels_move_together():
    both = torch.cat([picture(), picture() + 100], dim=1)
    moved = augment(both, ("flip", "shift"), torch.tensor([[0.1, 0.2, 0.9], [0.7, 0.8, 0.3]]))
    assert torch.equal(moved[:, 0] + 100, moved[:, 1])


@pytest.mark.parametrize(("channels", "stride", "last"), [(4, 2, False), (4, 1, True), (16, 2, True)])
def test_a_layer_that_writes_past_its_memory_is_not_trained_with_channels_last(channels, stride, last):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, channels, 3), nn.Conv2d(channels, 5, 1, stride=stride), nn.Flatten())
    assert (layout_for(model, images=True) == torch.channels_last) == last
    assert layout_for(model, images=False) == torch.contiguous_format
    x, y = torch.rand(8, 3, 8, 8), torch.arange(8) % 5
    train(model, x, y, Hyperparameters(epochs=1, lr=0.01, batch_size=8), seed=0, device=torch.device("cpu"))
    assert model[0].weight.is_contiguous() != last


@pytest.mark.parametrize(("channels", "last"), [(4, False), (16, True)])
def test_nor_are_weights_of_its_shape_that_are_used_without_a_layer(channels, last):
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.rand(5, channels, 1, 1))

        def forward(self, x):
            return nn.functional.conv2d(x, self.weight, stride=2).flatten(1)

    assert (layout_for(nn.Sequential(nn.Conv2d(3, channels, 3), Own()), images=True) == torch.channels_last) == last
