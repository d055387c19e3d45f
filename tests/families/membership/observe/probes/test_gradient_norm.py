"""The norm of the gradient against automatic differentiation, one record at a time."""

import numpy as np
import pytest
import torch
from torch import nn

from dosimeter.families.membership.observe.probes import gradient_norm
from dosimeter.models.names import ARCHITECTURES
from dosimeter.training.loop import seed_torch
from families.membership.observe.probes.subjects import clouds, subject_of


def one_by_one(model, inputs, labels):
    """The definition, in float64."""
    model = model.double().eval()
    found = []
    for x, y in zip(inputs.double(), labels, strict=True):
        loss = nn.functional.cross_entropy(model(x[None]), y[None])
        weights = [one for one in model.parameters() if one.requires_grad]
        found.append(sum(one.square().sum() for one in torch.autograd.grad(loss, weights)).sqrt().log().item())
    model.float()
    return np.array(found)


@pytest.mark.parametrize("bias", [True, False])
def test_heads_equal_automatic_differentiation(bias):
    inputs, labels = clouds(0)
    models = [nn.Linear(6, 3, bias=bias) for _ in range(3)]
    found = gradient_norm.compute(subject_of(models, inputs, labels))["gradient_norm"]
    assert found.shape == (3, 40)
    assert found.dtype == torch.float64
    for row, model in zip(found, models, strict=True):
        np.testing.assert_allclose(row, one_by_one(model, inputs, labels), atol=1e-9)


def network(name):
    """A small network of a kind, with statistics of batches that are not those of its first moment."""
    with seed_torch(1):
        if name == "mlp":
            return ARCHITECTURES["mlp"]((6,), 3, width=8, depth=2), clouds(0)
        model = ARCHITECTURES["convnet"]((1, 8, 8), 3, widths=(4, 4))
        rng = np.random.default_rng(0)
        images = torch.from_numpy(rng.random((10, 1, 8, 8), dtype=np.float32))
        model.train()(images)
        return model, (images, torch.from_numpy(rng.integers(0, 3, 10)))


@pytest.mark.parametrize("name", ["mlp", "convnet"])
def test_networks_equal_automatic_differentiation_in_any_chunks(name, monkeypatch):
    model, (inputs, labels) = network(name)
    exact = one_by_one(model, inputs, labels)
    size = sum(one.numel() for one in model.parameters())
    for numbers in (gradient_norm.NUMBERS, 3 * size, 1):
        monkeypatch.setattr(gradient_norm, "NUMBERS", numbers)
        found = gradient_norm.compute(subject_of([model], inputs, labels))["gradient_norm"][0]
        np.testing.assert_allclose(found, exact, atol=1e-4)


class Branching(nn.Module):
    """A network that looks at its numbers, which cannot be vectorised."""

    def __init__(self):
        super().__init__()
        self.one, self.other = nn.Linear(6, 3), nn.Linear(6, 3)

    def forward(self, x):
        return self.one(x) if float(x.sum()) > 0 else self.other(x)


def test_a_network_that_cannot_be_vectorised_is_asked_record_by_record(monkeypatch):
    inputs, labels = clouds(0, p=10)
    model = Branching()
    monkeypatch.setattr(gradient_norm, "NUMBERS", 1)
    found = gradient_norm.compute(subject_of([model], inputs, labels))["gradient_norm"][0]
    exact = []
    for x, y in zip(inputs, labels, strict=True):
        weights = list((model.one if float(x.sum()) > 0 else model.other).parameters())
        loss = nn.functional.cross_entropy(model(x[None]), y[None])
        exact.append(float(sum(one.square().sum() for one in torch.autograd.grad(loss, weights)).sqrt().log()))
    np.testing.assert_allclose(found, exact, atol=1e-5)


class Centring(nn.Module):
    """A network that centres its records in place, and drops numbers while training."""

    def __init__(self):
        super().__init__()
        self.body, self.drop = nn.Linear(6, 3), nn.Dropout(0.5)

    def forward(self, x):
        return self.drop(self.body(x.sub_(1)))


def test_a_network_that_changes_its_records_in_place_spoils_none_and_keeps_its_mode():
    inputs, labels = clouds(0, p=10)
    before, model = inputs.clone(), Centring().train()
    twice = gradient_norm.compute(subject_of([model, model], inputs, labels))["gradient_norm"]
    assert torch.equal(inputs, before)
    assert torch.equal(twice[0], twice[1])
    np.testing.assert_allclose(twice[0], one_by_one(model.body, inputs - 1, labels), atol=1e-5)
    model.train()
    gradient_norm.compute(subject_of([model], inputs, labels))
    assert all(part.training for part in model.modules())


def test_frozen_parameters_do_not_count():
    model, (inputs, labels) = network("mlp")
    for weight in model.backbone.parameters():
        weight.requires_grad_(False)
    found = gradient_norm.compute(subject_of([model], inputs, labels))["gradient_norm"][0]
    head = subject_of([model.head], model.backbone(inputs), labels)
    np.testing.assert_allclose(found, gradient_norm.compute(head)["gradient_norm"][0], atol=1e-5)


def test_a_sure_model_still_has_a_gradient():
    """At a margin of 300 nats p − y is (−2, 1, 1) e^−300, which float32 rounds to 0."""
    layer = nn.Linear(1, 3, bias=False)
    layer.weight = nn.Parameter(torch.tensor([[300.0], [0.0], [0.0]]))
    for model in (layer, nn.Sequential(layer)):
        inputs, labels = torch.ones(2, 1), torch.tensor([0, 1])
        found = gradient_norm.compute(subject_of([model], inputs, labels))["gradient_norm"][0]
        np.testing.assert_allclose(found, [-300 + np.log(6) / 2, np.log(2) / 2], atol=1e-4)


def test_no_gradient_at_all_is_finite():
    layer = nn.Linear(2, 3, bias=False)
    found = gradient_norm.compute(subject_of([layer], torch.zeros(1, 2), torch.tensor([0])))
    assert bool(found["gradient_norm"].isfinite().all())
