"""DP-SGD for the linear heads of a whole fleet as one batched program, without a gradient per record in memory."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dosimeter.foundation.errors import TrainingError
from dosimeter.foundation.seeds import generator, seed_for
from dosimeter.training.heads import Heads, Hider, initial_heads
from dosimeter.training.loop import Optimizer, find_diverged
from dosimeter.training.private.accounting import Privacy, check_sampling, poisson
from dosimeter.training.recipe import Hyperparameters, settle


def train_private_heads(
    features: Float[Tensor, "n d"],
    labels: Int[Tensor, " n"],
    rows: Int[np.ndarray, "m k"],
    hp: Hyperparameters,
    *,
    classes: int,
    seeds: list[int],
    device: torch.device,
) -> Heads:
    """Trains the linear heads of `m` models with DP-SGD; arguments as of `train_heads`.

    Every head draws its own Poisson batches, padded to the largest of an update, and its own noise; a head does not
    depend on its pack. `loss` is the sum over the last epoch's batches, divided by the records they have on average.

    Raises:
        TrainingError: a loss is not finite.
    """
    assert not hp.standardise, "features are not scaled by statistics of private records"
    hp = settle(hp, rows.shape[1])
    privacy = hp.privacy
    assert privacy is not None
    features, labels = features.to(device), labels.to(device)
    (m, k), d = rows.shape, features.shape[1]
    weight, bias = initial_heads(seeds, classes, d, device)
    optimizer, hider = Optimizer([weight, bias], hp), Hider(hp, seeds, None)
    draws = [generator(seed, "Poisson batches") for seed in seeds]
    noises = [torch.Generator().manual_seed(seed_for(seed, "privacy noise")) for seed in seeds]
    batches, expected = -(-k // hp.batch_size), privacy.rate * k
    assert hp.epochs * batches <= privacy.steps, "epsilon was counted for fewer updates"
    sizes: list[list[int]] = [[] for _ in seeds]
    loss = torch.zeros(m, device=device)
    for epoch in range(hp.epochs):
        loss = torch.zeros(m, device=device)
        for step in range(batches):
            chosen = [poisson(draw, k, privacy.rate) for draw in draws]
            for own, one in zip(sizes, chosen, strict=True):
                own.append(len(one))
            batch, inside = (part.to(device) for part in _pad(chosen, rows))
            total, weight.grad, bias.grad = clipped_sums(
                hider.hide(features[batch]), labels[batch], inside, weight, bias, clip=privacy.clip
            )
            _add_noise(weight.grad, bias.grad, noises, privacy, expected)
            loss += total
            optimizer.update(hp.lr_at(epoch * batches + step, hp.epochs * batches))
        loss /= batches * expected
        if not bool(torch.isfinite(loss).all()):
            worst = int(torch.nonzero(~torch.isfinite(loss))[0])
            raise TrainingError(find_diverged(float(loss[worst]), epoch, seeds[worst], hp))
    for own in sizes:
        # Epsilon holds for Poisson batches only.
        check_sampling(own, k, privacy.rate)
    return Heads(weight.cpu(), bias.cpu(), loss.cpu())


def _pad(
    chosen: list[Int[np.ndarray, " _"]], rows: Int[np.ndarray, "m k"]
) -> tuple[Int[Tensor, "m b"], Bool[Tensor, "m b"]]:
    """Records of each model's batch, padded with arbitrary records, and which of them belong to the batch."""
    longest = max(1, *map(len, chosen))
    batch, inside = np.repeat(rows[:, :1], longest, 1), np.zeros((len(rows), longest), dtype=bool)
    for i, own in enumerate(chosen):
        batch[i, : len(own)], inside[i, : len(own)] = rows[i, own], True
    return torch.from_numpy(batch), torch.from_numpy(inside)


def clipped_sums(
    x: Float[Tensor, "m b d"], y: Int[Tensor, "m b"], inside: Bool[Tensor, "m b"], weight: Float[Tensor, "m c d"],
    bias: Float[Tensor, "m c"], *, clip: float,
) -> tuple[Float[Tensor, " m"], Float[Tensor, "m c d"], Float[Tensor, "m c"]]:  # fmt: skip
    """Each model's loss and gradient, with records clipped, both summed over its batch.

    A record's gradient of the weights is the outer product of p − y and x, that of the biases p − y; its norm is
    therefore |p − y| √(|x|² + 1), and clipping scales the column of p − y.

    Args:
        x: features of the batch, padded.
        y: their classes.
        inside: which of them are in the batch.
        weight: weights of each model `[m c d]`.
        bias: biases of each model `[m c]`.
        clip: largest norm of a record's gradient.
    """
    log_p = torch.log_softmax(torch.baddbmm(bias[:, :, None], weight, x.transpose(1, 2)), 1)
    at_label = y[:, None]
    loss = -(log_p.gather(1, at_label)[:, 0] * inside).sum(1)
    g = log_p.exp_()
    g.scatter_add_(1, at_label, g.new_full((), -1.0).expand(at_label.shape))
    # The norm of an outer product is the product of the norms, so no gradient per record is formed.
    norm = torch.linalg.vector_norm(g, dim=1) * (x.square().sum(2) + 1).sqrt()
    g *= (inside * (clip / norm.clamp(min=clip)))[:, None]
    return loss, torch.bmm(g, x), g.sum(2)


def _add_noise(
    slope: Float[Tensor, "m c d"], total: Float[Tensor, "m c"], noises: list[torch.Generator], privacy: Privacy,
    expected: float,
) -> None:  # fmt: skip
    """Adds noise to the sums, in place, and divides them by the expected number of records in a batch."""
    c, d = slope.shape[1:]
    noise = torch.stack([torch.randn(c, d + 1, generator=rng) for rng in noises]).to(slope.device)
    deviation = privacy.noise_multiplier * privacy.clip
    # The expected size divides, not the drawn one, which depends on the records and would need noise of its own.
    slope.add_(noise[:, :, :d], alpha=deviation).div_(expected)
    total.add_(noise[:, :, d], alpha=deviation).div_(expected)
