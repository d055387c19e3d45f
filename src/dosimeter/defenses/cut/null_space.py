"""Null space: what the first layer of the second half does not read is not sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, fx, nn

from dosimeter.foundation import checks
from dosimeter.foundation.errors import ConfigError
from dosimeter.training.cuts.place import CutPlace

PLAIN = ("flatten", "dropout", "identity", "view", "reshape", "size", "contiguous")
"""Operations that leave each number as it is while a model is used."""


@dataclass(frozen=True)
class NullSpace:
    """Send P z in place of z, with P = Wᵀ (W Wᵀ)⁺ W of the linear layer W that reads it: the answers stay the same.

    Paper: Samragh, Hosseini, Triastcyn, Azarian, Soriaga,
    Koushanfar, "Unsupervised Information Obfuscation for Split Inference of Neural Networks", 2021,
    https://arxiv.org/abs/2104.11413, which also removes directions that matter little.

    Where the layer has as many outputs as inputs, or more, nothing is removed; then it refuses.

    Stronger: a larger `tolerance`, which removes directions that matter little too.
    Deviations: only directions that the layer does not read, up to `tolerance`.
    Cost: one decomposition of the layer, and a product with a matrix for each record.

    Attributes:
        tolerance: directions are removed whose singular value is at most this share of the largest, from 0 to 1.
    """

    paper: ClassVar[str] = "Samragh et al., 2021, https://arxiv.org/abs/2104.11413"
    place: ClassVar[str] = "cut"
    ladder: ClassVar[tuple[dict[str, Any], ...]] = ({"tolerance": 1e-6}, {"tolerance": 0.1}, {"tolerance": 0.3})

    tolerance: float = 1e-6

    def __post_init__(self) -> None:
        checks.in_range("tolerance", self.tolerance, 0, 1, open_high=True)

    def fitted(self, place: CutPlace) -> Projection:
        """The projection of this model's features.

        Raises:
            ConfigError: no linear layer reads them, or it reads all of them.
        """
        weight = first_linear(place.second, place.features[0].numel()).double()
        _, sizes, directions = torch.linalg.svd(weight, full_matrices=False)
        read = directions[sizes > max(self.tolerance, 1e-12) * sizes[0]]
        if len(read) >= weight.shape[1]:
            raise ConfigError(
                f"defense null_space: the layer after the cut reads all {weight.shape[1]} directions of the features, "
                "so it removes nothing: cut before a layer with fewer outputs than inputs, or leave it out"
            )
        return Projection((read.T @ read).float())

    def restored(self, kept: Mapping[str, Tensor]) -> Projection:
        """The projection of a model that was stored."""
        return Projection(kept["matrix"])


@dataclass(frozen=True, eq=False)
class Projection:
    """A `Release` of projected features; it `AddsNoise` of scale 0.

    Attributes:
        matrix: the projection `[k k]`.
    """

    matrix: Float[Tensor, "k k"]
    law: ClassVar[str] = "gaussian"
    scale: ClassVar[float] = 0.0

    def without_noise(self, features: Float[Tensor, "b ..."]) -> Float[Tensor, "b ..."]:
        """Projected features; differentiable."""
        return (features.flatten(1) @ self.matrix.to(features)).reshape(features.shape)

    def send(self, features: Float[Tensor, "b ..."], rng: np.random.Generator) -> Float[Tensor, "b ..."]:
        """Projected features; `rng` is not used."""
        return self.without_noise(features)


def first_linear(second: nn.Module, width: int) -> Float[Tensor, "r k"]:
    """Weights of the linear layer that alone reads what crosses.

    Args:
        second: the second half, a module that holds an `fx.GraphModule` as `module`.
        width: numbers that cross for one record.

    Raises:
        ConfigError: something else reads it.
    """
    module = getattr(second, "module", second)
    if not isinstance(module, fx.GraphModule):
        raise ConfigError("defense null_space: the second half is no graph: leave it out")
    entries = [node for node in module.graph.nodes if node.op == "placeholder"]
    node = entries[0]
    while len(entries) == 1 and len(node.users) == 1:
        node = next(iter(node.users))
        weight = _weight(module, node)
        if weight is not None and weight.shape[1] == width:
            return weight.detach()
        if weight is not None or not _plain(module, node):
            break
    raise ConfigError(
        f"defense null_space: needs a linear layer that reads all {width} numbers right after the cut, got "
        f"{_name(module, node)}: cut before one, or leave it out"
    )


def _weight(module: fx.GraphModule, node: fx.Node) -> Tensor | None:
    """The matrix of a linear layer; None if the node is none."""
    if node.op == "call_module":
        own = module.get_submodule(str(node.target))
        return own.weight if isinstance(own, nn.Linear) else None
    if node.op == "call_function" and "linear" in str(node.target) and isinstance(node.args[1], fx.Node):
        value: Any = module
        for word in str(node.args[1].target).split("."):
            value = getattr(value, word, None)
        return value if isinstance(value, Tensor) else None
    return None


def _name(module: fx.GraphModule, node: fx.Node) -> str:
    """What a node does, in a word."""
    if node.op == "call_module":
        return type(module.get_submodule(str(node.target))).__name__
    return str(getattr(node.target, "__name__", node.target))


def _plain(module: fx.GraphModule, node: fx.Node) -> bool:
    """Returns whether a node leaves each number as it is."""
    return any(word in _name(module, node).lower() for word in PLAIN)
