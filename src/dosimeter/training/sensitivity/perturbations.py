"""Accuracy where an adversary may change every number of a record a little."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from dosimeter.foundation import checks
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import TrainingError
from dosimeter.models.architectures import as_float

SIZES = (0.0005, 0.001, 0.0015, 0.002, 0.0025)
"""Largest changes of a number of a record, as a share of the range of images: what defenses are compared at."""
STEPS = 10
"""Steps of the search for a perturbation; one is the fast gradient sign method."""
REACH = 2.5
"""Sum of all steps, as a multiple of the largest change."""
BATCH = 256


@dataclass(frozen=True)
class Perturbed:
    """Which records a model still classifies rightly under perturbations.

    Attributes:
        sizes: largest changes of a number of a record, ascending.
        clean: whether the record itself is classified rightly.
        correct: whether no perturbation of this size or below was found that is classified wrongly.
    """

    sizes: tuple[float, ...]
    clean: Bool[np.ndarray, " n"]
    correct: Bool[np.ndarray, "e n"]

    @property
    def accuracy(self) -> Float[np.ndarray, " e"]:
        """Share of records at each size; an upper bound, since the search may miss a perturbation."""
        return np.asarray(self.correct.mean(1))


def classify_perturbed(
    model: nn.Module,
    inputs: Tensor,
    labels: Int[Tensor, " n"],
    *,
    sizes: Sequence[float] = SIZES,
    steps: int = STEPS,
    limits: tuple[float, float] | None = (0.0, 1.0),
    device: torch.device | str = "cpu",
) -> Perturbed:
    """Searches a perturbation of each record that is classified wrongly, with no number changed by more than a size.

    The search is projected gradient descent on the margin z_y − max_{j≠y} z_j from the record itself, in steps of the
    gradient's sign (Madry, Makelov, Schmidt, Tsipras, Vladu, "Towards Deep Learning Models Resistant to Adversarial
    Attacks", 2018, https://arxiv.org/abs/1706.06083; with one step Goodfellow, Shlens, Szegedy, "Explaining and
    Harnessing Adversarial Examples", 2015, https://arxiv.org/abs/1412.6572). It takes the margin and not the
    cross-entropy, whose gradient is 0 in float32 where a model is sure. It draws nothing, so two models can be compared
    record by record.

    Args:
        model: gives logits; asked in evaluation mode and left as it was.
        inputs: records `[n ...]`, floats or uint8 images, which become numbers from 0 to 1.
        labels: their classes.
        sizes: largest changes, above 0, in units of a number of a record.
        steps: steps of the search; 1 goes the whole way at once.
        limits: least and largest value that a number may take; None for any.
        device: device to compute on.

    Raises:
        ValueError: wrong sizes, steps or limits, no records, or records beyond the limits.
        TrainingError: the records are no numbers.
    """
    _check(inputs, labels, sizes, steps, limits)
    ordered, device = tuple(sorted(sizes)), torch.device(device)
    clean, correct = [], []
    with _asked(model, device):
        for start in range(0, len(inputs), BATCH):
            x, y = as_float(inputs[start : start + BATCH]).to(device), labels[start : start + BATCH].to(device)
            with torch.no_grad():
                still = model(x).argmax(1) == y
            clean.append(still.cpu().numpy())
            rows = []
            for size in ordered:
                still = still & _holds(model, x, y, size, steps, limits)
                rows.append(still.cpu().numpy())
            correct.append(np.stack(rows))
    return Perturbed(ordered, np.concatenate(clean), np.concatenate(correct, axis=1))


def _holds(
    model: Callable[[Tensor], Tensor], x: Tensor, y: Tensor, size: float, steps: int,
    limits: tuple[float, float] | None,
) -> Bool[Tensor, " b"]:  # fmt: skip
    """Whether no step of the search is classified wrongly, for each record of a batch."""
    low, high = x - size, x + size
    if limits is not None:
        low, high = low.clamp(min=limits[0]), high.clamp(max=limits[1])
    stride = size if steps == 1 else REACH * size / steps
    here, holds = x, torch.ones(len(x), dtype=torch.bool, device=x.device)
    for _ in range(steps):
        leaf = here.detach().requires_grad_()
        logits = model(leaf)
        (slope,) = torch.autograd.grad(margins(logits, y).sum(), leaf)
        here = torch.minimum(torch.maximum(here - stride * slope.sign(), low), high).detach()
        with torch.no_grad():
            holds &= model(here).argmax(1) == y
    return holds


def margins(logits: Float[Tensor, "b c"], labels: Int[Tensor, " b"]) -> Float[Tensor, " b"]:
    """The logit of the label minus the largest other one."""
    own = logits.gather(1, labels[:, None])[:, 0]
    others = logits.scatter(1, labels[:, None], float("-inf")).amax(1)
    return own - others


@contextmanager
def _asked(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Puts a model on a device in evaluation mode with fixed weights inside the block; restores modes and weights."""
    modes = {module: module.training for module in model.modules()}
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    try:
        model.to(device).eval()
        for weight in trained:
            weight.requires_grad_(False)
        yield
    finally:
        for weight in trained:
            weight.requires_grad_(True)
        for module, mode in modes.items():
            module.training = mode


def _check(
    inputs: Tensor, labels: Tensor, sizes: Sequence[float], steps: int, limits: tuple[float, float] | None
) -> None:
    """Refuses arguments that give no number, or a wrong one."""
    if not sizes:
        raise ValueError("sizes must be at least one number, got none")
    for size in sizes:
        checks.in_range("sizes", size, 0, 1e9, open_low=True)
    checks.in_range("steps", steps, 1, 10_000)
    if not len(inputs) or len(inputs) != len(labels):
        raise ValueError(f"inputs and labels must be as many and at least one, got {len(inputs)} and {len(labels)}")
    if not as_float(inputs[:1]).is_floating_point():
        raise TrainingError(
            f"records must be numbers to be perturbed a little, got {str(inputs.dtype)[6:]} tokens: leave this out"
        )
    if limits is None:
        return
    if not limits[0] < limits[1]:
        raise ValueError(f"limits must be two numbers, the smaller first, got {limits}")
    if inputs.is_floating_point() and not limits[0] <= float(inputs.min()) <= float(inputs.max()) <= limits[1]:
        got = f"{float(inputs.min()):g} to {float(inputs.max()):g}"
        raise ValueError(f"inputs must lie within limits {limits[0]:g} to {limits[1]:g}, got {got}: give their limits")


def agreement(accuracies: Float[np.ndarray, " m"], leaks: Float[np.ndarray, " m"]) -> float:
    """Share of the variance of the leaks that a straight line in the accuracies explains, from 0 to 1.

    Defenses whose leak follows their models' accuracy under small perturbations weaken the model's features; they
    protect by nothing else.

    Args:
        accuracies: accuracy of each defended model under perturbations of one size.
        leaks: how much an attack on each of them achieves.

    Raises:
        ValueError: fewer than three models, or all alike.

    >>> round(agreement(np.array([0.1, 0.2, 0.3]), np.array([0.2, 0.4, 0.6])), 9)
    1.0
    """
    x, y = accuracies, leaks
    if len(x) != len(y) or len(x) < 3:
        raise ValueError(f"accuracies and leaks must be of the same three or more models, got {len(x)} and {len(y)}")
    if not (np.ptp(x) > 0 and np.ptp(y) > 0):
        raise ValueError("accuracies and leaks must differ between models, got equal ones")
    correlation: Array = np.corrcoef(x, y)
    return float(correlation[0, 1] ** 2)
