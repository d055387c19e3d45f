"""Gradients of perceptrons written out, against one backward pass for each batch."""

import pytest
import torch
from torch import nn
from torch.func import functional_call

from dosimeter.training.joint import gradients
from dosimeter.training.joint.dense_gradients import is_perceptron
from dosimeter.training.joint.gradients import batch_gradients

M, B, CLASSES = 7, 5, 3
TRUNKS = {
    "relu": lambda: nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4), nn.ReLU()),
    "smooth": lambda: nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4, bias=False), nn.Sigmoid()),
    "nested": lambda: nn.Sequential(nn.Identity(), nn.Sequential(nn.Linear(6, 4), nn.Dropout(0.0)), nn.ReLU()),
    "pictures": lambda: nn.Sequential(nn.Flatten(), nn.Linear(6, 4), nn.ReLU()),
}


def case(name, dtype=torch.float32):
    torch.manual_seed(3)
    trunk, head = TRUNKS[name](), nn.Linear(4, CLASSES)
    shape = (1, 2, 3) if name == "pictures" else (6,)
    inputs = torch.rand(M, B, *shape)
    inputs = (inputs * 255).to(torch.uint8) if dtype == torch.uint8 else inputs
    message = {key: one.detach() + 0.1 for key, one in trunk.named_parameters()}
    return trunk, head, message, inputs, torch.randint(CLASSES, (M, B))


def one_by_one(trunk, head, message, inputs, labels):
    found = {name: [] for name in message}
    own = {name: one.clone().requires_grad_(True) for name, one in message.items()}
    for batch, classes in zip(inputs, labels, strict=True):
        batch = batch.float() / 255 if batch.dtype == torch.uint8 else batch
        loss = nn.functional.cross_entropy(head(functional_call(trunk, own, (batch,))), classes)
        for name, one in zip(own, torch.autograd.grad(loss, list(own.values())), strict=True):
            found[name].append(one)
    return {name: torch.stack(ones) for name, ones in found.items()}


@pytest.mark.parametrize("name", TRUNKS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8])
def test_they_equal_one_backward_pass_for_each_batch(name, dtype):
    parts = case(name, dtype)
    assert is_perceptron(*parts[:2], parts[3])
    found = batch_gradients(*parts)
    torch.testing.assert_close(found, one_by_one(*parts), rtol=1e-5, atol=1e-6)
    assert list(found) == list(parts[2])


def test_only_the_parameters_that_are_named_have_gradients():
    trunk, head, message, inputs, labels = case("relu")
    some = {"2.bias": message["2.bias"], "0.weight": message["0.weight"]}
    found = batch_gradients(trunk, head, some, inputs, labels)
    torch.testing.assert_close(found, one_by_one(trunk, head, some, inputs, labels), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("written", [True, False])
def test_given_arrays_are_written_over(written, monkeypatch):
    trunk, head, message, inputs, labels = case("relu")
    true = batch_gradients(trunk, head, message, inputs, labels)
    if not written:
        monkeypatch.setattr(gradients, "is_perceptron", lambda *_: False)
    arrays = {name: torch.full_like(one, torch.nan) for name, one in true.items() if name != "0.bias"}
    found = batch_gradients(trunk, head, message, inputs, labels, arrays)
    torch.testing.assert_close(found, true, rtol=1e-5, atol=1e-6)
    assert all(found[name] is one or found[name].data_ptr() == one.data_ptr() for name, one in arrays.items())


def test_what_is_no_perceptron_is_differentiated_as_before():
    shared = nn.Linear(6, 6)
    hooked = nn.Sequential(nn.Linear(6, 4))
    hooked[0].register_forward_hook(lambda module, inputs, out: 2 * out)
    pictures = torch.rand(2, 5, 1, 2, 3)
    flat = torch.rand(2, 5, 6)
    for trunk, inputs in (
        (nn.Sequential(nn.Conv2d(1, 2, 1), nn.Flatten()), pictures),
        (nn.Sequential(shared, nn.ReLU(), shared), flat),
        (nn.Sequential(nn.Linear(6, 4), nn.GELU()), flat),
        (nn.Sequential(nn.Linear(6, 4), nn.Dropout(0.5)), flat),
        (nn.Sequential(nn.Linear(3, 4), nn.Flatten()), pictures),
        (nn.Sequential(nn.Flatten(2), nn.Linear(6, 4)), pictures),
        (hooked, flat),
        (nn.Sequential(nn.Identity()), flat),
    ):
        assert not is_perceptron(trunk, nn.Linear(4, 2), inputs)
    labels = torch.randint(2, (2, 5))
    found = batch_gradients(hooked, nn.Linear(4, 2), dict(hooked.named_parameters()), flat, labels)
    assert found["0.weight"].shape == (2, 4, 6)
    assert not is_perceptron(nn.Sequential(nn.Linear(6, 4)), nn.Sequential(nn.Linear(4, 2)), flat)
