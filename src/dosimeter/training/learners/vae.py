"""A variational autoencoder of pictures, for an adversary's prior."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dosimeter.foundation.seeds import generator, seed_for
from dosimeter.models.learners import decoder, encoder
from dosimeter.training.learners.drawing import Drawing, settled
from dosimeter.training.loop import seed_torch

BATCH = 64
"""Records of a step; of fewer records some are drawn more than once."""
TINY = 1e-8
"""Least mean squared error, so that its logarithm stays finite."""


def fit_vae(records: Float[Tensor, "p c h w"], latent: int, steps: int, seed: int) -> nn.Module:
    """Trains an autoencoder whose latents are standard normal, and gives its decoder.

    Kingma and Welling, "Auto-Encoding Variational Bayes", ICLR 2014, https://arxiv.org/abs/1312.6114, equation 10. The
    spread of the decoder is the one that fits best (Rybkin, Daniilidis, Levine, "Simple and Effective VAE Training with
    Calibrated Decoders", ICML 2021, https://arxiv.org/abs/2006.13202, section 3.2), so nothing weighs its two terms.

    Args:
        records: pictures of other subjects than those that are attacked, on the device of the training.
        latent: numbers of a latent.
        steps: of Adam, each on 64 records.
        seed: of all randomness, which is drawn on the CPU.

    Returns:
        From latents to pictures in the range of the records, in evaluation mode.
    """
    shape, value_range = tuple(records.shape[1:]), (float(records.min()), float(records.max()))
    with seed_torch(seed_for(seed, "vae weights")):
        coder, maker = encoder(shape, 2 * latent, value_range), decoder(shape, latent, value_range)
    coder, maker = coder.to(records.device).train(), maker.to(records.device).train()
    optimiser = torch.optim.Adam([*coder.parameters(), *maker.parameters()], lr=1e-3)
    draw = Drawing(generator(seed, "vae draws"), records.device)
    for _ in range(steps):
        batch = records[draw.rows(len(records), BATCH)]
        loss = vae_loss(coder, maker, batch, draw.normal(len(batch), latent))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return settled(maker, draw, latent)


def vae_loss(
    coder: nn.Module, maker: nn.Module, batch: Float[Tensor, "b c h w"], noise: Float[Tensor, "b k"]
) -> Float[Tensor, ""]:
    """Minus the evidence bound for one record, up to a constant: a reconstruction term and the KL divergence.

    Args:
        coder: from records to means and log-variances of latents.
        maker: from latents to records.
        batch: the records.
        noise: standard normal.
    """
    mean, log_variance = coder(batch).chunk(2, 1)
    log_variance = log_variance.clamp(-12, 12)
    made = maker(mean + (log_variance / 2).exp() * noise)
    error = ((made - batch) ** 2).mean().clamp_min(TINY)
    apart = (mean**2 + log_variance.exp() - 1 - log_variance).sum(1).mean() / 2
    loss: Tensor = batch[0].numel() / 2 * error.log() + apart
    return loss
