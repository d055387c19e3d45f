"""The training loop for one model.

Data is a tensor, minibatches are index gathers, every model has its own initialisation and its own order of the data.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dosimeter._seeds import generator, seed_for
from dosimeter.errors import TrainingError
from dosimeter.models import as_float

Augmentation = Literal["flip", "shift"]
SHIFT = 4
"""Largest shift of the training augmentation, pixels; borders are replicated."""
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
"""Of Adam: decay of the gradient's mean and of its square's, and what keeps the division finite."""


@dataclass(frozen=True)
class Hyperparameters:
    """How a stage is trained. All of it is part of the stage's key and equal for target and shadows.

    Attributes:
        epochs: passes over the stage's rows.
        batch_size: records per update.
        optimizer: "sgd" or "adam".
        lr: learning rate at its highest.
        momentum: of SGD.
        weight_decay: L2 penalty, as `torch.optim` defines it.
        schedule: "constant", "cosine" (to 0), or "one-cycle" (linear up over a quarter, linear down to 0), per update.
        precision: "float32", or "bfloat16" autocast with float32 weights.
        augment: random flips and shifts of images.
        standardise: heads only: features are scaled by mean and deviation over the model's own training rows.
    """

    epochs: int = 20
    batch_size: int = 32
    optimizer: Literal["sgd", "adam"] = "sgd"
    lr: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 0.0
    schedule: Literal["constant", "cosine", "one-cycle"] = "constant"
    precision: Literal["float32", "bfloat16"] = "float32"
    augment: tuple[Augmentation, ...] = ()
    standardise: bool = False

    def lr_at(self, step: int, steps: int) -> float:
        """Learning rate of update `step` of `steps`.

        >>> Hyperparameters(lr=1.0, schedule="cosine").lr_at(50, 100)
        0.5
        """
        done = step / steps
        if self.schedule == "cosine":
            return self.lr * 0.5 * (1 + math.cos(math.pi * done))
        if self.schedule == "one-cycle":
            return self.lr * min((step + 1) / (0.25 * steps), (1 - done) / 0.75, 1.0)
        return self.lr


class Optimizer:
    """SGD with momentum, or Adam, as `torch.optim` defines them.

    Both act element by element, so stacked models do not touch each other. Written out because the first use of
    `torch.optim` loads the compiler: two seconds in every worker process, and a third of the time of a head's update.

    Args:
        parameters: updated in place; those without a gradient are left alone.
        hp: kind, momentum and weight decay.
    """

    def __init__(self, parameters: Sequence[Tensor], hp: Hyperparameters) -> None:
        self.parameters, self.hp, self.updates = parameters, hp, 0
        self.means = [torch.zeros_like(p) for p in parameters]
        self.squares = [torch.zeros_like(p) for p in parameters] if hp.optimizer == "adam" else []

    @torch.no_grad()
    def update(self, lr: float) -> None:
        """One update; uses up the gradients."""
        self.updates += 1
        for i, p in enumerate(self.parameters):
            if p.grad is None:
                continue
            gradient, p.grad = p.grad, None
            if self.hp.weight_decay:
                gradient.add_(p, alpha=self.hp.weight_decay)
            if self.hp.optimizer == "adam":
                mean = self.means[i].lerp_(gradient, 1 - BETA1)
                square = self.squares[i].mul_(BETA2).addcmul_(gradient, gradient, value=1 - BETA2)
                deviation = square.sqrt().div_(math.sqrt(1 - BETA2**self.updates)).add_(EPSILON)
                p.addcdiv_(mean, deviation, value=-lr / (1 - BETA1**self.updates))
            else:
                p.add_(self.means[i].mul_(self.hp.momentum).add_(gradient), alpha=-lr)


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """PyTorch's default generator holds `seed` inside the block and is restored after it (initialisation, dropout)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def augment(images: Float[Tensor, "b k h w"], kinds: tuple[Augmentation, ...], rng: Tensor) -> Float[Tensor, "b k h w"]:
    """Random flips and shifts of a batch by indexing.

    Args:
        images: the batch.
        kinds: which transformations.
        rng: uniform numbers `[b, 3]` that decide flip, vertical and horizontal shift of each image.
    """
    if "flip" in kinds:
        images = torch.where((rng[:, 0] < 0.5)[:, None, None, None], images.flip(-1), images)
    if "shift" in kinds:
        h, w = images.shape[-2:]
        padded = nn.functional.pad(images, (SHIFT,) * 4, mode="replicate")
        offsets = (rng[:, 1:] * (2 * SHIFT + 1)).long()
        rows = (torch.arange(h, device=images.device) + offsets[:, :1])[:, None, :, None]
        columns = (torch.arange(w, device=images.device) + offsets[:, 1:])[:, None, None, :]
        batch = torch.arange(len(images), device=images.device)[:, None, None, None]
        channels = torch.arange(images.shape[1], device=images.device)[None, :, None, None]
        images = padded[batch, channels, rows, columns]
    return images


def move(model: nn.Module, device: torch.device, *, images: bool) -> nn.Module:
    """Put a model on a device, channels last if it takes images."""
    layout = torch.channels_last if images else torch.contiguous_format
    return model.to(device=device, memory_format=layout)  # type: ignore[call-overload,no-any-return]


def train(
    model: nn.Module,
    inputs: Tensor,
    labels: Int[Tensor, " n"],
    hp: Hyperparameters,
    *,
    seed: int,
    device: torch.device,
) -> float:
    """Train one model in place.

    Args:
        model: on any device; moved to `device`; parameters that do not require gradients are left alone.
        inputs: the stage's rows of this model, `[n ...]`, uint8 images or floats.
        labels: classes.
        hp: the recipe.
        seed: decides the order of the data, augmentation and dropout.
        device: where to train.

    Returns:
        Mean loss of the last epoch, nats.

    Raises:
        TrainingError: the loss is not finite.
    """
    images = inputs.ndim == 4
    move(model, device, images=images).train()
    inputs, labels = inputs.to(device), labels.to(device)
    n, batches = len(inputs), -(-len(inputs) // hp.batch_size)
    optimizer = Optimizer([p for p in model.parameters() if p.requires_grad], hp)
    order_rng, augment_rng = generator(seed, "order"), torch.Generator().manual_seed(seed_for(seed, "augmentation"))
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=hp.precision == "bfloat16")
    loss_mean = math.nan
    with seeded(seed_for(seed, "dropout")):
        for epoch in range(hp.epochs):
            order = torch.from_numpy(order_rng.permutation(n)).to(device)
            total = torch.zeros((), device=device)
            for step, rows in enumerate(torch.split(order, hp.batch_size)):
                batch = as_float(inputs[rows])
                if images:
                    if hp.augment:
                        batch = augment(batch, hp.augment, torch.rand(len(rows), 3, generator=augment_rng).to(device))
                    batch = batch.contiguous(memory_format=torch.channels_last)
                with autocast:
                    loss = nn.functional.cross_entropy(model(batch).float(), labels[rows])
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.update(hp.lr_at(epoch * batches + step, hp.epochs * batches))
                total += loss.detach() * len(rows)
            loss_mean = float(total) / n
            if not math.isfinite(loss_mean):
                raise TrainingError(diverged(loss_mean, epoch, seed, hp))
    model.eval()
    return loss_mean


def diverged(loss: float, epoch: int, seed: int, hp: Hyperparameters) -> str:
    """The message for a loss that is not finite."""
    return (
        f"training loss must be finite, got {loss} in epoch {epoch + 1} of {hp.epochs} with seed {seed}: lower lr "
        f"({hp.lr}) or check the inputs' scale"
    )
