"""VGG: a stack of convolutions of 3 x 3 pixels, of any width and depth."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from dosimeter.foundation.errors import ConfigError
from dosimeter.models.architectures import Classifier, Normalise, Width
from dosimeter.models.vision.convolutions import Norm, check_widths, convolution, need_pictures, normed

HALVE: Literal["M"] = "M"
"""Where a picture is halved by max-pooling."""
Layers = Annotated[tuple[Width | Literal["M"], ...], Field(min_length=1, max_length=64)]
"""Channels of each convolution, and "M" where a picture is halved; as the public code of VGG writes it."""


def vgg(
    shape: tuple[int, ...],
    classes: int,
    layers: Layers = (16, 16, "M", 32, 32, "M", 64, 64, "M", 96, 96),
    norm: Norm = "batch",
) -> nn.Module:
    """VGG (Simonyan, Zisserman, 2014, https://arxiv.org/abs/1409.1556) with one linear layer on the flattened features.

    Each convolution with its normalisation and ReLU is a block. VGG16 has `layers` 64, 64, "M", 128, 128, "M", 256,
    256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M".

    Args:
        shape: input shape `(channels, height, width)`.
        classes: number of classes.
        layers: channels of each convolution, and "M" where a picture is halved, rounded down.
        norm: "batch", "group" (8 groups) or "none"; DP training accepts the last two.

    Raises:
        ConfigError: the records are no pictures, or cannot be halved so often, or `layers` begins with "M", or widths
            do not divide into groups.
    """
    need_pictures("vgg", shape)
    widths = [one for one in layers if one != HALVE]
    check_widths("vgg", widths, norm)
    halvings = len(layers) - len(widths)
    if layers[0] == HALVE:
        raise ConfigError("model 'vgg': layers must begin with a width, got 'M': put a number before it")
    if min(shape[1:]) >> halvings < 1:
        raise ConfigError(
            f"model 'vgg': images of {shape[1]} x {shape[2]} cannot be halved {halvings} times: give fewer 'M' in "
            "`options`"
        )
    blocks: list[nn.Module] = [Normalise(0.5, 0.25)]
    previous = shape[0]
    for position, width in enumerate(layers):
        if width == HALVE:
            continue
        pools = 0  # of those that follow the convolution, before the ReLU: the same function, a quarter of its work
        while position + pools + 1 < len(layers) and layers[position + pools + 1] == HALVE:
            pools += 1
        parts = [convolution(previous, width, bias=True), *normed(norm, width)]
        blocks.append(nn.Sequential(*parts, *(nn.MaxPool2d(2) for _ in range(pools)), nn.ReLU(inplace=True)))
        previous = width
    places = (shape[1] >> halvings) * (shape[2] >> halvings)
    return Classifier(nn.Sequential(*blocks, nn.Flatten()), nn.Linear(previous * places, classes))
