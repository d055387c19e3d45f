"""The reference architectures and their cut."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dosimeter.foundation.errors import ConfigError, TrainingError
from dosimeter.models.architectures import as_float, convnet, cut, efficientnet_lite0, mlp
from dosimeter.models.names import ARCHITECTURES


@pytest.mark.parametrize("name", sorted(set(ARCHITECTURES) - {"transformer", "causal-lm"}))  # these are of texts
def test_each_gives_logits_and_has_a_cut(name):
    size = 32 if name == "efficientnet-lite0" else 8
    options = {"size": 32} if name == "efficientnet-lite0" else {}
    words = name == "bag-of-words"
    x = torch.randint(0, 20_001, (2, size)) if words else torch.rand(2, 1, size, size)
    model = ARCHITECTURES[name](tuple(x.shape[1:]), 7, **options).eval()
    backbone, head = cut(model)
    assert model(x).shape == (2, 7)
    torch.testing.assert_close(head(backbone(x)), model(x), rtol=1e-5, atol=1e-5)
    assert ARCHITECTURES[name].__doc__


def test_options_change_the_model():
    assert len(cut(mlp((4,), 2, width=3, depth=2))[0]) == 3
    assert cut(mlp((4,), 2, depth=0))[1].in_features == 4
    norms = [type(module) for module in convnet((3, 8, 8), 2, widths=(8, 16), norm="group").modules()]
    assert nn.GroupNorm in norms
    assert nn.BatchNorm2d not in norms


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: convnet((64,), 2), "input must be images"),
        (lambda: convnet((1, 2, 2), 2), "cannot be halved 3 times"),
        (lambda: convnet((1, 8, 8), 2, widths=(12,), norm="group"), "multiples of 8"),
        (lambda: efficientnet_lite0((2, 8, 8), 2), "grey or colour images"),
    ],
)
def test_shapes_that_do_not_go(build, message):
    with pytest.raises(ConfigError, match=message):
        build()


def test_a_missing_package_is_told_with_the_command(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "efficientnet_lite_pytorch", None)
    with pytest.raises(ConfigError, match=r'run pip install "dosimeter\[demo\]"'):
        efficientnet_lite0((3, 8, 8), 2)


@pytest.mark.parametrize("model", [nn.Conv2d(1, 1, 1), nn.Sequential(), nn.Sequential(nn.Linear(2, 2), nn.ReLU())])
def test_a_model_without_a_known_cut(model):
    with pytest.raises(TrainingError, match="attributes `backbone` and `head`"):
        cut(model)


def test_bytes_become_floats_and_nothing_else_changes():
    assert as_float(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [0.0, 1.0]
    floats = torch.rand(3)
    assert as_float(floats) is floats
