"""A small causal transformer, which trains on a processor in seconds."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from dosimeter.foundation.errors import ConfigError

Width = Annotated[int, Field(ge=1, le=16_384)]


class CausalTransformer(nn.Module):
    """Tokens `[b l]`, -1 after the end, to logits `[b l v]`: those at place j are about the token at place j + 1.

    Args:
        backbone: tokens to features `[b l d]`.
        head: features to logits.
    """

    def __init__(self, backbone: nn.Sequential, head: nn.Linear) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head

    def forward(self, x: Tensor) -> Tensor:
        """Logits `[b l v]`."""
        logits: Tensor = self.head(self.backbone(x))
        return logits


class _Embedding(nn.Module):
    """The sum of a token's vector and its place's."""

    def __init__(self, vocabulary: int, length: int, width: int) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
        for layer in (self.tokens, self.places):
            nn.init.normal_(layer.weight, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """Vectors `[b l d]`; what stands after the end of a text cannot reach what stands before it."""
        places = torch.arange(x.shape[1], device=x.device).expand(len(x), -1)
        vectors: Tensor = self.tokens(x.clamp(min=0)) + self.places(places)
        return vectors


class _Block(nn.Module):
    """Attention to what came before, then two layers for each place; both read normalised features and are added."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attend, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.widen, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Features `[b l d]`."""
        b, length, width = x.shape
        parts = self.attend(self.before(x)).view(b, length, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        seen = nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.project(seen.transpose(1, 2).reshape(b, length, width))
        found: Tensor = x + self.narrow(nn.functional.gelu(self.widen(self.after(x))))
        return found


def transformer(
    shape: tuple[int, ...],
    classes: int,
    width: Width = 64,
    depth: Annotated[int, Field(ge=1, le=64)] = 2,
    heads: Annotated[int, Field(ge=1, le=64)] = 4,
) -> nn.Module:
    """A causal transformer that predicts each token of a text from those before it.

    Args:
        shape: `(length,)`: tokens of a text, the one that begins it among them.
        classes: tokens that there are.
        width: of the features; a multiple of `heads`.
        depth: number of blocks.
        heads: of attention.
    """
    if len(shape) != 1 or width % heads:
        raise ConfigError(
            f"model 'transformer': needs texts (length,) and a width that its heads divide, got shape {shape}, width "
            f"{width} and {heads} heads: use texts, and a width that is a multiple of heads"
        )
    blocks = [_Block(width, heads) for _ in range(depth)]
    backbone = nn.Sequential(_Embedding(classes, shape[0], width), *blocks, nn.LayerNorm(width))
    return CausalTransformer(backbone, nn.Linear(width, classes, bias=False))
