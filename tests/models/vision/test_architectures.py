"""Networks for small pictures: twins, counts of the literature, and what transfer, private training and Fisher need."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from dosimeter.foundation.errors import ConfigError
from dosimeter.models.architectures import cut
from dosimeter.models.names import ARCHITECTURES
from dosimeter.models.transfer import Live, divide
from dosimeter.models.vision.resnet import ResidualBlock, resnet
from dosimeter.models.vision.vgg import vgg
from dosimeter.models.vision.vit import vit
from dosimeter.training.loop import seed_torch, train
from dosimeter.training.private.loop import check_private
from dosimeter.training.recipe import Hyperparameters
from dosimeter.training.sensitivity.fisher import cross_entropy, fisher, layers_of

CPU = torch.device("cpu")
SHAPE = (1, 9, 10)
SMALL = {
    "vgg": {"layers": (4, "M", 6, 6, "M")},
    "resnet": {"widths": (4, 6), "blocks": (1, 2)},
    "vit": {"width": 8, "depth": 3, "heads": 2},
}
"""Options of nets that train in no time, each with several blocks."""
BLOCKS = {"vgg": 3, "resnet": 4, "vit": 4}
VGG16 = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M")


def small(name, shape=SHAPE, **options):
    with seed_torch(0):
        model = ARCHITECTURES[name](shape, 3, **{**SMALL[name], **options})
    return model


def records(n=24, shape=SHAPE):
    rng = np.random.default_rng(3)
    return torch.from_numpy(rng.random((n, *shape)).astype(np.float32)), torch.arange(n) % 3


def weights(module):
    return sum(one.numel() for one in module.parameters() if one.requires_grad)


def with_weights(backbone):
    return [one for one in backbone.children() if any(True for _ in one.parameters())]


def test_vgg_is_convolutions_of_which_some_are_pooled():
    model, (x, _) = small("vgg").eval(), records()
    found = (x - 0.5) / 0.25
    for place, block in enumerate(with_weights(model.backbone)):
        layer, norm = block[0], block[1]
        found = functional.conv2d(found, layer.weight, layer.bias, padding=1)
        found = (found - norm.running_mean[:, None, None]) / (norm.running_var[:, None, None] + norm.eps).sqrt()
        found = functional.relu(found)  # the published order: pooling after it
        found = functional.max_pool2d(found, 2) if place in (0, 2) else found
    wanted = model.head(found.flatten(1))
    torch.testing.assert_close(model(x), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("last_k", "paper"), [(13, None), (12, None), (5, 13_857_256 - 4096), (1, None)])
def test_trainable_counts_of_vgg16_are_those_of_the_formula_and_of_the_paper(last_k, paper):
    """Ho et al., 2024, arXiv:2405.05588, train 13,857,256; 4,096 of them are of a normalisation before their head."""
    with torch.device("meta"):
        model = vgg((3, 64, 64), 1000, layers=VGG16)
    counted, before = 2048 * 1000 + 1000, 3
    widths = [one for one in VGG16 if one != "M"]
    for place, width in enumerate(widths):
        counted += (9 * before * width + 3 * width) * (place >= len(widths) - last_k)
        before = width
    assert weights(divide(model, "last-k", last_k).trained) == counted
    assert paper in (None, counted)


@pytest.mark.parametrize(("last_k", "counted"), [(2, 8_906_728), (3, 10_087_400)])
def test_trainable_counts_of_resnet18_are_those_of_the_paper(last_k, counted):
    """Of the last stage and the head, and with one more block: 8.9 and 10.1 million in the figure of Ho et al."""
    with torch.device("meta"):
        model = resnet((3, 64, 64), 1000, widths=(64, 128, 256, 512), blocks=(2, 2, 2, 2))
    assert weights(divide(model, "last-k", last_k).trained) == counted


def test_a_residual_block_adds_its_input():
    with seed_torch(1):
        same, other = ResidualBlock(4, 4, 1, "batch").eval(), ResidualBlock(4, 6, 2, "none").eval()
    x = torch.rand(2, 4, 5, 5)
    assert not list(same.around.children())
    torch.testing.assert_close(same(x), functional.relu(same.inner(x) + x), rtol=1e-5, atol=1e-5)
    nn.init.zeros_(other.inner[-1].weight)
    wanted = functional.relu(functional.conv2d(x, other.around[0].weight, stride=2))
    torch.testing.assert_close(other(x), wanted, rtol=1e-5, atol=1e-5)


def test_a_transformer_answers_as_that_of_pytorch():
    model, (x, _) = small("vit").eval(), records()
    patches = model.backbone[0][1]
    filled = functional.pad((x - 0.5) / 0.25, (0, 2, 0, 3))
    rows = filled.unfold(2, 4, 4).unfold(3, 4, 4).reshape(len(x), 9, 16)
    found = rows @ patches.vectors.weight.flatten(1).T + patches.vectors.bias + patches.places.weight
    for block in (*list(model.backbone.children())[1:-1], model.backbone[-1][0]):
        twin = nn.TransformerEncoderLayer(8, 2, 32, 0.0, "gelu", batch_first=True, norm_first=True)
        twin.self_attn.in_proj_weight, twin.self_attn.in_proj_bias = block.attend.weight, block.attend.bias
        twin.self_attn.out_proj.weight, twin.self_attn.out_proj.bias = block.project.weight, block.project.bias
        twin.linear1, twin.linear2, twin.norm1, twin.norm2 = block.widen, block.narrow, block.before, block.after
        found = twin.train()(found)  # in training mode it takes no fused path
    wanted = model.head(model.backbone[-1][1](found).mean(1))
    torch.testing.assert_close(model(x), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", SMALL)
def test_every_depth_can_be_frozen_and_stays_to_the_bit(name):
    (x, y), count = records(), len(with_weights(small(name).backbone))
    assert count == BLOCKS[name]
    hp = Hyperparameters(epochs=1, batch_size=8, lr=0.05)
    for last_k in range(1, count + 1):
        parts = divide(small(name), "last-k", last_k)
        before = {key: one.clone() for key, one in parts.frozen.state_dict().items()}
        moving = {key: one.clone() for key, one in parts.trained.named_parameters()}
        train(Live(parts.frozen, parts.trained, "strict"), x, y, hp, seed=1, device=CPU)
        assert all(torch.equal(one, before[key]) for key, one in parts.frozen.state_dict().items())
        assert not any(torch.equal(one, moving[key]) for key, one in parts.trained.named_parameters())


@pytest.mark.parametrize("name", ["vgg", "resnet"])
def test_official_statistics_move_in_the_frozen_part(name):
    (x, y), parts = records(), divide(small(name), "last-k", 1)
    before = {key: one.clone() for key, one in parts.frozen.state_dict().items()}
    hp = Hyperparameters(epochs=1, batch_size=8, lr=0.05)
    train(Live(parts.frozen, parts.trained, "official"), x, y, hp, seed=1, device=CPU)
    moved = {
        key.rpartition(".")[2] for key, one in parts.frozen.state_dict().items() if not torch.equal(one, before[key])
    }
    assert moved == {"running_mean", "running_var", "num_batches_tracked"}


@pytest.mark.parametrize("name", SMALL)
def test_each_learns_and_repeats(name):
    (x, _), found = records(30), []
    y = (x.mean((1, 2, 3)) > x.mean()).long()
    for outside in (1, 2):
        torch.manual_seed(outside)
        model = small(name)
        first = float(functional.cross_entropy(model.eval()(x), y).detach())
        hp = Hyperparameters(epochs=8, batch_size=10, lr=5e-3, optimizer="adam")
        found.append((train(model, x, y, hp, seed=4, device=CPU), model.state_dict()))
    assert found[0][0] < 0.9 * first
    assert all(torch.equal(one, found[1][1][key]) for key, one in found[0][1].items())


@pytest.mark.parametrize("name", SMALL)
def test_fisher_information_is_that_of_a_loop_over_records(name):
    model, (x, y) = small(name).eval(), records(4)
    found = fisher(model, x, y)
    assert found.layers == layers_of(model, x[:2])
    assert found.layers[-1] == "head"
    modules, rows = dict(model.named_modules()), []
    for one, label in zip(x, y, strict=True):
        model.zero_grad()
        cross_entropy(model(one[None]), label[None]).sum().backward()
        own = [modules[layer].parameters(recurse=False) for layer in found.layers]
        rows.append([sum(float(w.grad.double().square().sum()) for w in layer) for layer in own])
    np.testing.assert_allclose(found.each, np.array(rows), rtol=1e-3, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("vgg", {"layers": (8, "M", 8), "norm": "group"}),
        ("resnet", {"widths": (8, 16), "blocks": (1, 1), "norm": "group"}),
        ("resnet", {"norm": "none"}),
        ("vit", {}),
    ],
)
def test_without_normalisation_over_a_batch_each_can_be_private(name, options):
    check_private(small(name, **options), records(2)[0])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: vgg((64,), 2), r"'vgg': input must be images .* got shape \(64,\): use 'linear'"),
        (lambda: resnet((64,), 2), "'resnet': input must be images"),
        (lambda: vit((64,), 2), "'vit': input must be images"),
        (lambda: vgg((1, 4, 9), 2), "images of 4 x 9 cannot be halved 3 times: give fewer 'M'"),
        (lambda: vgg((1, 8, 8), 2, layers=("M", 8)), "layers must begin with a width, got 'M'"),
        (lambda: vgg((1, 8, 8), 2, layers=(8, 12), norm="group"), "multiples of 8 with norm 'group', got 12"),
        (lambda: resnet((1, 8, 8), 2, widths=(8, 8)), "one for each stage, got 2 and 3"),
        (lambda: vit((1, 8, 8), 2, width=10), "width must be a multiple of heads, got 10 and 4"),
    ],
)
def test_what_does_not_go_is_told_in_one_line(build, message):
    with pytest.raises(ConfigError, match=message) as refused:
        build()
    assert len(refused.value.problems) == 1


@pytest.mark.parametrize("name", SMALL)
def test_it_ends_with_features_that_a_head_reads(name):
    model, (x, _) = small(name).eval(), records()
    backbone, head = cut(model)
    assert backbone(x).shape == (24, head.in_features)
    torch.testing.assert_close(head(backbone(x)), model(x), rtol=1e-5, atol=1e-5)
