"""The last layer of any network, found by running it, and the network without that layer.

A layer is the head if the network with the layer replaced by the identity gives features from which the layer alone
makes the network's answers: `head(backbone(x)) == model(x)`, checked on two records.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dosimeter.foundation.errors import AuditError, TrainingError
from dosimeter.foundation.wording import describe
from dosimeter.models.outputs import named_parts, pick

TRIES = 4
"""Number of linear layers, counted from the last that ran, that are tried as the head."""
RELATIVE, ABSOLUTE = {4: 1e-4, 8: 1e-4, 2: 2e-2}, {4: 1e-5, 8: 1e-5, 2: 2e-2}
"""Largest difference between `head(backbone(x))` and `model(x)`, by bytes of a number: relative, then absolute."""


class Backbone(nn.Module):
    """A network without its head: returns the features `[b d]` that the head takes. It shares all weights with `whole`.

    Args:
        whole: the network.
        name: dotted name of its head.
        part: name or position of the logits in what the network returns, or None if it returns them alone.
    """

    def __init__(self, whole: nn.Module, name: str, part: str | int | None) -> None:
        super().__init__()
        self.net = without(whole, name)
        self.part = part

    def forward(self, x: Tensor) -> Tensor:
        """Features `[b d]`."""
        answer = self.net(x)
        features: Tensor = answer if self.part is None else _parts(answer)[self.part]
        return features.flatten(1)


def _parts(answer: object) -> dict[str | int, Any]:
    """Parts of a network's return value, by name or position."""
    named = named_parts(answer)
    if named is None:
        return dict(enumerate(answer)) if isinstance(answer, list | tuple) else {}
    return {str(name): value for name, value in named.items()}


@dataclass(frozen=True)
class Cut:
    """The place where a network is divided.

    Attributes:
        name: dotted name of the head.
        backbone: what comes before it: blocks, or one `Backbone`.
        head: the last layer.
    """

    name: str
    backbone: nn.Sequential
    head: nn.Linear


def example_of(shape: tuple[int, ...]) -> Tensor:
    """Two records of a shape, made without drawing: float32 in [0, 1), different from each other."""
    size = 2 * int(torch.Size(shape).numel())
    return (torch.arange(size, dtype=torch.float64) * 0.618034 % 1).float().reshape(2, *shape)


def without(model: nn.Module, name: str) -> nn.Module:
    """A network whose layer `name` is the identity. Weights are shared and the given network is not changed.

    >>> net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 4))
    >>> without(net, "1")(torch.zeros(1, 2)).shape[1], net(torch.zeros(1, 2)).shape[1]
    (3, 4)
    """
    first, _, rest = name.partition(".")
    twin = copy.copy(model)  # shares parameters and buffers, but not the table of its children
    twin.__dict__["_modules"] = dict(model._modules)
    twin._modules[first] = without(model.get_submodule(first), rest) if rest else nn.Identity()
    return twin


def find_head(model: nn.Module, example: Tensor, name: str | None = None) -> Cut:
    """Finds a network's head by running two records.

    The linear layers that ran are tried from the last one; the first that passes the check is the head. No random
    number is drawn and the network is left as it was.

    Args:
        model: gives logits `[b c]`, alone or among other parts.
        example: two records; whole numbers are tried where the network takes no fractions.
        name: dotted name of the head, which is then only checked.

    Raises:
        TrainingError: the network does not take the records, or no layer passes.
    """
    with at_rest(model):
        calls, inputs, answer = _run(model, example)
        layers = [_layer_at(model, name)] if name is not None else _candidates(calls, answer)
        tried = {id(layer): [one for one, other in _all_names(model) if other is layer] for layer in layers}
        for layer in layers:
            for one in [name] if name is not None else tried[id(layer)]:
                found = _cut_at(model, one, layer, inputs, answer)
                if found is not None and _is_tied(model, layer):
                    raise TrainingError(
                        f"model {type(model).__name__}: its last layer must have weights of its own, got {one!r}, "
                        "whose weights serve elsewhere too: untie them, or use another transfer than 'head'"
                    )
                if found is not None:
                    return found
    names = ", ".join(one for some in tried.values() for one in some[:1])
    raise TrainingError(
        f"model {type(model).__name__}: its last layer must be a torch.nn.Linear whose output is the logits, got "
        f"{names + ', whose output is not' if names else 'none with as many outputs'}: return that layer's output "
        "unchanged, or give the module attributes `backbone` and `head` (a Linear)"
    )


def _all_names(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Every dotted name of every part; a part that is registered twice has two names."""
    return [(one, module) for one, module in model.named_modules(remove_duplicate=False) if one]


def _candidates(calls: list[nn.Linear], answer: object) -> list[nn.Linear]:
    """Layers to try, the last that ran first; a layer that ran twice is left out."""
    once = [one for one in calls if sum(one is other for other in calls) == 1]
    columns = answer.shape[-1] if isinstance(answer, Tensor) else None
    return [one for one in reversed(once) if columns in (None, one.out_features)][:TRIES]


def _layer_at(model: nn.Module, name: str) -> nn.Linear:
    """The layer with the name that the user gave."""
    module = dict(_all_names(model)).get(name)
    if not isinstance(module, nn.Linear):
        there = [one for one, module in _all_names(model) if isinstance(module, nn.Linear)][-5:]
        raise TrainingError(
            f"model {type(model).__name__}: head must name a torch.nn.Linear of the model, got {name!r}: use one of "
            f"{', '.join(there) or 'none, it has no Linear'}"
        )
    return module


def _cut_at(model: nn.Module, name: str, head: nn.Linear, inputs: Tensor, answer: object) -> Cut | None:
    """The cut before a layer, or None if the layer does not make the logits from what comes before it."""
    try:
        logits = pick(answer, rows=len(inputs), columns=head.out_features, place="model")
        part = next((one for one, value in _parts(answer).items() if value is logits), None)
        backbone = Backbone(model, name, part)
        features = backbone(inputs)
        if features.ndim != 2 or features.shape[1] != head.in_features:
            return None
        again = head(features)
    except Exception:  # a network that fails without the layer was not cut at its end
        return None
    return Cut(name, nn.Sequential(backbone), head) if _close(again, logits) else None


def _is_tied(model: nn.Module, head: nn.Linear) -> bool:
    """Returns whether a layer's weights serve elsewhere too, so that it cannot be trained alone."""
    own = {id(weight) for weight in head.parameters()}
    return any(id(one) in own for part in model.modules() if part is not head for one in part._parameters.values())


def attempts(model: nn.Module, example: Tensor) -> list[Tensor]:
    """The records in the forms that are tried: in the precision of the weights, then as whole numbers."""
    if not example.is_floating_point():
        return [example.long()]
    floating = next((one.dtype for one in model.parameters() if one.is_floating_point()), torch.float32)
    return [example.to(floating), (2 * example).long()]


def is_cut(model: nn.Module, backbone: nn.Module, head: nn.Linear, example: Tensor) -> bool:
    """Returns whether `head(backbone(x))` equals the model's answer; true if neither runs, refused elsewhere."""
    with at_rest(model):
        for inputs in attempts(model, example):
            try:
                return _close(head(backbone(inputs)), model(inputs))
            except Exception:  # other inputs than these, or a model that is wrong
                continue
    return True


def _close(again: Tensor, logits: Tensor) -> bool:
    """Returns whether two results are equal up to the rounding of their precision."""
    size = again.element_size()
    return again.shape == logits.shape and torch.allclose(
        again.double(), logits.double(), rtol=RELATIVE[size], atol=ABSOLUTE[size]
    )


def _run(model: nn.Module, example: Tensor) -> tuple[list[nn.Linear], Tensor, object]:
    """The linear layers in the order in which they ran, the records as the network took them, and its result."""
    calls: list[nn.Linear] = []
    hooks = [
        module.register_forward_hook(lambda layer, *_: calls.append(layer))
        for module in model.modules()
        if isinstance(module, nn.Linear)
    ]
    first: BaseException | None = None
    try:
        for inputs in attempts(model, example):
            calls.clear()
            try:
                answer = model(inputs)
            except AuditError:
                raise
            except (Exception, SystemExit) as error:
                first = first or error
                continue
            if isinstance(answer, Tensor) and answer.ndim != 2:
                raise TrainingError(
                    f"model {type(model).__name__}: must return logits [b c] to be cut before its last layer, got "
                    f"shape {tuple(answer.shape)}: return one row for each record"
                )
            return list(calls), inputs, answer
    finally:
        for hook in hooks:
            hook.remove()
    raise TrainingError(
        f"model {type(model).__name__}: must take inputs of shape {tuple(example.shape)} for its last layer to be "
        f"found, got {describe(first or ValueError())}: correct it, or give attributes `backbone` and `head` (a Linear)"
    ) from first


@contextmanager
def at_rest(model: nn.Module) -> Iterator[None]:
    """Puts all modules in evaluation mode without gradients inside the block; restores each mode afterwards."""
    modes = {module: module.training for module in model.modules()}
    try:
        with torch.no_grad():
            model.eval()
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def replace_head(model: nn.Module, name: str, layer: nn.Module) -> None:
    """Replaces a layer, which is given by its dotted name."""
    parent, _, own = name.rpartition(".")
    setattr(model.get_submodule(parent), own, layer)
