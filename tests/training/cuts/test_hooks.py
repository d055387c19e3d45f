"""What crosses a cut in training is what the layer gave for the batch."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dosimeter.foundation.errors import TrainingError
from dosimeter.training.charges import charges
from dosimeter.training.cuts.hooks import AtCut
from dosimeter.training.recipe import Hyperparameters


def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(inplace=True), nn.Linear(6, 3))


class Tell:
    """Keeps what it is charged for."""

    paper, place, ladder = "none; a toy", "loss", ({}, {}, {})

    def __init__(self, cut):
        self.cut, self.seen = cut, []

    def charge_cut(self, records, features, labels):
        self.seen.append((records, features))
        return features.square().mean()


@pytest.mark.parametrize(("cut", "layers"), [("0", 1), ("1", 2), ("", 2)])
def test_a_charge_gets_the_layers_output_and_its_gradient_reaches_the_layers_before(cut, layers):
    net, batch = model(), torch.rand(5, 4)
    defense = Tell(cut)
    with charges(net, Hyperparameters(defenses=(defense,)), batch[:2]) as charge:
        net(batch)
        charge(batch, torch.zeros(5, dtype=torch.int64)).backward()
    ((_, features),) = defense.seen
    torch.testing.assert_close(features, net[:layers](batch))
    assert float(net[0].weight.grad.abs().sum()) > 0
    assert net[2].weight.grad is None
    assert not net[0]._forward_hooks
    assert not net[2]._forward_pre_hooks


def test_an_unknown_layer_is_refused_with_the_nearest_name():
    with pytest.raises(TrainingError, match="defense NoPeek: cut = 'backbone' must name a layer"):
        AtCut(model(), "backbone", torch.rand(2, 4), "NoPeek")


def test_a_layer_that_runs_twice_is_refused():
    shared = nn.Linear(4, 4)
    net = nn.Sequential(shared, nn.ReLU(), shared)
    at = AtCut(net, "0", torch.rand(2, 4), "NoPeek")
    net(torch.rand(2, 4))
    with pytest.raises(TrainingError, match="got 2 runs"):
        at.take()
