"""Which layers a loss depends on: the diagonal empirical Fisher information of each layer's weights.

The square of each *record's* gradient is taken, not that of a batch. Normalisation over a batch and dropout are in
evaluation mode, so a record's gradient depends on it alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from dosimeter.foundation.errors import TrainingError
from dosimeter.foundation.wording import describe
from dosimeter.models.architectures import as_float
from dosimeter.models.last_layer import at_rest, attempts

Aggregate = Literal["mean", "sum"]
Loss = Callable[[Tensor, Tensor], Tensor]
"""From logits `[b c]` and labels `[b]` to the loss of each record `[b]`, differentiable."""
MEMORY = 256 * 2**20
"""Most bytes of records' gradients that are held at once."""


@dataclass(frozen=True)
class Fisher:
    """Squared gradients of one loss, record by record, layer by layer.

    Attributes:
        layers: dotted names of the layers, in the order in which they run.
        parameters: number of weights of each layer.
        each: squared gradient of each record's loss, summed over the weights of each layer, nats² for a loss in nats.
    """

    layers: tuple[str, ...]
    parameters: Int[np.ndarray, " l"]
    each: Float[np.ndarray, "n l"]

    def of_layers(self, aggregate: Aggregate) -> Float[np.ndarray, " l"]:
        """Mean over records of each layer's information: the sum over its weights, or the mean.

        The sum favours layers with many weights, the mean those with few; ratios of two losses depend on neither.
        """
        total = np.asarray(self.each.mean(0))
        return np.asarray(total / self.parameters) if aggregate == "mean" else total


def cross_entropy(logits: Float[Tensor, "b c"], labels: Int[Tensor, " b"]) -> Float[Tensor, " b"]:
    """The loss of classification, of each record."""
    return nn.functional.cross_entropy(logits, labels, reduction="none")


def layers_of(model: nn.Module, example: Tensor) -> tuple[str, ...]:
    """Names of the layers with weights of two axes or more, in the order in which they first run.

    Layers of one axis, such as normalisation, are left out.

    Args:
        model: a classifier.
        example: two records.

    Raises:
        TrainingError: the model does not run on the records, or has no such layer.
    """
    order: list[str] = []

    def noted(name: str) -> Callable[[nn.Module, object], None]:
        return lambda *_: None if name in order else order.append(name)

    weighted = [(name, one) for name, one in model.named_modules() if any(w.ndim > 1 for w in _own(one).values())]
    hooks = [one.register_forward_pre_hook(noted(name)) for name, one in weighted]
    try:
        with at_rest(model):
            _run(model, as_float(example))
    finally:
        for hook in hooks:
            hook.remove()
    if not order:
        raise TrainingError(f"model {type(model).__name__}: needs a layer with weights of two axes, got none that runs")
    return tuple(order)


def _own(module: nn.Module) -> dict[str, Tensor]:
    """Weights of a module that are not those of its parts."""
    return dict(module.named_parameters(recurse=False))


def _run(model: nn.Module, example: Tensor) -> None:
    """Runs a model on records.

    Raises:
        TrainingError: it does not take them.
    """
    error: Exception | None = None
    for inputs in attempts(model, example):
        try:
            model(inputs)
        except Exception as found:  # a network raises many kinds
            error = error or found
        else:
            return
    raise TrainingError(
        f"model {type(model).__name__}: must take inputs of shape {tuple(example.shape)}, got "
        f"{describe(error or ValueError())}: give records as it takes them"
    ) from error


def fisher(
    model: nn.Module,
    inputs: Tensor,
    labels: Int[Tensor, " n"],
    *,
    loss: Loss = cross_entropy,
    layers: Sequence[str] | None = None,
    device: torch.device | str = "cpu",
) -> Fisher:
    """Squared gradients of a loss by the weights of each layer, for each record.

    F_l = 1/n Σ_n Σ_{i in l} (∂ L(f(x_n), y_n) / ∂ θ_i)² is then `of_layers("sum")`. Inputs may be reconstructions, with
    the class that was attacked as label and the attack's loss: a prior that does not depend on the weights drops out.
    This is the empirical Fisher: labels are given, not drawn from the model (Kunstner, Balles, Hennig, "Limitations of
    the Empirical Fisher Approximation", 2019, https://arxiv.org/abs/1905.12558). Ho, Hao, Chandrasegaran, Nguyen,
    Cheung, "Model Inversion Robustness: Can Transfer Learning Help?", 2024, https://arxiv.org/abs/2405.05588, compare
    layers by Fisher information; their released code has no such analysis, so whether this is their estimator is not
    known.

    Args:
        model: gives logits `[b c]`; asked in evaluation mode and left as it was.
        inputs: records `[n ...]`, as the model takes them or uint8 images.
        labels: their classes.
        loss: of each record.
        layers: names of modules with weights; those of `layers_of` by default.
        device: device to compute on.

    Raises:
        ValueError: no records, as many labels as records are missing, or a layer has no weights.
        TrainingError: the model cannot be run record by record.
    """
    if not len(inputs) or len(inputs) != len(labels):
        raise ValueError(f"inputs and labels must be as many and at least one, got {len(inputs)} and {len(labels)}")
    chosen = tuple(layers) if layers is not None else layers_of(model, inputs[:2])
    weights = _weights(model, chosen)
    modes = {module: module.training for module in model.modules()}
    try:
        model.to(device).eval()
        each = _squares(model, inputs, labels, loss, weights, torch.device(device))
    finally:
        for module, mode in modes.items():
            module.training = mode
    sizes = [sum(model.get_parameter(name).numel() for name in names) for names in weights.values()]
    return Fisher(chosen, np.array(sizes), each)


def _weights(model: nn.Module, layers: Sequence[str]) -> dict[str, list[str]]:
    """Names of the weights of each layer."""
    modules, found = dict(model.named_modules()), {}
    for layer in layers:
        own = _own(modules[layer]) if layer in modules else {}
        if not own:
            known = ", ".join(name for name, one in modules.items() if _own(one))
            raise ValueError(f"layers must name modules with weights, got {layer!r}: use some of {known}")
        found[layer] = [f"{layer}.{name}" if layer else name for name in own]
    return found


def _squares(
    model: nn.Module, inputs: Tensor, labels: Tensor, loss: Loss, weights: dict[str, list[str]], device: torch.device
) -> Float[np.ndarray, "n l"]:
    """Squared gradients of each record, summed over each layer, by batches that fit in `MEMORY`."""
    fixed = {name: one.detach() for name, one in (*model.named_parameters(), *model.named_buffers())}
    moving = {name: fixed.pop(name) for names in weights.values() for name in names}

    def of_record(values: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        logits = functional_call(model, (values, fixed), (x[None],))
        return loss(logits.float(), y[None]).sum()

    size = sum(one.numel() * one.element_size() for one in moving.values())
    gradients, step, found = vmap(grad(of_record), in_dims=(None, 0, 0)), max(1, MEMORY // size), []
    for start in range(0, len(inputs), step):
        x, y = as_float(inputs[start : start + step]).to(device), labels[start : start + step].to(device)
        try:
            slopes = gradients(moving, x, y)
        except RuntimeError as error:  # a layer without a rule for batches of models, or one that reads values
            raise TrainingError(
                f"model {type(model).__name__}: must run on one record inside torch.func.vmap, got {describe(error)}: "
                "use layers of torch.nn whose path does not depend on values"
            ) from error
        sums = [sum(slopes[name].double().flatten(1).square().sum(1) for name in names) for names in weights.values()]
        found.append(torch.stack([torch.as_tensor(one) for one in sums], 1).cpu().numpy())
    return np.concatenate(found)
