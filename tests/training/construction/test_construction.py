"""Adversaries of a training: what they cost, whom they move, and what is left of them."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from dosimeter.defenses import DEFENSES
from dosimeter.foundation.errors import DataError, TrainingError
from dosimeter.statistics.leakage import pixels
from dosimeter.training.construction.joining import Informed
from dosimeter.training.construction.objectives import confusion, perceived, ssim
from dosimeter.training.construction.partition import AdversarialPartition
from dosimeter.training.construction.settings import Construction
from dosimeter.training.loop import train
from dosimeter.training.recipe import Hyperparameters

CPU = torch.device("cpu")


def records(n=120, seed=0):
    """Pictures in [0, 1] whose halves are more or less bright, and an attribute: is the left half bright?"""
    rng = np.random.default_rng(seed)
    bright = np.repeat(rng.random((n, 1, 1, 2)), 4, axis=3)
    inputs = torch.from_numpy((0.7 * bright + 0.3 * rng.random((n, 1, 8, 8))).astype(np.float32))
    return inputs, (inputs[..., :4].mean((1, 2, 3)) > 0.5).long()


def device_half(norm=False):
    """A first half with or without batch normalisation."""
    torch.manual_seed(3)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 12), *([nn.BatchNorm1d(12)] if norm else []), nn.ReLU())


class Reversed(torch.autograd.Function):
    """Gradient reversal: the identity, whose gradient is turned round and scaled."""

    @staticmethod
    def forward(ctx, x, weight):
        """Gives the input."""
        ctx.weight = weight
        return x.view_as(x)

    @staticmethod
    def backward(ctx, given):
        """Turns the gradient round."""
        return -ctx.weight * given, None


def test_the_first_objective_has_the_gradients_of_gradient_reversal():
    inputs, side = records()
    rows, half = torch.arange(40), device_half()
    settings = Construction(against="attribute:side", objective="reversal", weight=0.7, steps=2, ramp=0.0)
    fight = AdversarialPartition(settings, inputs, {"side": side}, epochs=1)
    fight(half(inputs[rows]), rows).backward()
    ours = [one.grad.clone() for one in half.parameters()]
    half.zero_grad()
    ((network, _),) = fight.opponents[0].pool  # as it was for that term: it learns before it is asked
    nn.functional.nll_loss(network(Reversed.apply(half(inputs[rows]), 0.7)), side[rows]).backward()
    for a, one in zip(ours, half.parameters(), strict=True):
        torch.testing.assert_close(a, one.grad)
    assert max(float(one.abs().max()) for one in ours) > 0


@pytest.mark.parametrize(
    ("against", "objective"),
    [("attribute:side", "confusion"), ("input", "mean_input"), ("input", "hinge"), ("input", "perceptual")],
)
def test_adversaries_learn_alone_and_the_model_by_the_price_alone(against, objective):
    inputs, side = records()
    half = device_half(norm=True)
    before = copy.deepcopy(half.state_dict())
    settings = Construction(against=against, objective=objective, steps=4, pool=2, ramp=0.0, threshold=-1.0)
    fight = AdversarialPartition(settings, inputs, {"side": side}, epochs=1)
    rows = torch.arange(60)
    features = half(inputs[rows])
    once = copy.deepcopy(half.state_dict())
    fight(features.detach(), rows)
    assert all(torch.equal(one, once[name]) for name, one in half.state_dict().items())
    assert all(one.grad is None for one in half.parameters())
    assert not torch.equal(once["2.running_mean"], before["2.running_mean"]), (
        "one pass moves the model's own statistics"
    )
    young = copy.deepcopy(fight.opponents[0].state())
    fight(features, rows).backward()
    assert all(float(one.grad.abs().sum()) > 0 for one in half[1].parameters())
    assert any(not torch.equal(one, young[name]) for name, one in fight.state().items())
    networks = [network for network, _ in fight.opponents[0].pool]
    assert not any(
        isinstance(one, nn.modules.batchnorm._BatchNorm) for network in networks for one in network.modules()
    )
    assert not torch.equal(*[next(network.parameters()) for network in networks])


def test_the_price_moves_no_adversary():
    inputs, side = records()
    fight = AdversarialPartition(Construction(against="attribute:side", ramp=0.0), inputs, {"side": side}, epochs=1)
    half, rows = device_half(), torch.arange(60)
    term = fight(half(inputs[rows]), rows)
    learnt = copy.deepcopy(fight.state())
    weights = [one for network, _ in fight.opponents[0].pool for one in network.parameters()]
    for one in weights:
        one.grad = None
    term.backward()
    assert all(one.grad is None for one in weights)
    assert all(torch.equal(one, learnt[name]) for name, one in fight.state().items())


def test_confusion_is_least_where_the_answer_is_the_prior():
    prior = torch.tensor([0.2, 0.8])
    assert float(confusion(prior.log().expand(5, 2), prior)) == pytest.approx(0.0, abs=1e-6)
    for p in (0.01, 0.5, 0.9):
        answer = torch.tensor([p, 1 - p]).log().expand(5, 2)
        wanted = 0.2 * np.log(0.2 / p) + 0.8 * np.log(0.8 / (1 - p))
        assert float(confusion(answer, prior)) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("side", [6, 8, 28, 31])
def test_similarity_of_pictures_is_the_one_that_reports_show(side):
    rng = np.random.default_rng(side)
    a, b = (rng.random((4, 2, side, side)) for _ in range(2))
    made = torch.from_numpy(0.5 * a + 0.5 * b)
    np.testing.assert_allclose(ssim(made, torch.from_numpy(a)).numpy(), pixels.ssim(made.numpy(), a), atol=1e-9)
    assert float(ssim(made, made).min()) == pytest.approx(1.0)


def test_what_is_perceived_is_no_difference_between_equal_pictures():
    a = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert float(perceived(a, a)) == 0.0
    assert float(perceived(a, 1 - a)) > float(perceived(a, 0.9 * a + 0.1 * (1 - a))) > 0


def test_fresh_adversaries_take_the_place_of_the_oldest_one():
    inputs, side = records()
    settings = Construction(against="attribute:side", pool=2, reset=2, ramp=0.0)
    fight = AdversarialPartition(settings, inputs, {"side": side}, epochs=6)
    half, rows, seen = device_half(), torch.arange(60), []
    for epoch in range(5):
        fight.begin(epoch)
        fight(half(inputs[rows]).detach(), rows)
        seen.append([id(network) for network, _ in fight.opponents[0].pool])
    assert seen[0] == seen[1]
    kept = [[a == b for a, b in zip(*seen[e - 1 : e + 1], strict=True)] for e in (2, 4)]
    assert kept == [[False, True], [True, False]]


def test_the_pool_answers_with_its_mean_and_comes_back_from_its_weights():
    inputs, side = records()
    settings = Construction(against=("attribute:side", "input"), pool=3)
    fight, again = (AdversarialPartition(settings, inputs, {"side": side}, epochs=2, seed=one) for one in (0, 1))
    half, rows = device_half(), torch.arange(60)
    features = half(inputs[rows]).detach()
    fight(features, rows)
    said = fight.says(features)
    np.testing.assert_allclose(said["attribute:side"].exp().sum(1), 1, atol=1e-5)
    assert said["input"].shape == (60, 1, 8, 8)
    again.build((12,), "cpu")
    assert not torch.allclose(again.says(features)["attribute:side"], said["attribute:side"])
    again.load(fight.state())
    assert torch.equal(again.says(features)["attribute:side"], said["attribute:side"])


def trained(defense, n=120, **settings):
    """A small network after training, with what is left of its adversaries."""
    inputs, side = records(n)
    labels = (inputs[..., 4:].mean((1, 2, 3)) > 0.5).long()
    torch.manual_seed(5)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.ReLU(inplace=True), nn.Linear(12, 2))
    told = () if defense is None else (Informed(defense, {"side": side}),)
    hp = Hyperparameters(**{"epochs": 4, "batch_size": 16, "lr": 0.05, **settings, "defenses": told})
    train(model, inputs, labels, hp, seed=2, device=CPU)
    return model.state_dict(), {} if defense is None else told[0].left


def adversarial(**settings):
    """The defense."""
    return DEFENSES["adversarial"](**{"cut": "2", "against": "attribute:side", **settings})


def test_without_weight_the_training_is_the_undefended_one():
    plain, _ = trained(None)
    watched, left = trained(adversarial(weight=0.0))
    assert all(torch.equal(one, watched[name]) for name, one in plain.items())
    assert {name.split(".")[0] for name in left} == {"attribute:side"}
    moved, _ = trained(adversarial(weight=3.0, ramp=0.0))
    assert not all(torch.equal(one, moved[name]) for name, one in plain.items())


def test_a_warm_up_of_all_epochs_has_no_price():
    plain, _ = trained(None)
    watched, _ = trained(adversarial(weight=9.0, warm_up=4))
    assert all(torch.equal(one, watched[name]) for name, one in plain.items())


def test_the_built_in_training_says_what_it_lacks():
    inputs, side = records()
    with pytest.raises(TrainingError, match="cut must name a layer"):
        trained(adversarial(cut="head"))
    hp = Hyperparameters(epochs=1, defenses=(adversarial(),))
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.ReLU(), nn.Linear(4, 2))
    with pytest.raises(DataError, match="attribute 'side' must be known of the training records"):
        train(model, inputs, side, hp, seed=0, device=CPU)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "must be known"),
        ({"side": np.zeros(120)}, "must have 2 to 20 values among the training records, got 1"),
        ({"side": np.arange(120.0)}, "got 120"),
        ({"side": torch.arange(7) % 2}, "one value for each of 120 records"),
    ],
)
def test_attributes_that_do_not_fit_are_refused_in_one_line(given, told):
    inputs, _ = records()
    with pytest.raises(DataError, match=told):
        AdversarialPartition(Construction(against="attribute:side"), inputs, given, epochs=1)


def test_aims_that_records_cannot_have_are_refused():
    tokens, rows = torch.randint(9, (20, 5)), torch.rand(20, 5)
    with pytest.raises(DataError, match="plain numbers"):
        AdversarialPartition(Construction(), tokens, epochs=1)
    with pytest.raises(DataError, match="compares pictures"):
        AdversarialPartition(Construction(objective="hinge"), rows, epochs=1)
    fight = AdversarialPartition(Construction(), rows, epochs=1)
    with pytest.raises(TrainingError, match="give the rows of the batch"):
        fight(rows[:3], torch.arange(4))


@pytest.mark.parametrize(
    "settings",
    [
        {"against": "sex"}, {"against": ()}, {"against": ("input", "input")}, {"objective": "confusion"},
        {"against": "attribute:"}, {"against": "attribute:sex", "objective": "mean_input"},
        {"objective": ("reversal", "reversal", "hinge")}, {"pool": 0}, {"weight": float("nan")},
    ],
)  # fmt: skip
def test_settings_are_checked(settings):
    with pytest.raises(ValueError, match="must be"):
        Construction(**settings)


def test_one_objective_for_all_or_one_for_each():
    both = Construction(against=("attribute:sex", "input"))
    assert [one.objective for one in both.aims] == ["confusion", "mean_input"]
    assert [one.objective for one in replace(both, objective="reversal").aims] == ["reversal", "reversal"]
    assert [one.objective for one in replace(both, objective=("reversal", "hinge")).aims] == ["reversal", "hinge"]


def test_features_tell_fresh_adversaries_less():
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    found = []
    for defense in (None, adversarial(weight=4.0, steps=2)):
        state, _ = trained(defense, n=600, epochs=15, optimizer="adam", lr=0.003)
        half = nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.ReLU())
        half.load_state_dict({name: one for name, one in state.items() if not name.startswith("3")})
        inputs, side = records(800, seed=9)
        features = half(inputs).detach().numpy()
        fresh = LogisticRegression(max_iter=1000).fit(features[:400], side[:400])
        found.append(roc_auc_score(side[400:], fresh.decision_function(features[400:])))
    assert found[0] > 0.85
    assert found[1] < found[0] - 0.1
