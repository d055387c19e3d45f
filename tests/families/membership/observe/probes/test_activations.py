"""Activations before the last layer, against a hook on that layer."""

import numpy as np
import pytest
import torch
from torch import nn

from dosimeter.families.membership.observe.probes import activations
from dosimeter.foundation.errors import TrainingError
from dosimeter.models.names import ARCHITECTURES
from dosimeter.training.loop import seed_torch
from families.membership.observe.probes.subjects import clouds, subject_of


def hooked(model, inputs):
    """What the last linear layer takes, as it takes it."""
    last, taken = [one for one in model.modules() if isinstance(one, nn.Linear)][-1], []
    handle = last.register_forward_pre_hook(lambda _, args: taken.append(args[0].detach().clone()))
    model.eval()(inputs.clone())
    handle.remove()
    return taken[0].numpy()


@pytest.mark.parametrize("name", ["mlp", "convnet", "linear"])
def test_they_are_what_the_last_layer_takes(name):
    inputs, labels = clouds(0)
    with seed_torch(0):
        if name == "convnet":
            inputs = torch.rand(40, 1, 8, 8)
            models = [ARCHITECTURES[name]((1, 8, 8), 3, widths=(4, 4)) for _ in range(2)]
        else:
            models = [ARCHITECTURES[name]((6,), 3) for _ in range(2)]
    found = activations.compute(subject_of(models, inputs, labels))["activations"]
    assert found.dtype == torch.float64
    for row, model in zip(found, models, strict=True):
        np.testing.assert_allclose(row, hooked(model, inputs), atol=1e-5)


def test_of_a_head_they_are_the_features():
    inputs, labels = clouds(0)
    found = activations.compute(subject_of([nn.Linear(6, 3)], inputs, labels))["activations"]
    assert torch.equal(found[0], inputs.double())


def test_a_network_without_a_last_linear_layer_is_found_out_before_training():
    inputs, labels = clouds(0)
    net = nn.Sequential(nn.Linear(6, 3), nn.Softplus())
    assert not activations.can_cut(net, inputs[:2])
    assert activations.can_cut(net[0], inputs[:2])
    with pytest.raises(TrainingError, match="its last layer must be"):
        activations.compute(subject_of([net], inputs, labels))
