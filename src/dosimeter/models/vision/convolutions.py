"""What convolutional networks are made of: a convolution with its normalisation, and checks of shapes and widths."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from torch import nn

from dosimeter.foundation.errors import ConfigError

Norm = Literal["batch", "group", "none"]
"""Normalisation after a convolution; DP training accepts "group", which has 8 groups, and "none"."""
GROUPS = 8


def need_pictures(model: str, shape: tuple[int, ...]) -> None:
    """Refuses records that are no pictures.

    Args:
        model: name of the architecture.
        shape: of a record.

    Raises:
        ConfigError: they have not three axes.
    """
    if len(shape) != 3:
        raise ConfigError(
            f"model '{model}': input must be images (channels, height, width), got shape {shape}: use 'linear' or 'mlp'"
        )


def check_widths(model: str, widths: Iterable[int], norm: Norm) -> None:
    """Refuses widths that do not divide into groups.

    Args:
        model: name of the architecture.
        widths: channels of its convolutions.
        norm: its normalisation.

    Raises:
        ConfigError: a width is no multiple of 8 under "group".
    """
    odd = [width for width in widths if norm == "group" and width % GROUPS]
    if odd:
        raise ConfigError(
            f"model '{model}': widths must be multiples of {GROUPS} with norm 'group', got {odd[0]}: correct it"
        )


def convolution(before: int, after: int, size: int = 3, stride: int = 1, *, bias: bool = False) -> nn.Conv2d:
    """A convolution that keeps the size of a picture at stride 1.

    Its weights keep the variance of what a ReLU gives (He, Zhang, Ren, Sun, "Delving Deep into Rectifiers", 2015,
    https://arxiv.org/abs/1502.01852, equation 10 with the outputs of a unit), so that deep stacks start well. They come
    from PyTorch's default generator.

    Args:
        before: channels that it takes.
        after: channels that it gives.
        size: pixels of a side, odd.
        stride: between places.
        bias: whether it has one.
    """
    layer = nn.Conv2d(before, after, size, stride, size // 2, bias=bias)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def normed(norm: Norm, width: int) -> list[nn.Module]:
    """The normalisation after a convolution of `width` channels; nothing under "none"."""
    if norm == "none":
        return []
    return [nn.BatchNorm2d(width) if norm == "batch" else nn.GroupNorm(GROUPS, width)]
