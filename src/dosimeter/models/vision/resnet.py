"""Residual networks for small pictures, of any width and depth."""

from __future__ import annotations

from typing import Annotated

from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from dosimeter.foundation.errors import ConfigError
from dosimeter.models.architectures import Classifier, Normalise, Width
from dosimeter.models.vision.convolutions import Norm, check_widths, convolution, need_pictures, normed

Stages = Annotated[tuple[Width, ...], Field(min_length=1, max_length=8)]
Depths = Annotated[tuple[Annotated[int, Field(ge=1, le=64)], ...], Field(min_length=1, max_length=8)]


class ResidualBlock(nn.Module):
    """Two convolutions of 3 x 3 pixels around which the input goes; a ReLU after the sum.

    Where width or size changes, a convolution of one pixel stands in the way around (He et al., option B).

    Args:
        before: channels that it takes.
        after: channels that it gives.
        stride: of its first convolution.
        norm: normalisation after each convolution.
    """

    def __init__(self, before: int, after: int, stride: int, norm: Norm) -> None:
        super().__init__()
        first = [convolution(before, after, stride=stride), *normed(norm, after), nn.ReLU(inplace=True)]
        self.inner = nn.Sequential(*first, convolution(after, after), *normed(norm, after))
        same = before == after and stride == 1
        around = [] if same else [convolution(before, after, 1, stride), *normed(norm, after)]
        self.around = nn.Sequential(*around)
        self.relu = nn.ReLU()

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d i j"]:
        """The maps after the block."""
        found: Tensor = self.relu(self.inner(x) + self.around(x))
        return found


def resnet(
    shape: tuple[int, ...],
    classes: int,
    widths: Stages = (16, 32, 64),
    blocks: Depths = (2, 2, 2),
    norm: Norm = "batch",
) -> nn.Module:
    """A residual network as for CIFAR-10 (He, Zhang, Ren, Sun, 2015, https://arxiv.org/abs/1512.03385, section 4.2).

    A convolution of 3 x 3 pixels, then stages of residual blocks; each stage but the first halves the picture. Features
    are means over places. Blocks for "last-k" are the first convolution and each residual block. ResNet-18 has widths
    64, 128, 256, 512 with 2 blocks each, and another first layer, for larger pictures.

    Args:
        shape: input shape `(channels, height, width)`.
        classes: number of classes.
        widths: channels of each stage.
        blocks: residual blocks of each stage.
        norm: "batch", "group" (8 groups) or "none"; DP training accepts the last two.

    Raises:
        ConfigError: the records are no pictures, `widths` and `blocks` are not as many, or widths do not divide into
            groups.
    """
    need_pictures("resnet", shape)
    check_widths("resnet", widths, norm)
    if len(widths) != len(blocks):
        raise ConfigError(
            f"model 'resnet': widths and blocks must be one for each stage, got {len(widths)} and {len(blocks)}: "
            "correct them"
        )
    layers: list[nn.Module] = [
        Normalise(0.5, 0.25),
        nn.Sequential(convolution(shape[0], widths[0]), *normed(norm, widths[0]), nn.ReLU(inplace=True)),
    ]
    previous = widths[0]
    for stage, (width, count) in enumerate(zip(widths, blocks, strict=True)):
        for place in range(count):
            layers.append(ResidualBlock(previous, width, 2 if stage and not place else 1, norm))
            previous = width
    layers.append(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()))
    return Classifier(nn.Sequential(*layers), nn.Linear(previous, classes))
