"""The training loop for one model.

Data is a tensor, minibatches are index gathers, every model has its own initialisation and its own order of the data.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dosimeter.data.views import drop_words
from dosimeter.foundation.errors import TrainingError
from dosimeter.foundation.seeds import generator, seed_for
from dosimeter.models.architectures import as_float, locate
from dosimeter.training.charges import charges
from dosimeter.training.construction.joining import fighting
from dosimeter.training.language.stage import is_text, next_token_loss
from dosimeter.training.private.loop import privately
from dosimeter.training.recipe import (
    AddsStepNoise,
    Augmentation,
    ChangesLoss,
    HidesFeatures,
    Hyperparameters,
    PacesLoss,
    settle,
)

SHIFT = 4
"""Largest shift of the training augmentation, pixels; borders are replicated."""
REGISTER = 16
"""Numbers that the widest register of a processor holds."""
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
"""Constants of Adam: decay of the mean gradient, decay of the mean squared gradient, and epsilon in the denominator."""


class Optimizer:
    """SGD with momentum, or Adam, as `torch.optim` defines them.

    Both act element by element, so stacked models do not influence each other. They are written by hand, because the
    first use of `torch.optim` loads the compiler: two seconds in every worker process, and a third of the time of a
    head's update.

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
        """Updates the parameters once; sets their gradients to None."""
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


class StepNoise:
    """Noise that a defense adds to each gradient of one model, or of several that train together.

    It is drawn on the CPU and model by model, so that a model depends neither on its pack nor on the device.

    Args:
        hp: the recipe with its defenses; without one that adds noise nothing is drawn.
        seeds: one for each model.
    """

    def __init__(self, hp: Hyperparameters, seeds: Sequence[int]) -> None:
        self.adding = [one for one in hp.defenses if isinstance(one, AddsStepNoise)]
        self.rngs = [torch.Generator().manual_seed(seed_for(seed, "noise of steps")) for seed in seeds if self.adding]

    def add(self, gradients: Sequence[Float[Tensor, "m ..."]], rate: float) -> None:
        """Adds it, in place, to the gradients of all models, which are followed at this learning rate."""
        for one in self.adding:
            deviation = one.deviation(rate)
            for gradient in gradients:
                for own, rng in zip(gradient, self.rngs, strict=True):
                    own.add_(torch.randn(own.shape, generator=rng).to(own.device, own.dtype), alpha=deviation)


def gradients_of(parameters: Sequence[Tensor]) -> list[Float[Tensor, "1 ..."]]:
    """Gradients of one model as `StepNoise` takes them, those that there are; they share memory."""
    return [p.grad[None] for p in parameters if p.grad is not None]


@contextlib.contextmanager
def seed_torch(seed: int) -> Iterator[None]:
    """Seeds PyTorch's default generator inside the block (initialisation, dropout) and restores it afterwards."""
    state = torch.default_generator.get_state()
    if torch.accelerator.is_available():
        torch.manual_seed(seed)
    else:  # far quicker, since all accelerators that are not there would be told to seed themselves later
        torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.default_generator.set_state(state)


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


def augment_batch(batch: Tensor, kinds: tuple[Augmentation, ...], rng: torch.Generator) -> Tensor:
    """A batch for one update: images `[b k h w]` are moved, texts `[b length]` lose some words."""
    if batch.ndim == 4:
        return augment(batch, kinds, torch.rand(len(batch), 3, generator=rng).to(batch.device))
    if "drop" in kinds and not batch.is_floating_point():
        return drop_words(batch, torch.rand(batch.shape, generator=rng).to(batch.device))
    return batch


def _batch_of(inputs: Tensor, hp: Hyperparameters, rng: torch.Generator, layout: torch.memory_format) -> Tensor:
    """The inputs of one update: as models take them, augmented, in the layout of the model."""
    batch = augment_batch(as_float(inputs), hp.augment, rng) if hp.augment else as_float(inputs)
    return batch.contiguous(memory_format=layout)


def _order(n: int, hp: Hyperparameters, rng: np.random.Generator, device: torch.device) -> Iterator[Tensor]:
    """Rows of the batches of one epoch."""
    return iter(torch.split(torch.from_numpy(rng.permutation(n)).to(device), hp.batch_size))


def layout_for(model: nn.Module, *, images: bool) -> torch.memory_format:
    """The order in memory in which a model is trained: channels last, which is faster, if it takes images.

    Not where a convolution of one pixel with a stride takes fewer channels than a processor's register holds: with
    channels last, the gradient of its weights is written past its memory, which crashes or changes other numbers
    (https://github.com/uxlfoundation/oneDNN/issues/6035, in PyTorch 2.13). Weights of such a shape that belong to no
    `nn.Conv2d` may be used with any stride, by `nn.functional.conv2d`.
    """
    unsafe = any(_may_overrun(one) for one in model.modules())
    return torch.channels_last if images and not unsafe else torch.contiguous_format


def _may_overrun(module: nn.Module) -> bool:
    """Returns whether a module's own weights may be those of a strided convolution of one pixel and few channels."""
    if isinstance(module, nn.Conv2d):
        return set(module.kernel_size) == {1} and max(module.stride) > 1 and module.in_channels < REGISTER
    own = (one.shape for one in module.parameters(recurse=False))
    return any(len(shape) == 4 and set(shape[2:]) == {1} and shape[1] < REGISTER for shape in own)


def move(model: nn.Module, device: torch.device, *, images: bool) -> nn.Module:
    """Puts a model on a device, in the layout of `layout_for`."""
    layout = layout_for(model, images=images)
    return model.to(device=device, memory_format=layout)  # type: ignore[call-overload,no-any-return]


def own_loss(hp: Hyperparameters, epoch: int) -> ChangesLoss | None:
    """What a defense trains with in an epoch, or None if there is none that decides the loss."""
    for one in hp.defenses:
        if isinstance(one, PacesLoss):
            return one.paced(hp.done(epoch))
        if isinstance(one, ChangesLoss):
            return one
    return None


def batch_loss(logits: Tensor, labels: Tensor, hp: Hyperparameters, epoch: int) -> Tensor:
    """Mean loss of a batch: cross-entropy, or the loss of a defense.

    Labels are classes, probabilities, or tokens `[b l]` of texts, as whole numbers, whose loss has no defense.
    """
    if is_text(labels):
        return next_token_loss(logits, labels).mean()
    own = own_loss(hp, epoch)
    return nn.functional.cross_entropy(logits, labels) if own is None else own.loss(logits, labels, epoch)


@contextlib.contextmanager
def defended_features(model: nn.Module, hp: Hyperparameters, example: Tensor) -> Iterator[None]:
    """Lets the last layer of a training model read the features that the defenses leave, inside the block.

    Random numbers come from PyTorch's default generator.

    Args:
        model: whose last layer is found as `transfer = "head"` finds it.
        hp: its defenses.
        example: two records, by which the last layer of a model of the user's is found.

    Raises:
        TrainingError: there is no last layer.
    """
    hiding = [one for one in hp.defenses if isinstance(one, HidesFeatures)]
    if not hiding:
        yield
        return
    head = model if isinstance(model, nn.Linear) else locate(model, example).head

    def hook(_: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        features = given[0]
        for one in hiding:
            features = one.hide(features, torch.rand_like(features))
        return features, *given[1:]

    handle = head.register_forward_pre_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def train(
    model: nn.Module,
    inputs: Tensor,
    labels: Int[Tensor, " n"] | Int[Tensor, "n l"] | Float[Tensor, "n c"],
    hp: Hyperparameters,
    *,
    seed: int,
    device: torch.device,
    records: Tensor | None = None,
) -> float:
    """Trains one model in place.

    The loss is computed in float32 under autocast too: bfloat16 has too few digits for the logarithm of a softmax.

    Args:
        model: on any device; moved to `device`; parameters that do not require gradients are left alone.
        inputs: the stage's rows of this model, `[n ...]`, uint8 images or floats.
        labels: classes, probabilities of all classes, or tokens of texts, whole numbers.
        hp: the recipe.
        seed: decides the order of the data, augmentation, dropout and the noise of steps.
        device: device to train on.
        records: `[n ...]` as the whole model takes them, where `inputs` are what its frozen part gives; not augmented.

    Returns:
        Mean loss of the last epoch, with what defenses add, nats.

    Raises:
        TrainingError: the loss is not finite, a defense needs layers that are not there, or the model cannot be
            private where a defense makes it so.
    """
    layout = layout_for(model, images=inputs.ndim == 4)
    move(model, device, images=inputs.ndim == 4).train()
    inputs, labels = inputs.to(device), labels.to(device)
    n, batches = len(inputs), -(-len(inputs) // hp.batch_size)
    hp = settle(hp, n)
    optimizer, noise = Optimizer([p for p in model.parameters() if p.requires_grad], hp), StepNoise(hp, [seed])
    order_rng, augment_rng = generator(seed, "order"), torch.Generator().manual_seed(seed_for(seed, "augmentation"))
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=hp.precision == "bfloat16")
    loss_mean = math.nan
    with (
        charges(model, hp, as_float(inputs[:2])) as charge,
        defended_features(model, hp, as_float(inputs[:2])),
        seed_torch(seed_for(seed, "dropout")),
        privately(model, hp.privacy, n, seed) as private,
        fighting(model, hp, inputs, seed) as fight,
    ):
        for epoch in range(hp.epochs):
            total = torch.zeros((), device=device)
            drawn = _order(n, hp, order_rng, device) if private is None else private.batches(batches)
            for step, rows in enumerate(drawn):
                batch = _batch_of(inputs[rows], hp, augment_rng, layout)
                if private is None:
                    with autocast:
                        loss = batch_loss(model(batch).float(), labels[rows], hp, epoch)
                    if charge is not None:
                        whole = batch if records is None else as_float(records[rows.cpu()]).to(device)
                        loss = loss + charge(whole, labels[rows])
                    loss = loss if fight is None else loss + fight(epoch, rows, batch)
                    loss.backward()  # type: ignore[no-untyped-call]
                    total += loss.detach() * len(rows)
                else:
                    total += private.set(batch, labels[rows])
                rate = hp.lr_at(epoch * batches + step, hp.epochs * batches)
                noise.add(gradients_of(optimizer.parameters), rate)
                optimizer.update(rate)
            loss_mean = float(total) / n
            if not math.isfinite(loss_mean):
                raise TrainingError(find_diverged(loss_mean, epoch, seed, hp))
    model.eval()
    return loss_mean


def find_diverged(loss: float, epoch: int, seed: int, hp: Hyperparameters) -> str:
    """The message for a loss that is not finite."""
    return (
        f"training loss must be finite, got {loss} in epoch {epoch + 1} of {hp.epochs} with seed {seed}: lower lr "
        f"({hp.lr}) or check the inputs' scale"
    )
