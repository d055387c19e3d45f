"""Trains the linear heads of a whole fleet as one batched program."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from dosimeter.foundation.errors import TrainingError
from dosimeter.foundation.seeds import generator, seed_for
from dosimeter.training.loop import Optimizer, StepNoise, find_diverged, own_loss
from dosimeter.training.recipe import HidesFeatures, Hyperparameters

VARIANCE_FLOOR = 0.1
"""Share of the mean feature variance that standardisation adds to every feature's variance."""


@dataclass(frozen=True)
class Heads:
    """Linear heads of several models over the same features.

    Attributes:
        weight: `[m c d]`.
        bias: `[m c]`.
        loss: mean loss of the last epoch `[m]`, nats.
    """

    weight: Float[Tensor, "m c d"]
    bias: Float[Tensor, "m c"]
    loss: Float[Tensor, " m"]


def train_heads(
    features: Float[Tensor, "n d"],
    labels: Int[Tensor, " n"] | Float[Tensor, "m k c"],
    rows: Int[np.ndarray, "m k"],
    hp: Hyperparameters,
    *,
    classes: int,
    seeds: list[int],
    device: torch.device,
) -> Heads:
    """Trains the linear heads of `m` models as one batched program, each with its own rows, initialisation and order.

    The gradient of softmax regression is written out, G = (p − y) / b and dW = Gᵀ X, so a step is two batched products
    and one element-wise update whatever m is. Standardisation is folded into the products: with s = 1/σ the logits are
    X (W∘s)ᵀ + b − W (μ∘s) and dW = s ∘ (Gᵀ X − (Σ G) μᵀ). A defense with a loss of its own gives G by its gradient.

    Args:
        features: features of all records.
        labels: classes of all records, or probabilities of all classes for each model's own rows.
        rows: the training rows of each model.
        hp: the recipe; `augment` and `precision` do not apply to heads.
        classes: number of classes.
        seeds: one per model.
        device: device to train on.

    Returns:
        Heads that take the *raw* features: standardisation is folded into them.

    Raises:
        TrainingError: a loss is not finite.
    """
    assert not hp.bounded, "private heads are trained by train_private_heads"
    features, labels = features.to(device), labels.to(device)
    (m, k), d = rows.shape, features.shape[1]
    weight, bias = initial_heads(seeds, classes, d, device)
    scaling = _moments(features, rows) if hp.standardise else None
    optimizer = Optimizer([weight, bias], hp)
    rngs = [generator(seed, "order") for seed in seeds]
    hider, noise = Hider(hp, seeds, scaling), StepNoise(hp, seeds)
    batches = -(-k // hp.batch_size)
    # One buffer serves all batches, so that an update allocates no memory for its records.
    gathered = features.new_empty(m * min(hp.batch_size, k), d)
    loss = torch.full((m,), math.nan, device=device)
    for epoch in range(hp.epochs):
        order = np.stack([rng.permutation(k) for rng in rngs])
        shuffled = torch.from_numpy(np.take_along_axis(rows, order, 1)).to(device)
        places = torch.split(torch.from_numpy(order).to(device), hp.batch_size, dim=1)
        loss = torch.zeros(m, device=device)
        for step, batch in enumerate(torch.split(shuffled, hp.batch_size, dim=1)):
            flat = batch.reshape(-1)
            x = torch.index_select(features, 0, flat, out=gathered[: len(flat)]).view(*batch.shape, d)
            y = labels[batch] if labels.ndim == 1 else labels[torch.arange(m, device=device)[:, None], places[step]]
            gradient = functools.partial(_gradient, labels=y, hp=hp, epoch=epoch)
            loss += _head_step(hider.hide(x), gradient, weight, bias, None if hider.hiding else scaling)
            rate = hp.lr_at(epoch * batches + step, hp.epochs * batches)
            noise.add([one.grad for one in (weight, bias) if one.grad is not None], rate)
            optimizer.update(rate)
        loss /= k
        if not bool(torch.isfinite(loss).all()):
            worst = int(torch.nonzero(~torch.isfinite(loss))[0])
            raise TrainingError(find_diverged(float(loss[worst]), epoch, seeds[worst], hp))
    if scaling is not None:
        mean, inverse = scaling
        weight = weight * inverse[:, None]
        bias = bias - torch.bmm(weight, mean[:, :, None])[:, :, 0]
    return Heads(weight.cpu(), bias.cpu(), loss.cpu())


def initial_heads(seeds: list[int], classes: int, d: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Weights and biases as `nn.Linear` draws them, uniform within ±1/√d, from each model's own generator."""
    bound = 1 / math.sqrt(d)
    drawn = [
        torch.rand(classes, d + 1, generator=torch.Generator().manual_seed(seed_for(seed, "initialisation")))
        for seed in seeds
    ]
    both = (torch.stack(drawn) * 2 - 1) * bound
    return both[:, :, :d].contiguous().to(device), both[:, :, d].contiguous().to(device)


def moments(features: Float[Tensor, "k d"]) -> tuple[Float[Tensor, " d"], Float[Tensor, " d"]]:
    """Mean and inverse deviation of features over some records, float64.

    A tenth of the mean variance is added to each variance: a feature that is nearly constant in a small training set
    would otherwise explode on new records.
    """
    features = features.double()
    variance = features.var(0, unbiased=False)
    return features.mean(0), torch.rsqrt(variance + VARIANCE_FLOOR * variance.mean() + 1e-12)


def _moments(features: Tensor, rows: Int[np.ndarray, "m k"]) -> tuple[Tensor, Tensor]:
    """`moments` over each model's own rows, both `[m d]`."""
    found = [moments(features[torch.from_numpy(own).to(features.device)]) for own in rows]
    mean, inverse = (torch.stack(part).float() for part in zip(*found, strict=True))
    return mean, inverse


class Hider:
    """Features of a batch after the defenses that hide some of them, with random numbers of each model's own.

    These defenses act on the input of the last layer, so features are standardised first if the recipe asks for it.
    """

    def __init__(self, hp: Hyperparameters, seeds: list[int], moments: tuple[Tensor, Tensor] | None) -> None:
        self.hiding = [one for one in hp.defenses if isinstance(one, HidesFeatures)]
        self.moments = moments
        self.rngs = [torch.Generator().manual_seed(seed_for(seed, "dropout")) for seed in seeds if self.hiding]

    def hide(self, x: Float[Tensor, "m b d"]) -> Float[Tensor, "m b d"]:
        """The features to train on."""
        if self.hiding and self.moments is not None:
            mean, inverse = self.moments
            x = (x - mean[:, None]) * inverse[:, None]
        for one in self.hiding:
            # Drawn on the CPU and model by model, so that a head depends neither on its pack nor on the device.
            uniform = torch.empty(x.shape)
            for part, rng in zip(uniform, self.rngs, strict=True):
                part.uniform_(generator=rng)
            x = one.hide(x, uniform.to(x.device))
        return x


def _gradient(
    logits: Float[Tensor, "m c b"], *, labels: Tensor, hp: Hyperparameters, epoch: int
) -> tuple[Float[Tensor, " m"], Float[Tensor, "m c b"]]:
    """Each model's loss summed over its batch, and the gradient of its mean with respect to the logits.

    It is written by hand for cross-entropy, and comes from automatic differentiation for the loss of a defense.
    """
    if (own := own_loss(hp, epoch)) is not None:
        leaf = logits.transpose(1, 2).contiguous().requires_grad_()
        with torch.enable_grad():
            # Models are independent, so the gradient of the sum of losses holds each model's own gradient.
            mean = own.loss(leaf, labels, epoch)
            (slope,) = torch.autograd.grad(mean.sum(), leaf)
        return mean.detach() * leaf.shape[1], slope.transpose(1, 2).contiguous()
    log_p = torch.log_softmax(logits, 1)
    if labels.ndim == 3:
        wanted = labels.transpose(1, 2)
        loss = -(wanted * log_p).sum((1, 2))
        g = log_p.exp_().sub_(wanted)
    else:
        at_label = labels[:, None]
        loss = -log_p.gather(1, at_label).sum((1, 2))
        g = log_p.exp_()
        g.scatter_add_(1, at_label, g.new_full((), -1.0).expand(at_label.shape))
    g /= logits.shape[2]
    return loss, g


def _head_step(
    x: Tensor, gradient: Callable[[Tensor], tuple[Tensor, Tensor]], weight: Tensor, bias: Tensor,
    moments: tuple[Tensor, Tensor] | None,
) -> Float[Tensor, " m"]:  # fmt: skip
    """Sets the gradients of one update and returns each model's summed loss over its batch.

    Logits are laid out `[m c b]`: the products then run along the rows of `x` `[m b d]`, and the softmax along its
    outer axis, an order of magnitude faster for few classes.
    """
    scaled, offset = weight, bias
    if moments is not None:
        mean, inverse = moments
        scaled = weight * inverse[:, None]
        offset = torch.baddbmm(bias[:, :, None], scaled, mean[:, :, None], alpha=-1)[:, :, 0]
    loss, g = gradient(torch.baddbmm(offset[:, :, None], scaled, x.transpose(1, 2)))
    total = g.sum(2)
    slope = torch.bmm(g, x)
    if moments is not None:
        slope.baddbmm_(total[:, :, None], mean[:, None], alpha=-1).mul_(inverse[:, None])
    weight.grad, bias.grad = slope, total
    return loss
