"""Gradients of many batches by the parameters of a perceptron, written out as batched products of matrices.

Axes: `m` batches, `b` records of each, `p` inputs of a layer, `q` outputs of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

SLOPES: dict[type[nn.Module], Callable[[Tensor], Tensor]] = {
    nn.ReLU: lambda out: (out > 0).to(out.dtype),
    nn.Tanh: lambda out: 1 - out * out,
    nn.Sigmoid: lambda out: out * (1 - out),
}
"""Activations that are followed, with their slopes as functions of their outputs."""


@dataclass(frozen=True)
class _Layer:
    """One step of a perceptron: dense, with its name, or an activation."""

    name: str
    module: nn.Module


def is_perceptron(trunk: nn.Module, head: nn.Module, inputs: Tensor) -> bool:
    """Returns whether `perceptron_gradients` can follow a trunk and its head.

    Args:
        trunk: shared blocks.
        head: last layer.
        inputs: batches `[m b ...]`.
    """
    layers = _layers(trunk)
    if layers is None or type(head) is not nn.Linear or _hooked(head) or head.bias is None:
        return False
    flat = inputs.ndim == 3 or (bool(layers) and type(layers[0].module) is nn.Flatten)
    dense = [one.module for one in layers if type(one.module) is nn.Linear]
    return flat and bool(dense) and len({id(one) for one in dense}) == len(dense)


def perceptron_gradients(
    trunk: nn.Module,
    head: nn.Linear,
    parameters: Mapping[str, Tensor],
    inputs: Float[Tensor, "m b ..."],
    labels: Int[Tensor, "m b"],
    into: Mapping[str, Tensor],
) -> dict[str, Tensor]:
    """Gradient of the mean cross-entropy of each batch by the parameters of a trunk, with no graph.

    All records go through the layers as one product; a layer's gradients of all batches are one batched product of its
    errors and its inputs. Most of the time of a wide layer goes into memory that is new, so give `into` where many
    calls follow each other.

    Args:
        trunk: for which `is_perceptron` holds.
        head: its last layer.
        parameters: of the trunk by name; the others are the module's own.
        inputs: batches.
        labels: their classes.
        into: arrays that are written over; what is not there is made.

    Returns:
        Gradients `[m ...]` of `parameters`.
    """
    m, b = labels.shape
    own = {**dict(trunk.named_buffers()), **dict(trunk.named_parameters()), **parameters}
    found: dict[str, Tensor] = {}
    with torch.no_grad():
        value, passed = inputs.reshape(m * b, -1), []
        for layer in _layers(trunk) or []:
            before = value
            if type(layer.module) is nn.Linear:
                value = nn.functional.linear(value, own[f"{layer.name}.weight"], own.get(f"{layer.name}.bias"))
            elif type(layer.module) in SLOPES:
                value = layer.module(value)
            passed.append((layer, before, value))
        error = torch.softmax(head(value), 1)
        error[torch.arange(m * b, device=error.device), labels.reshape(-1)] -= 1
        error = (error / b) @ head.weight
        for place, (layer, before, after) in reversed(list(enumerate(passed))):
            if type(layer.module) in SLOPES:
                error = error * SLOPES[type(layer.module)](after)
            elif type(layer.module) is nn.Linear:
                _write(found, layer.name, parameters, into, (error.view(m, b, -1), before.view(m, b, -1)))
                if any(type(one.module) is nn.Linear for one, *_ in passed[:place]):
                    error = error @ own[f"{layer.name}.weight"]
    return {name: found[name] for name in parameters}


def _write(
    found: dict[str, Tensor], name: str, parameters: Mapping[str, Tensor], into: Mapping[str, Tensor],
    parts: tuple[Float[Tensor, "m b q"], Float[Tensor, "m b p"]],
) -> None:  # fmt: skip
    """Adds the gradients of one dense layer, from its errors and its inputs."""
    errors, before = parts
    weight, bias = f"{name}.weight", f"{name}.bias"
    if weight in parameters:
        found[weight] = torch.bmm(errors.transpose(1, 2), before, out=into.get(weight))
    if bias in parameters:
        found[bias] = torch.sum(errors, 1, out=into.get(bias))


def _layers(module: nn.Module, name: str = "") -> list[_Layer] | None:
    """Layers of a perceptron in order, or None where something else is in it."""
    if _hooked(module):
        return None
    if type(module) is nn.Sequential:
        found: list[_Layer] = []
        for key, one in module.named_children():
            inner = _layers(one, f"{name}.{key}" if name else key)
            if inner is None:
                return None
            found += inner
        return found if len(module) == len(list(module.named_children())) else None
    idle = type(module) is nn.Identity or (type(module) is nn.Dropout and not (module.training and module.p))
    if type(module) is nn.Flatten and (module.start_dim, module.end_dim) != (1, -1):
        return None
    known = idle or type(module) in SLOPES or type(module) in (nn.Linear, nn.Flatten)
    return [_Layer(name, module)] if known else None


def _hooked(module: nn.Module) -> bool:
    """Whether something runs beside the module's own forward pass."""
    return bool(module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module))
