"""The first layer of a trunk, if it is dense."""

from __future__ import annotations

import math

from torch import nn

PASSED = (nn.Flatten, nn.Identity, nn.Unflatten)
"""Layers before it that change no number."""


def dense_first(trunk: nn.Module, shape: tuple[int, ...]) -> tuple[str, str] | None:
    """Names of the weights and the biases of a dense first layer; None if the first layer is another, or not trained.

    Args:
        trunk: the shared layers, in the order in which they are defined.
        shape: of one record.

    >>> dense_first(nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU()), (1, 2, 2))
    ('1.weight', '1.bias')
    """
    for name, layer in trunk.named_modules():
        if next(layer.children(), None) is not None or isinstance(layer, PASSED) or layer is trunk:
            continue
        if not isinstance(layer, nn.Linear) or layer.bias is None or layer.in_features != math.prod(shape):
            return None
        if not isinstance(layer.weight, nn.Parameter):  # it stays as it is, and no gradient has it
            return None
        return f"{name}.weight", f"{name}.bias"
    return None
