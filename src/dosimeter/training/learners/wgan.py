"""A generator of pictures that was trained against a critic, for an adversary's prior."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dosimeter.foundation.seeds import generator, seed_for
from dosimeter.models.learners import critic, decoder
from dosimeter.training.learners.drawing import Drawing, settled
from dosimeter.training.loop import seed_torch

BATCH = 32
"""Records of a step; of fewer records some are drawn more than once."""
CRITIC_STEPS = 5
"""Steps of the critic for one of the generator."""
PENALTY = 10.0
"""Weight of the gradient penalty."""
TINY = 1e-12
"""Added to a squared gradient, whose root has no slope at zero."""


def fit_wgan(records: Float[Tensor, "p c h w"], latent: int, steps: int, seed: int) -> tuple[nn.Module, nn.Module]:
    """Trains a Wasserstein generative adversarial network with gradient penalty.

    Gulrajani, Ahmed, Arjovsky, Dumoulin, Courville, "Improved Training of Wasserstein GANs", NeurIPS 2017,
    https://arxiv.org/abs/1704.00028, algorithm 1, with the optimiser of Zhang et al. (CVPR 2020).

    Args:
        records: pictures of other subjects than those that are attacked, on the device of the training.
        latent: numbers of a latent.
        steps: of the generator; its critic takes five times as many.
        seed: of all randomness, which is drawn on the CPU.

    Returns:
        The generator, from latents to pictures in the range of the records, and the critic; in evaluation mode.
    """
    shape, value_range = tuple(records.shape[1:]), (float(records.min()), float(records.max()))
    with seed_torch(seed_for(seed, "wgan weights")):
        maker, judge = decoder(shape, latent, value_range), critic(shape, value_range)
    maker, judge = maker.to(records.device).train(), judge.to(records.device).train()
    makers, judges = (torch.optim.Adam(one.parameters(), lr=2e-4, betas=(0.5, 0.999)) for one in (maker, judge))
    draw = Drawing(generator(seed, "wgan draws"), records.device)
    for _ in range(steps):
        for _ in range(CRITIC_STEPS):
            real = records[draw.rows(len(records), BATCH)]
            with torch.no_grad():
                made = maker(draw.normal(BATCH, latent))
            loss = critic_loss(judge, real, made, draw.uniform(BATCH))
            judges.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            judges.step()
        cost = -judge(maker(draw.normal(BATCH, latent))).mean()
        makers.zero_grad()
        cost.backward()
        makers.step()
    return settled(maker, draw, latent), judge.eval()


def critic_loss(
    judge: nn.Module, real: Float[Tensor, "b c h w"], made: Float[Tensor, "b c h w"], share: Float[Tensor, " b"]
) -> Float[Tensor, ""]:
    """What a critic makes small: its numbers of made records against those of real ones, and the gradient penalty.

    Args:
        judge: the critic.
        real: real records.
        made: made records.
        share: of the real record in each mixture at which the gradient is taken.
    """
    part = share.reshape(-1, 1, 1, 1)
    mixed = (part * real + (1 - part) * made).requires_grad_(True)
    (slope,) = torch.autograd.grad(judge(mixed).sum(), mixed, create_graph=True)
    size = ((slope**2).flatten(1).sum(1) + TINY).sqrt()
    loss: Tensor = judge(made).mean() - judge(real).mean() + PENALTY * ((size - 1) ** 2).mean()
    return loss
