"""A supplied network as an adversary holds it answers as it does when asked; what cannot be held says why."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from dosimeter.families.inversion.play.given import given_model
from dosimeter.models.supplied.adapt import adapt

RECORDS = np.random.default_rng(0).random((32, 1, 4, 4)).astype(np.float32)
BYTES = (255 * RECORDS).astype(np.uint8)


class Wrapped(nn.Module):
    """A network that takes numbers from 0 to 255, or bytes alone, or ends in another way."""

    def __init__(self, net, how):
        super().__init__()
        self.net, self.how = net, how

    def forward(self, x):
        if self.how == "bytes":
            assert x.dtype == torch.uint8
        logits = self.net(x.float() / 255 if self.how in ("levels", "bytes") else x)
        return {"logits": logits} if self.how == "levels" else logits.softmax(1) if self.how == "softmax" else logits


@pytest.fixture
def net():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(16, 6), nn.ReLU(), nn.Linear(6, 5)).eval()


@pytest.mark.parametrize(
    ("how", "records"), [("plain", RECORDS), ("plain", BYTES), ("levels", BYTES), ("softmax", RECORDS)]
)
def test_an_opened_network_answers_as_it_is_asked_and_has_gradients(net, how, records):
    model = Wrapped(net, how)
    found = given_model(adapt(model, classes=5, example=records), records[:2], "cpu")
    assert found.closed == ""
    x = torch.from_numpy(records[:3].astype(np.float32) / (255 if records.dtype == np.uint8 else 1)).requires_grad_()
    features, logits = found.opened.answer(x)
    assert features.shape == (3, 6)
    asked = found.answer(x).log_softmax(1)
    assert torch.allclose(logits.double().log_softmax(1), asked, atol=1e-5)
    (slope,) = torch.autograd.grad(logits.sum(), x)
    assert slope.abs().sum() > 0
    assert found.opened.head.weight is not net[3].weight  # the user's network is left alone
    assert all(one.requires_grad for one in net.parameters())


@pytest.mark.parametrize(
    ("make", "records", "told"),
    [
        (lambda net: Wrapped(net, "bytes"), BYTES, "through which no gradient flows"),
        (lambda net: nn.Sequential(nn.Conv2d(1, 5, 4), nn.Flatten()), RECORDS, "last layer must be a torch.nn.Linear"),
        (lambda net: lambda x: net(x), RECORDS, "has no gradients to follow"),
    ],
)
def test_what_cannot_be_opened_says_why_and_is_still_asked(net, make, records, told):
    found = given_model(adapt(make(net), classes=5, example=records), records[:2], "cpu")
    assert found.opened is None
    assert told in found.closed
    x = torch.from_numpy(records[:3].astype(np.float32) / (255 if records.dtype == np.uint8 else 1))
    assert found.answer(x).shape == (3, 5)
