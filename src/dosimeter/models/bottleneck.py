"""A noisy bottleneck before the last layer: what passes it is charged in training, and its mean is read afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dosimeter.models.architectures import locate
from dosimeter.models.last_layer import replace_head

SHIFT = 5.0
"""Subtracted before the softplus that makes a deviation, so that a fresh bottleneck has little noise."""
LEAST = 1e-6
"""Least deviation: the divergence has its logarithm."""


class Bottleneck(nn.Module):
    """Gaussian noise around a linear function of the features: mean μ and deviation σ of each of `width` numbers.

    In evaluation, and outside `noisy`, it gives μ, so that a trained model answers the same twice.

    Args:
        features: numbers that come in.
        width: numbers that go out.
    """

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.both = nn.Linear(features, 2 * width)
        self.noisy = False
        self.divergence: Tensor | None = None

    def forward(self, x: Float[Tensor, "b d"]) -> Float[Tensor, "b k"]:
        """μ; inside `noisy` μ + σ ε, and KL(N(μ, σ²) || N(0, 1)), summed over the numbers, is kept in `divergence`."""
        mean: Tensor
        raw: Tensor
        mean, raw = self.both(x).chunk(2, dim=-1)
        if not (self.noisy and self.training):  # in evaluation the last layer can be found by a run
            return mean
        wide, deviation = mean.float(), nn.functional.softplus(raw.float() - SHIFT).clamp(min=LEAST)
        self.divergence = 0.5 * (wide.square() + deviation.square() - 1 - 2 * deviation.log()).sum(-1)
        return (wide + deviation * torch.randn_like(deviation)).to(mean.dtype)


def with_bottleneck(
    model: nn.Module, make: Callable[[int], Bottleneck], example: Tensor | None, head: str | None
) -> nn.Module:
    """Puts a bottleneck and a fresh last layer in the place of the last layer, in place.

    Args:
        model: a model whose cut is known or can be found.
        make: from the number of features to a fresh bottleneck.
        example: two records, by which the last layer is found.
        head: dotted name of the last layer; it becomes that name with `.1`.

    Returns:
        The same module.

    Raises:
        TrainingError: there is no last layer.
    """
    found = locate(model, example, head)
    fresh = make(found.head.in_features)
    last = nn.Linear(fresh.width, found.head.out_features, bias=found.head.bias is not None)
    fresh, last = fresh.to(found.head.weight.dtype), last.to(found.head.weight.dtype)
    backbone = getattr(model, "backbone", None)
    if head is None and isinstance(model, nn.Sequential) and found.head is model[-1]:
        model[-1] = fresh
        model.append(last)
    elif head is None and isinstance(backbone, nn.Sequential) and getattr(model, "head", None) is found.head:
        backbone.append(fresh)
        model.head = last
    else:
        replace_head(model, found.name, nn.Sequential(fresh, last))
    return model


def bottleneck_of(model: nn.Module) -> Bottleneck | None:
    """The last bottleneck of a model, or None: that of its latest stage."""
    return next((one for one in reversed(list(model.modules())) if isinstance(one, Bottleneck)), None)


@contextmanager
def noisy(bottleneck: Bottleneck) -> Iterator[None]:
    """Lets a bottleneck add its noise and keep its divergence inside the block."""
    bottleneck.noisy = True
    try:
        yield
    finally:
        bottleneck.noisy, bottleneck.divergence = False, None
