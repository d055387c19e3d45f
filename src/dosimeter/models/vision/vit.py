"""A small vision transformer."""

from __future__ import annotations

from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from dosimeter.foundation.errors import ConfigError
from dosimeter.models.architectures import Classifier, Normalise, Width
from dosimeter.models.vision.convolutions import need_pictures

SPREAD = 0.02
"""Standard deviation of the first weights of places."""


class Patches(nn.Module):
    """Pictures as vectors of their patches, each with that of its place; borders are filled with zeros.

    Args:
        shape: channels, height, width.
        patch: pixels of a side of a patch.
        width: numbers of a vector.
    """

    def __init__(self, shape: tuple[int, ...], patch: int, width: int) -> None:
        super().__init__()
        rows, columns = (-(-side // patch) for side in shape[1:])
        self.fill = (0, columns * patch - shape[2], 0, rows * patch - shape[1])
        self.vectors = nn.Conv2d(shape[0], width, patch, patch)
        # places stand in an embedding and in no bare parameter, so that DP training finds each record's gradient
        self.places = nn.Embedding(rows * columns, width)
        nn.init.normal_(self.places.weight, std=SPREAD)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b l d"]:
        """One vector for each patch, row by row."""
        vectors = self.vectors(nn.functional.pad(x, self.fill)).flatten(2).transpose(1, 2)
        # numbers of places by a sum of ones, which can be read as a graph whatever the number of pictures
        numbers = torch.ones_like(vectors[:, :, 0], dtype=torch.long).cumsum(1) - 1
        found: Tensor = vectors + self.places(numbers)
        return found


class EncoderBlock(nn.Module):
    """Attention among all patches, then two layers for each; both read normalised vectors and are added.

    Args:
        width: numbers of a vector.
        heads: of attention.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.scale = heads, (width // heads) ** -0.5
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attend, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.widen, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Float[Tensor, "b l d"]) -> Float[Tensor, "b l d"]:
        """The vectors after the block."""
        # pictures stay the first axis of every tensor, so that the network can be cut anywhere
        parts = self.attend(self.before(x)).unflatten(2, (3, self.heads, -1))
        query, key, value = (parts[:, :, one].transpose(1, 2) for one in range(3))
        # by its formula: the fused kernel has no gradient of a gradient, and none for each record at once
        seen = (query * self.scale @ key.transpose(-2, -1)).softmax(-1) @ value
        x = x + self.project(seen.transpose(1, 2).flatten(2))
        found: Tensor = x + self.narrow(nn.functional.gelu(self.widen(self.after(x))))
        return found


class MeanOfPatches(nn.Module):
    """The mean of all vectors."""

    def forward(self, x: Float[Tensor, "b l d"]) -> Float[Tensor, "b d"]:
        """One vector for each picture."""
        return x.mean(1)


def vit(
    shape: tuple[int, ...],
    classes: int,
    width: Width = 64,
    depth: Annotated[int, Field(ge=1, le=64)] = 4,
    heads: Annotated[int, Field(ge=1, le=64)] = 4,
    patch: Annotated[int, Field(ge=1, le=64)] = 4,
) -> nn.Module:
    """A vision transformer (Dosovitskiy et al., 2020, https://arxiv.org/abs/2010.11929) whose features are a mean.

    The mean over patches stands in place of a class token, as in Beyer, Zhai, Kolesnikov, "Better plain ViT baselines
    for ImageNet-1k", 2022, https://arxiv.org/abs/2205.01580. Blocks for "last-k" are the patches and each block of the
    encoder; the last normalisation belongs to the last of them.

    Args:
        shape: input shape `(channels, height, width)`.
        classes: number of classes.
        width: numbers of a patch's vector; a multiple of `heads`.
        depth: blocks of the encoder.
        heads: of attention.
        patch: pixels of a side of a patch.

    Raises:
        ConfigError: the records are no pictures, or `heads` do not divide the width.
    """
    need_pictures("vit", shape)
    if width % heads:
        raise ConfigError(
            f"model 'vit': width must be a multiple of heads, got {width} and {heads} heads: correct one of them"
        )
    blocks = [EncoderBlock(width, heads) for _ in range(depth)]
    last = nn.Sequential(blocks[-1], nn.LayerNorm(width), MeanOfPatches())
    first = nn.Sequential(Normalise(0.5, 0.25), Patches(shape, patch, width))
    return Classifier(nn.Sequential(first, *blocks[:-1], last), nn.Linear(width, classes))
