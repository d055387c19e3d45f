"""DP-SGD for networks: gradients against one-by-one backpropagation and Opacus, and what is refused."""

import dataclasses
import sys
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from dosimeter.defenses import DPSGD, Dropout
from dosimeter.foundation.errors import ConfigError, TrainingError
from dosimeter.training.loop import train
from dosimeter.training.private.accounting import Privacy
from dosimeter.training.private.loop import (
    PrivateGradients,
    check_private,
    clip_and_sum,
    per_record,
    privately,
    record_gradients,
)
from dosimeter.training.recipe import Hyperparameters

CPU = torch.device("cpu")
PRIVACY = Privacy(1.0, 1e-3, noise_multiplier=0.0, clip=0.3, rate=0.5, steps=100, accountant="prv")


class Net(nn.Module):
    """Convolution, group and layer normalisation, a shared layer."""

    def __init__(self, norm=None):
        super().__init__()
        self.convolve, self.norm = nn.Conv2d(1, 4, 3, padding=1), norm or nn.GroupNorm(2, 4)
        self.mix, self.scale, self.last = nn.Linear(16, 16), nn.LayerNorm(16), nn.Linear(16, 3)

    def forward(self, x):
        x = torch.relu(self.norm(self.convolve(x))).mean(1).flatten(1)
        return self.last(self.scale(self.mix(torch.tanh(self.mix(x)))))


def pictures(n):
    rng = np.random.default_rng(2)
    labels = torch.from_numpy(rng.integers(3, size=n))
    return torch.from_numpy(rng.normal(size=(n, 1, 4, 4)).astype(np.float32)) + labels[:, None, None, None], labels


def fresh(kind=Net, **options):
    torch.manual_seed(5)
    return kind(**options)


def one_by_one(model, x, y, clip):
    """The sum of clipped gradients, one backward pass for each record."""
    trained = [p for p in model.parameters() if p.requires_grad]
    sums = [torch.zeros_like(p) for p in trained]
    for row, label in zip(x, y, strict=True):
        slopes = torch.autograd.grad(nn.functional.cross_entropy(model(row[None]), label[None]), trained)
        norm = float(torch.sqrt(sum((one**2).sum() for one in slopes)))
        for total, one in zip(sums, slopes, strict=True):
            total += one * min(1.0, clip / norm)
    return sums


@pytest.mark.parametrize("n", [1, 7, 150])
def test_gradients_are_those_of_one_record_at_a_time(n):
    (x, y), model = pictures(n), fresh().train()
    wanted = one_by_one(model, x, y, PRIVACY.clip)
    with privately(model, PRIVACY, n, 3) as private:
        private.set(x, y)
        for p, total in zip(model.parameters(), wanted, strict=True):
            torch.testing.assert_close(p.grad * n * PRIVACY.rate, total, rtol=1e-4, atol=1e-5)


def test_gradients_are_those_of_the_optimizer_of_opacus():
    from opacus.grad_sample import GradSampleModule
    from opacus.optimizers import DPOptimizer

    (x, y), model, theirs = pictures(20), fresh(), GradSampleModule(fresh(), loss_reduction="sum")
    optimizer = DPOptimizer(
        torch.optim.SGD(theirs.parameters(), lr=0.1), noise_multiplier=0.0, max_grad_norm=PRIVACY.clip,
        expected_batch_size=10, loss_reduction="sum",
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nn.functional.cross_entropy(theirs(x), y, reduction="sum").backward()
    optimizer.pre_step()
    with record_gradients(model):
        _, each = per_record(model, x, y)
    for wanted, sums in zip(theirs.parameters(), clip_and_sum(each, PRIVACY.clip), strict=True):
        torch.testing.assert_close(sums, wanted.summed_grad, rtol=1e-5, atol=1e-5)


def test_noise_has_its_deviation_and_an_empty_batch_is_noise_alone():
    model = nn.Linear(400, 50)
    with record_gradients(model):
        private = PrivateGradients(model, dataclasses.replace(PRIVACY, noise_multiplier=2.0), 40, 3)
        loss = private.set(torch.zeros(0, 400), torch.zeros(0, dtype=torch.long))
    noise = model.weight.grad.flatten()
    assert float(loss) == 0
    assert float(noise.std()) == pytest.approx(2.0 * PRIVACY.clip / 20, rel=4 / np.sqrt(2 * len(noise)))
    assert abs(float(noise.mean())) < 5 * float(noise.std()) / np.sqrt(len(noise))


def hyperparameters(**changes):
    settings = {"epochs": 3, "batch_size": 8, "lr": 0.1, "defenses": (DPSGD(noise_multiplier=0.8, delta=1e-2),)}
    return Hyperparameters(**settings | changes)


@pytest.mark.parametrize("changes", [{}, {"optimizer": "adam"}, {"augment": ("flip",)}], ids=str)
def test_training_is_the_same_twice_and_leaves_a_plain_model(changes):
    (x, y), found = pictures(50), []
    for _ in range(2):
        model = fresh()
        train(model, x, y, hyperparameters(**changes), seed=4, device=CPU)
        found.append(model)
    for a, b, start in zip(*(one.parameters() for one in found), fresh().parameters(), strict=True):
        assert torch.equal(a, b)
        assert not torch.equal(a, start)
        assert not hasattr(a, "grad_sample")
    assert not found[0].training
    assert found[0].state_dict().keys() == Net().state_dict().keys()
    assert found[0](x).shape == (50, 3)


def test_without_noise_it_learns():
    (x, y), model = pictures(60), fresh()
    hp = hyperparameters(epochs=120, lr=0.5, privacy=dataclasses.replace(PRIVACY, rate=8 / 60, steps=10_000, clip=1.0))
    train(model, x, y, hp, seed=4, device=CPU)
    assert float((model(x).argmax(1) == y).float().mean()) > 0.8


def test_dropout_of_features_goes_with_it():
    (x, y), found = pictures(50), []
    for more in ((), (Dropout(0.6),)):
        model = fresh()
        hp = hyperparameters()
        train(model, x, y, dataclasses.replace(hp, defenses=(*hp.defenses, *more)), seed=4, device=CPU)
        found.append(model.last.weight.detach())
    assert not torch.equal(*found)


class Functional(nn.Module):
    """A layer whose weights are used behind its back."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(16, 8), nn.Linear(8, 3)

    def forward(self, x):
        return self.last(nn.functional.linear(x.flatten(1), self.first.weight))


class Coupled(nn.Module):
    """No layer mixes records, the model does."""

    def __init__(self):
        super().__init__()
        self.last = nn.Linear(16, 3)

    def forward(self, x):
        x = x.flatten(1)
        return self.last(x - x.mean(0))


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (lambda: Net(nn.BatchNorm2d(4)), r"layer 'norm' \(BatchNorm2d\) cannot be private.+use group normalisation"),
        (lambda: nn.Sequential(nn.Flatten(), nn.LSTM(16, 3)), r"layer '1' \(LSTM\) cannot be private"),
        (Functional, "every trained tensor must have a gradient for each record, got none for first"),
        (Coupled, "must depend on that record alone"),
    ],
)
def test_what_cannot_be_private_is_refused_in_one_line(model, words):
    x, _ = pictures(2)
    with pytest.raises(TrainingError, match=words) as caught:
        check_private(model(), x)
    assert all("\n" not in line for line in caught.value.problems)


def test_a_model_that_can_be_private_is_not_refused():
    x, _ = pictures(2)
    model = fresh()
    check_private(model, x)
    assert all(p.grad is None for p in model.parameters())
    for kind in (nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Dropout(0.5), nn.Linear(8, 3)), nn.Flatten()):
        if list(kind.parameters()):
            check_private(kind, x)


@pytest.mark.parametrize("mode", ["mean", "sum"])
def test_words_have_gradients_for_each_text(mode):
    torch.manual_seed(3)
    model = nn.Sequential(nn.EmbeddingBag(9, 4, mode=mode, padding_idx=0), nn.Linear(4, 3)).train()
    x, y = torch.tensor([[1, 2, 2, 0], [0, 0, 0, 0], [8, 8, 8, 8]]), torch.tensor([0, 1, 2])
    wanted = [
        torch.autograd.grad(nn.functional.cross_entropy(model(x[i : i + 1]), y[i : i + 1]), list(model.parameters()))
        for i in range(3)
    ]
    with record_gradients(model):
        _, found = per_record(model, x, y)
    for own, slow in zip(found, zip(*wanted, strict=True), strict=True):
        torch.testing.assert_close(own, torch.stack(slow), rtol=1e-5, atol=1e-5)
    check_private(model, x[:2])
    assert np.isfinite(
        train(model, x.repeat(10, 1), y.repeat(10), hyperparameters(augment=("drop",)), seed=4, device=CPU)
    )


class Centred(nn.Module):
    """Words less their mean over the batch."""

    def __init__(self):
        super().__init__()
        self.words, self.last = nn.EmbeddingBag(9, 4), nn.Linear(4, 3)

    def forward(self, x):
        found = self.words(x)
        return self.last(found - found.mean(0))


def test_texts_that_touch_each_other_and_other_bags_are_refused():
    x = torch.tensor([[1, 2], [3, 4]])
    with pytest.raises(TrainingError, match="must depend on that record alone"):
        check_private(Centred(), x)
    with pytest.raises(TrainingError, match="sum or mean of rows of words"):
        check_private(nn.Sequential(nn.EmbeddingBag(9, 4, mode="max"), nn.Linear(4, 3)), x)


class Detached(nn.Module):
    """Less the mean over the batch, through which no gradient flows."""

    def __init__(self):
        super().__init__()
        self.last = nn.Linear(4, 3)

    def forward(self, x):
        return self.last(x - x.mean(0).detach())


class Counting(Detached):
    """Less a running mean that every training batch moves."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(4))

    def forward(self, x):
        if self.training:
            self.mean.lerp_(x.detach().mean(0), 0.1)
        return self.last(x - self.mean)


@pytest.mark.parametrize(
    ("kind", "line"), [(Detached, "must depend on that record alone"), (Counting, "got the buffer 'mean'")]
)
def test_statistics_of_a_batch_without_a_gradient_are_refused(kind, line):
    with pytest.raises(TrainingError, match=line):
        check_private(kind(), torch.rand(2, 4))


def test_frozen_batch_normalisation_uses_its_stored_statistics():
    (x, y), norm = pictures(50), nn.BatchNorm2d(4)
    norm.requires_grad_(False)
    norm.running_mean.fill_(0.3)
    model = fresh(norm=norm)
    check_private(model, x[:2])
    train(model, x, y, hyperparameters(), seed=4, device=CPU)
    assert bool((norm.running_mean == 0.3).all())
    assert int(norm.num_batches_tracked) == 0


def test_without_opacus_the_remedy_is_its_name(monkeypatch):
    monkeypatch.setitem(sys.modules, "opacus", None)
    with pytest.raises(ConfigError, match=r'run pip install "dosimeter\[dp\]"$'):
        check_private(fresh(), pictures(2)[0])


def test_more_updates_than_were_counted_are_refused():
    model = fresh()
    with (
        pytest.raises(TrainingError, match="at most 5 updates were counted, got 6"),
        privately(model, dataclasses.replace(PRIVACY, steps=5), 40, 3) as private,
    ):
        list(private.batches(6))


def test_activations_in_place_get_the_gradients_of_others_and_stay_as_they_were():
    (x, y), found = pictures(6), []
    for inplace in (False, True):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(inplace), nn.GroupNorm(2, 8), nn.ReLU(inplace), nn.Flatten())
        model.append(nn.LazyLinear(10))
        model(x)
        check_private(model, x[:2])
        with record_gradients(model):
            found.append(per_record(model, x, y)[1])
        assert [one.inplace for one in model.modules() if isinstance(one, nn.ReLU)] == [inplace] * 2
    for plain, in_place in zip(*found, strict=True):
        torch.testing.assert_close(plain, in_place, rtol=1e-5, atol=1e-5)


def test_our_convnet_with_group_normalisation_can_be_private():
    from dosimeter.models.architectures import convnet

    check_private(convnet((3, 8, 8), 2, widths=(8, 8), norm="group"), torch.rand(2, 3, 8, 8))


class Clobbering(nn.Module):
    """A linear layer whose output is changed in place."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x):
        return self.layer(x).relu_()


def test_a_model_that_changes_outputs_in_place_is_refused_in_one_line():
    with pytest.raises(TrainingError, match="do not change what a layer gave in place") as caught:
        check_private(Clobbering(), torch.rand(2, 4))
    assert len(caught.value.problems) == 1
