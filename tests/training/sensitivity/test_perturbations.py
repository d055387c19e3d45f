"""Accuracy under perturbations: closed forms of linear models, a search over a grid, and what must not change it."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from dosimeter.foundation.errors import TrainingError
from dosimeter.models.architectures import convnet, linear, mlp
from dosimeter.training.sensitivity.perturbations import SIZES, agreement, classify_perturbed, margins


def records(n, d, seed=0):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.random((n, d)).astype(np.float32)), torch.from_numpy(rng.integers(2, size=n))


def two_classes(d, seed=0):
    """A linear model of two classes."""
    torch.manual_seed(seed)
    model = linear((d,), 2)
    with torch.no_grad():
        model.head.weight.mul_(3)
    return model


@pytest.mark.parametrize("steps", [1, 3, 10])
@pytest.mark.parametrize("limits", [None, (0.0, 1.0)])
def test_a_linear_model_of_two_classes_holds_where_the_closed_form_says(steps, limits):
    x, y = records(400, 6)
    x[:40] = x[:40].round()  # at the limits, where half of the directions are closed
    model, sizes = two_classes(6), (0.003, 0.02, 0.1, 0.3)
    found = classify_perturbed(model, x, y, sizes=sizes, steps=steps, limits=limits)
    weight, bias = model.head.weight.detach().double(), model.head.bias.detach().double()
    sign = (2 * y - 1).double()
    slope = sign[:, None] * (weight[1] - weight[0])
    margin = (x.double() * slope).sum(1) + sign * (bias[1] - bias[0])
    for size, row in zip(sizes, found.correct, strict=True):
        room = torch.full_like(slope, size)
        if limits is not None:
            room = torch.minimum(room, torch.where(slope > 0, x, 1 - x).double())
        left = margin - (slope.abs() * room).sum(1)
        clear = (left.abs() > 1e-5).numpy()  # others are within the rounding of float32
        assert clear.mean() > 0.98
        assert np.array_equal(row[clear], (left > 0).numpy()[clear])
    assert np.array_equal(found.clean, (margin > 0).numpy())
    assert 0.02 < found.accuracy[-1] < found.accuracy[1] < found.clean.mean()


def test_a_network_holds_no_more_than_the_corners_of_the_cube_allow():
    torch.manual_seed(1)
    model = mlp((3,), 3, width=8)
    x = records(60, 3)[0]
    with torch.no_grad():
        y = model(x).argmax(1)
    size = 0.15
    found = classify_perturbed(model, x, y, sizes=(size,), steps=20, limits=None)
    corners = torch.tensor(list(itertools.product((-1.0, 0.0, 1.0), repeat=3)))
    with torch.no_grad():
        answers = model((x[:, None] + size * corners).reshape(-1, 3)).argmax(-1)
    wrong = answers.reshape(60, -1) != y[:, None]
    broken = wrong.any(1).numpy()
    assert 5 < broken.sum() < 55
    assert (found.correct[0] & broken).sum() <= 2  # the search misses few that a corner shows
    assert (~found.correct[0] & ~broken).sum() <= 6  # and finds few that no corner has


def test_a_larger_size_allows_all_that_a_smaller_one_does():
    torch.manual_seed(0)
    model, (x, y) = mlp((5,), 2, width=16), records(200, 5)
    found = classify_perturbed(model, x, y, sizes=(0.2, 0.01, 0.05), steps=4)
    assert found.sizes == (0.01, 0.05, 0.2)
    assert bool((found.correct[1:] <= found.correct[:-1]).all())
    assert bool((found.correct[0] <= found.clean).all())


def test_a_model_that_is_very_sure_is_as_weak_as_one_with_the_same_boundary():
    x, y = records(300, 6)
    mild, sure = two_classes(6), two_classes(6)
    with torch.no_grad():
        sure.head.weight.mul_(1e4)
        sure.head.bias.mul_(1e4)
    first, second = (classify_perturbed(one, x, y, sizes=(0.05, 0.2)).correct for one in (mild, sure))
    assert (first != second).mean() < 0.01


def test_a_model_that_does_not_read_its_input_cannot_be_moved():
    model, (x, y) = linear((4,), 2), records(50, 4)
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.copy_(torch.tensor([0.0, 1.0]))
    found = classify_perturbed(model, x, y)
    assert found.sizes == SIZES
    assert np.array_equal(found.correct, np.tile((y == 1).numpy(), (len(SIZES), 1)))


def test_the_model_is_asked_in_evaluation_mode_and_left_as_it_was():
    torch.manual_seed(0)
    model = convnet((1, 8, 8), 3, widths=(4, 4)).train()
    model.head.weight.requires_grad_(False)
    state = {name: one.clone() for name, one in model.state_dict().items()}
    x = torch.randint(0, 256, (40, 1, 8, 8), dtype=torch.uint8)
    y = torch.arange(40) % 3
    first = classify_perturbed(model, x, y)
    one_by_one = [classify_perturbed(model, x[i : i + 1], y[i : i + 1]).correct for i in range(8)]
    assert np.array_equal(first.correct[:, :8], np.concatenate(one_by_one, axis=1))
    assert all(torch.equal(state[name], one) for name, one in model.state_dict().items())
    assert model.training
    assert all(one.grad is None for one in model.parameters())
    assert [one.requires_grad for one in model.head.parameters()] == [False, True]


def test_margins_are_those_of_the_best_other_class():
    z, y = torch.tensor([[1.0, 3.0, 2.0], [5.0, 4.0, 9.0]]), torch.tensor([1, 0])
    assert margins(z, y).tolist() == [1.0, -4.0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sizes": ()}, "sizes must be at least one number, got none"),
        ({"sizes": (0.1, 0.0)}, r"sizes must be in \(0, 1000000000.0\], got 0.0"),
        ({"steps": 0}, r"steps must be in \[1, 10000\], got 0"),
        ({"limits": (1.0, 0.0)}, r"limits must be two numbers, the smaller first, got \(1.0, 0.0\)"),
        ({"limits": (0.0, 0.5)}, "inputs must lie within limits 0 to 0.5, got 0.* to 0.9.*: give their limits"),
        ({"labels": torch.zeros(3, dtype=torch.long)}, "must be as many and at least one, got 10 and 3"),
    ],
)
def test_wrong_arguments_are_refused(changes, message):
    x, y = records(10, 4)
    given = {"labels": y, **changes}
    with pytest.raises(ValueError, match=message):
        classify_perturbed(linear((4,), 2), x, given.pop("labels"), **given)


def test_tokens_are_refused():
    words = torch.ones(4, 5, dtype=torch.long)
    with pytest.raises(TrainingError, match="records must be numbers to be perturbed a little, got int64 tokens"):
        classify_perturbed(nn.Embedding(3, 2), words, torch.zeros(4, dtype=torch.long))


def test_agreement_is_the_squared_correlation():
    rng = np.random.default_rng(0)
    x = rng.random(12)
    y = 0.5 - 2 * x + rng.normal(0, 0.1, 12)
    line = np.polynomial.Polynomial.fit(x, y, 1)
    wanted = 1 - ((y - line(x)) ** 2).sum() / ((y - y.mean()) ** 2).sum()
    assert agreement(x, y) == pytest.approx(wanted, abs=1e-12)
    for bad in (([1, 2], [1, 2]), ([1, 1, 1], [1, 2, 3]), ([1, 2, 3], [2, 2, 2])):
        with pytest.raises(ValueError, match="accuracies and leaks must"):
            agreement(*(np.array(one, float) for one in bad))
