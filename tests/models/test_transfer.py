"""What each transfer method trains."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dosimeter.foundation.errors import ConfigError, TrainingError
from dosimeter.models.architectures import convnet, mlp
from dosimeter.models.lora import LoRA
from dosimeter.models.transfer import divide, with_new_head
from dosimeter.training.preflight import _check_bias

ROWS = [
    ("scratch", 1, 4 * 8 + 8 + 8 * 8 + 8 + 8 * 3 + 3),
    ("full", 1, 4 * 8 + 8 + 8 * 8 + 8 + 8 * 3 + 3),
    ("last-k", 2, 4 * 8 + 8 + 8 * 8 + 8 + 8 * 3 + 3),
    ("last-k", 1, 8 * 8 + 8 + 8 * 3 + 3),
    ("lora", 1, 5 * (4 + 8) + 5 * (8 + 8) + 8 * 3 + 3),
    ("head", 1, 8 * 3 + 3),
]


@pytest.mark.parametrize(("method", "last_k", "trained"), ROWS)
def test_trainable_parameters(method, last_k, trained):
    model = mlp((4,), 3, width=8, depth=2).eval()
    x = torch.rand(5, 4)
    before = model(x)
    parts = divide(model, method, last_k, lora=LoRA(rank=5))
    assert sum(p.numel() for p in parts.trained.parameters() if p.requires_grad) == trained
    assert (parts.frozen is None) == (method in ("scratch", "lora", "full"))
    inner = x if parts.frozen is None else parts.frozen(x)
    torch.testing.assert_close(parts.trained(inner), before, rtol=1e-5, atol=1e-5)
    if parts.frozen is not None:
        assert not any(p.requires_grad for p in parts.frozen.parameters())


VGG16 = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M")
"""Widths of the convolutions of VGG16, and where it halves a picture."""


def vgg16(classes):
    """VGG16 with batch normalisation for 64 x 64 pixels, as Ho et al. (2024) finetune it; without memory."""
    layers, before = [], 3
    for width in VGG16:
        if width == "M":
            layers.append(nn.MaxPool2d(2))
        else:
            layers += [nn.Conv2d(before, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
            before = width
    return nn.Sequential(*layers, nn.Flatten(), nn.BatchNorm1d(2048), nn.Linear(2048, classes))


@pytest.mark.parametrize(
    ("frozen_to", "trained"),
    [(None, 16_776_232), (20, 15_038_952), (26, 13_857_256), (27, 11_497_448), (30, 9_136_616), (43, 2_053_096)],
)
def test_trainable_counts_of_vgg16_are_those_of_the_formula_and_of_the_paper(frozen_to, trained):
    """Layers up to an index are frozen; the counts are those of the figure of Ho et al., 2024, arXiv:2405.05588."""
    with torch.device("meta"):
        model = vgg16(1000)
    counted, before, place = 2 * 2048 + 2048 * 1000 + 1000, 3, 0
    for width in VGG16:
        if width == "M":
            place += 1
            continue
        counted += (9 * before * width + width) * (frozen_to is None or place > frozen_to)
        counted += 2 * width * (frozen_to is None or place + 1 > frozen_to)
        before, place = width, place + 3
    assert counted == trained
    later = [at for at, layer in enumerate(model[:-1]) if list(layer.parameters()) and at > (frozen_to or -1)]
    parts = divide(model, "full") if frozen_to is None else divide(model, "last-k", len(later))
    assert sum(one.numel() for one in parts.trained.parameters() if one.requires_grad) == trained


def test_batch_normalisation_in_the_prefix_stays():
    parts = divide(convnet((1, 8, 8), 3, widths=(8, 8)).train(), "head")
    before = {name: tensor.clone() for name, tensor in parts.frozen.state_dict().items()}
    parts.frozen(torch.rand(4, 1, 8, 8))
    assert all(bool((before[name] == tensor).all()) for name, tensor in parts.frozen.state_dict().items())


def test_more_blocks_than_there_are():
    with pytest.raises(TrainingError, match=r"last_k must be at most .*, 2, got 3: use up to 2"):
        divide(mlp((4,), 3, depth=2), "last-k", 3)


@pytest.mark.parametrize("model", [mlp((4,), 3), nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 3, bias=False))])
def test_a_new_head(model):
    bias = model[-1].bias is not None if isinstance(model, nn.Sequential) else True
    assert with_new_head(model, 9)(torch.rand(2, 4)).shape == (2, 9)
    if isinstance(model, nn.Sequential):
        assert (model[-1].bias is not None) == bias


def test_a_head_without_a_bias_is_refused_where_heads_are_trained_together():
    _check_bias(nn.Linear(4, 3))
    with pytest.raises(ConfigError, match=r"a linear layer with a bias, got Linear\(.*bias=False\): give"):
        _check_bias(nn.Linear(4, 3, bias=False))
