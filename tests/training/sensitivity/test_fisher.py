"""Fisher information of layers: a loop over records, logistic regression in closed form, and laws of its intervals."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from dosimeter.foundation.errors import TrainingError
from dosimeter.models.architectures import bag_of_words, convnet, linear, mlp
from dosimeter.training.sensitivity import fisher as module
from dosimeter.training.sensitivity.fisher import Fisher, fisher, layers_of
from dosimeter.training.sensitivity.layers import contrast


def images(n=9, seed=0):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.random((n, 1, 8, 8)).astype(np.float32)), torch.from_numpy(rng.integers(3, size=n))


def net():
    torch.manual_seed(0)
    model = convnet((1, 8, 8), 3, widths=(4, 6, 5))
    model(images(30, 5)[0])  # moves the statistics of normalisation
    return model


def margin(logits, labels):
    own = logits.gather(1, labels[:, None])[:, 0]
    return logits.scatter(1, labels[:, None], float("-inf")).amax(1) - own


def loop(model, inputs, labels, names, loss):
    """Squared gradients by one backward pass for each record."""
    model.eval()
    rows = []
    for x, y in zip(inputs, labels, strict=True):
        model.zero_grad()
        loss(model(x[None]), y[None]).sum().backward()
        modules = dict(model.named_modules())
        rows.append(
            [
                sum(float(w.grad.double().square().sum()) for w in modules[name].parameters(recurse=False))
                for name in names
            ]
        )
    return np.array(rows)


@pytest.mark.parametrize("loss", [module.cross_entropy, margin], ids=["task", "second loss"])
@pytest.mark.parametrize("memory", [1, 10**9], ids=["one at a time", "at once"])
def test_it_is_that_of_a_loop_over_records(loss, memory, monkeypatch):
    monkeypatch.setattr(module, "MEMORY", memory)
    model, (x, y) = net().train(), images()
    found = fisher(model, x, y, loss=loss)
    assert found.layers == ("backbone.1.0", "backbone.2.0", "backbone.3.0", "head")
    assert found.parameters.tolist() == [36, 216, 270, 18]
    assert model.training
    assert all(one.grad is None for one in model.parameters())
    np.testing.assert_allclose(found.each, loop(model, x, y, found.layers, loss), rtol=1e-4, atol=1e-9)


def test_bytes_are_read_as_numbers_and_layers_may_be_chosen():
    model, (_, y) = net(), images()
    x = torch.randint(0, 256, (9, 1, 8, 8), dtype=torch.uint8)
    found = fisher(model, x, y, layers=["head", "backbone.1.1"])
    assert found.layers == ("head", "backbone.1.1")
    np.testing.assert_allclose(found.each, loop(model, x / 255, y, found.layers, module.cross_entropy), rtol=1e-4)


def test_of_logistic_regression_it_is_known():
    torch.manual_seed(0)
    model, rng = linear((5,), 4), np.random.default_rng(1)
    x, y = torch.from_numpy(rng.normal(size=(50, 5)).astype(np.float32)), torch.from_numpy(rng.integers(4, size=50))
    found = fisher(model, x, y)
    p = torch.softmax(model(x).double(), 1).detach()
    error = (p - nn.functional.one_hot(y, 4)).square().sum(1)
    wanted = error * (x.double().square().sum(1) + 1)  # one for the bias
    np.testing.assert_allclose(found.each[:, 0], wanted.numpy(), rtol=1e-5)
    assert found.of_layers("sum")[0] == pytest.approx(float(wanted.mean()), rel=1e-5)
    assert found.of_layers("mean")[0] == pytest.approx(float(wanted.mean()) / 24, rel=1e-5)


def test_gradients_of_a_batch_would_be_something_else():
    """Two records that pull in opposite directions: the batch's gradient is 0, the information is not."""
    model = linear((2,), 2)
    with torch.no_grad():
        for one in model.parameters():
            one.zero_()
    x, y = torch.ones(2, 2), torch.tensor([0, 1])
    nn.functional.cross_entropy(model(x), y).backward()
    assert float(model.head.weight.grad.abs().max()) == 0
    assert fisher(model, x, y).of_layers("sum")[0] == pytest.approx(0.5 * 3)


class Backwards(nn.Module):
    """Its parts are named in another order than they run."""

    def __init__(self):
        super().__init__()
        self.last, self.norm, self.first = nn.Linear(4, 2), nn.LayerNorm(4), nn.Linear(3, 4)
        self.idle = nn.Linear(2, 2)

    def forward(self, x):
        return self.last(self.norm(self.first(x)))


def test_layers_are_those_with_matrices_that_run_in_their_order():
    assert layers_of(Backwards(), torch.zeros(2, 3)) == ("first", "last")
    model = nn.Sequential(nn.Flatten(), nn.LayerNorm(3))
    with pytest.raises(TrainingError, match="needs a layer with weights of two axes, got none that runs"):
        layers_of(model, torch.zeros(2, 3))
    with pytest.raises(TrainingError, match=r"must take inputs of shape \(2, 5\), got RuntimeError"):
        layers_of(Backwards(), torch.zeros(2, 5))


def test_what_gives_no_number_is_refused():
    model, (x, y) = net(), images()
    with pytest.raises(ValueError, match="as many and at least one, got 9 and 3"):
        fisher(model, x, y[:3])
    with pytest.raises(
        ValueError, match="layers must name modules with weights, got 'backbone.0': use some of backbone.1"
    ):
        fisher(model, x, y, layers=["backbone.0"])
    words = torch.ones(4, 5, dtype=torch.long)
    with pytest.raises(TrainingError, match="must run on one record inside torch.func.vmap"):
        fisher(bag_of_words((5,), 2, vocabulary=9), words, torch.zeros(4, dtype=torch.long))


def made(each, parameters=None):
    names = tuple(f"layer {i}" for i in range(each.shape[1]))
    return Fisher(names, np.ones(each.shape[1], int) if parameters is None else np.array(parameters), each)


def test_centres_shares_and_ratios_are_those_of_their_formulas():
    rng = np.random.default_rng(0)
    first, second = (made(rng.gamma(2, 1, (20, 5)) * scale, [10, 20, 40, 80, 160]) for scale in (1.0, 7.0))
    found = contrast(first, second, draws=50)
    for name, profile in found.second.items():
        values = second.each.mean(0) / (second.parameters if name == "mean" else 1)
        assert float(profile.centre.value) == pytest.approx(sum(i * v for i, v in enumerate(values)) / values.sum())
        assert float(profile.early.value) == pytest.approx(values[:2].sum() / values.sum())
        np.testing.assert_allclose(profile.shares.value, values / values.sum())
    ratio = np.log(second.each.mean(0) / first.each.mean(0))
    np.testing.assert_allclose(found.log_ratio.value, ratio)
    assert float(found.slope.value) == pytest.approx(np.polyfit(range(5), ratio, 1)[0])
    assert found.units == (20, 20)


def test_the_digitised_figure_of_the_paper_has_the_centres_that_were_read_from_it():
    """Bars of figure 1 of Ho et al. 2024: centre 6.9 for the task and 3.6 for the inversion, and a falling ratio."""
    task = [0.28, 0.18, 0.13, 0.26, 0.14, 0.34, 0.68, 0.30, 1.02, 1.10, 0.29, 0.29, 0.10]
    inversion = [21.0, 3.5, 10.8, 3.2, 4.7, 3.6, 2.9, 3.3, 3.9, 2.0, 3.3, 3.35, 0.3]
    first, second = (made(np.tile(bars, (3, 1))) for bars in (task, inversion))
    found = contrast(first, second, draws=10)
    assert float(found.first["mean"].centre.value) == pytest.approx(6.9, abs=0.05)
    assert float(found.second["mean"].centre.value) == pytest.approx(3.6, abs=0.05)
    assert float(found.slope.value) < 0
    assert float(found.slope.high) == pytest.approx(float(found.slope.value))  # all records are alike


def test_a_loss_against_itself_has_no_slope_and_a_scale_moves_the_level_alone():
    each = np.random.default_rng(1).gamma(2, 1, (60, 4))
    found = contrast(made(each), made(each * math.e), draws=200)
    np.testing.assert_allclose(found.log_ratio.value, 1.0)
    assert float(found.slope.value) == pytest.approx(0, abs=1e-12)
    assert float(found.slope.low) < 0 < float(found.slope.high)


def test_intervals_cover_and_groups_count_once():
    """200 samples of 60 records from a known law: 95 % intervals of slope and centre hold at least 90 %."""
    means, hits = np.array([4.0, 2.0, 1.0]), np.zeros(2)
    centre, slope = float(means @ range(3) / means.sum()), float(np.polyfit(range(3), -np.log(means), 1)[0])
    for sample in range(200):
        rng = np.random.default_rng(sample)
        first, second = made(rng.gamma(3, means / 3, (60, 3))), made(rng.gamma(3, 1 / 3, (60, 3)))
        found = contrast(first, second, seed=sample, draws=300)
        hits += [
            float(band.low) <= truth <= float(band.high)
            for band, truth in ((found.first["sum"].centre, centre), (found.slope, slope))
        ]
    assert hits.min() >= 180
    each = np.random.default_rng(0).gamma(3, 1, (30, 3))
    copies, groups = made(np.repeat(each, 8, axis=0)), np.repeat(np.arange(30), 8)
    alone, grouped = (
        contrast(made(each), two, groups=(None, which), draws=2000)
        for two, which in ((made(each), None), (copies, groups))
    )
    loose = contrast(made(each), copies, draws=2000)
    width = [float(one.second["sum"].centre.high - one.second["sum"].centre.low) for one in (alone, grouped, loose)]
    assert width[1] == pytest.approx(width[0], rel=0.1)
    assert width[2] < 0.5 * width[0]
    assert (grouped.units, loose.units) == ((30, 30), (30, 240))


@pytest.mark.parametrize(
    ("second", "groups", "message"),
    [
        (np.ones((4, 2)), None, "both losses must have the same two layers or more"),
        (
            np.ones((4, 3)) * [1, 0, 1],
            None,
            "the second loss must have finite slopes that are not all 0 in each layer, got",
        ),
        (np.ones((4, 3)) * [1, np.nan, 1], None, "the second loss must have finite slopes"),
        (np.ones((4, 3)), np.zeros(4), "groups must be two or more and name one for each record, got 1 of 4"),
        (np.ones((4, 3)), np.arange(3), "groups must be two or more and name one for each record, got 3 of 3"),
    ],
)
def test_what_cannot_be_compared_is_refused(second, groups, message):
    with pytest.raises(ValueError, match=message):
        contrast(made(np.ones((4, 3))), made(second), groups=(None, groups))


def test_a_layer_that_few_records_move_is_refused_and_not_given_an_endless_interval():
    few = np.ones((5, 3))
    few[1:, 0] = 0  # a third of the bootstrap samples have no slope there
    with pytest.raises(ValueError, match="the second loss must have slopes in each layer for many of its 5 records"):
        contrast(made(np.ones((4, 3))), made(few))


def test_layers_before_frozen_ones_count_too_and_a_perceptron_runs():
    torch.manual_seed(0)
    model = mlp((6,), 3, width=5, depth=2)
    for weight in model.backbone.parameters():
        weight.requires_grad_(False)
    x, y = torch.rand(12, 6), torch.arange(12) % 3
    found = fisher(model, x, y)
    assert found.layers == ("backbone.1.0", "backbone.2.0", "head")
    assert bool((found.of_layers("sum") > 0).all())
    assert not any(weight.requires_grad for weight in model.backbone.parameters())
