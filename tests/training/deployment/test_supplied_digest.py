"""What tells one supplied network from another: recordings of the one must not be taken for those of the other."""

from __future__ import annotations

import torch
from torch import nn

from dosimeter.data.cells import Held
from dosimeter.models.language.given import Finetuned
from dosimeter.models.supplied.adapt import Examples, adapt
from dosimeter.models.supplied.classes import Classes
from dosimeter.training.deployment.supplied import _digest

RECORDS = torch.linspace(-1, 1, 12).reshape(3, 4)


class Scaled(nn.Module):
    """A net whose scale stands in no state dict."""

    def __init__(self, tensor=1.0, buffer=1.0, several=(1.0,), quiet=1.0, function=torch.relu):
        super().__init__()
        self.net = nn.Linear(4, 3)
        self.function = function
        self.tensor, self.several, self.quiet = torch.tensor(tensor), {"scales": list(several)}, torch.tensor(quiet)
        self.register_buffer("buffer", torch.tensor(buffer), persistent=False)
        with torch.no_grad():
            self.net.weight.copy_(torch.arange(12.0).reshape(3, 4) / 6)
            self.net.bias.zero_()

    def forward(self, x):
        hidden = self.function(self.net(x * self.tensor * self.quiet)) / self.quiet
        return hidden * self.buffer * self.several["scales"][0]


def digest(**changes):
    """Of a net with some changes."""
    net, example = Scaled(**changes), Examples(Held(RECORDS))
    adapted = adapt(
        net, classes=Classes(("a", "b", "c"), ours=True), example=example, output="logits", device="cpu",
        name="model",
    )  # fmt: skip
    return _digest(adapted, net, RECORDS)


def test_all_that_a_network_does_is_in_its_digest():
    """`quiet` moves what is within the network, and not its answers."""
    changes = [{}, {"tensor": 2.0}, {"buffer": 2.0}, {"several": (2.0,)}, {"quiet": 2.0}, {"function": torch.tanh}]
    assert len({digest(**one) for one in changes}) == len(changes)
    assert digest() == digest()


class Settings:
    """A configuration as libraries have it."""

    def __init__(self, rate, folder):
        self.told = {"rate": rate, "_name_or_path": folder}

    def to_dict(self):
        return self.told


def test_a_base_with_other_settings_is_another_base():
    """A language model's references start from the base; its folder may move."""

    def base(rate=0.1, folder="here", layer=nn.ReLU):
        net = nn.Sequential(layer())
        net.config = Settings(rate, folder)
        return Finetuned(net, net, "a net").start

    assert base() == base(folder="there")
    assert len({base(), base(rate=0.2), base(layer=nn.Tanh)}) == 3
