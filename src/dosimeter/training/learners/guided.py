"""A generator of pictures by class, trained for one model on records that this model sorts into its classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dosimeter.foundation.seeds import generator, seed_for
from dosimeter.models.learners import ClassCritic, ClassDecoder
from dosimeter.training.learners.drawing import Drawing, settled
from dosimeter.training.loop import seed_torch

BATCH = 32
"""Records of a step."""
RATE = 1e-3
"""Learning rate of generator and critic; the paper's 2e-4 is for thirty thousand steps."""


@dataclass(frozen=True)
class Guidance:
    """How a generator is guided by a model.

    Attributes:
        top: records of each class: those that the model is surest about.
        latent: numbers of a latent.
        steps: of the generator.
        critic_steps: of the critic for one of the generator.
        weight: of the model's loss in that of the generator.
    """

    top: int
    latent: int
    steps: int
    critic_steps: int
    weight: float


@dataclass(frozen=True, eq=False)
class Guided:
    """Records as a conditional network makes them of latents and classes, cut to a range.

    Attributes:
        network: in evaluation mode; no parameter asks for a gradient.
        latent: numbers of a latent.
        shape: of one record.
        low: least value of a record.
        high: largest value.
    """

    network: nn.Module
    latent: int
    shape: tuple[int, ...]
    low: float
    high: float

    def decode(self, latent: Float[Tensor, "b k"], labels: Int[Tensor, " b"]) -> Float[Tensor, "b ..."]:
        """Records of some latents for some classes; gradients flow.

        Args:
            latent: on the device of the network.
            labels: class of each.
        """
        made: Tensor = self.network(latent, labels).float()
        return made.clamp(self.low, self.high).reshape(len(latent), *self.shape)


def pseudo_labelled(log_probs: Float[Tensor, "p v"], top: int) -> Int[Tensor, "v t"]:
    """Rows of the records that a model is surest about, by class, the surest first; a record may serve many classes.

    Yuan et al., "Pseudo Label-Guided Model Inversion Attack via Conditional Generative Adversarial Network", AAAI 2023,
    https://arxiv.org/abs/2302.09814, section 3.2.

    Args:
        log_probs: of the records; the same order as probabilities, but without ties where those round to 0 or 1.
        top: records of each class.
    """
    found: Tensor = log_probs.argsort(stable=True, dim=0, descending=True)[:top].T
    return found


def fit_guided(
    records: Float[Tensor, "p c h w"],
    chosen: Int[Tensor, "v t"],
    steer: Callable[[Tensor, Tensor], Float[Tensor, " b"]],
    guidance: Guidance,
    seed: int,
) -> ClassDecoder:
    """Trains a conditional generative adversarial network, whose generator a model steers towards its classes.

    Yuan et al., AAAI 2023, https://arxiv.org/abs/2302.09814, equations 1 to 3: hinge losses, a projection
    discriminator, and `weight` times the model's loss of what the generator makes.

    Args:
        records: pictures of other subjects than those that are attacked, on the device of the training.
        chosen: rows of the records that serve each class.
        steer: from made records and their classes to the model's loss of each; gradients flow.
        guidance: sizes of the training.
        seed: of all randomness that is drawn here, on the CPU.

    Returns:
        From latents and classes to pictures in the range of the records, in evaluation mode.
    """
    shape, value_range = tuple(records.shape[1:]), (float(records.min()), float(records.max()))
    classes, latent, device = len(chosen), guidance.latent, records.device
    with seed_torch(seed_for(seed, "guided weights")):
        maker, judge = ClassDecoder(shape, latent, classes, value_range), ClassCritic(shape, classes, value_range)
    maker, judge = maker.to(device).train(), judge.to(device).train()
    makers, judges = (torch.optim.Adam(one.parameters(), lr=RATE, betas=(0.0, 0.9)) for one in (maker, judge))
    draw, rows = Drawing(generator(seed, "guided draws"), device), chosen.to(device)
    for _ in range(guidance.steps):
        for _ in range(guidance.critic_steps):
            labels = draw.rows(classes, BATCH)
            real = records[rows[labels, draw.rows(rows.shape[1], BATCH)]]
            with torch.no_grad():
                made = maker(draw.normal(BATCH, latent), labels)
            loss = hinge(judge(real, labels), judge(made, labels))
            judges.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            judges.step()
        labels = draw.rows(classes, BATCH)
        made = maker(draw.normal(BATCH, latent), labels)
        cost = -judge(made, labels).mean() + guidance.weight * steer(made, labels).mean()
        makers.zero_grad()
        cost.backward()
        makers.step()
    settled(_OfRandomClasses(maker, draw, classes), draw, latent)
    return maker.eval()


def hinge(real: Float[Tensor, " b"], made: Float[Tensor, " b"]) -> Float[Tensor, ""]:
    """What a critic makes small: by how much real records are below 1, and made ones above -1.

    Args:
        real: the critic's numbers of real records.
        made: those of made ones.
    """
    return (1 - real).relu().mean() + (1 + made).relu().mean()


class _OfRandomClasses(nn.Module):
    """A conditional generator that takes latents alone, for the settling of its normalisation over all classes."""

    def __init__(self, maker: ClassDecoder, draw: Drawing, classes: int) -> None:
        super().__init__()
        self.maker, self.draw, self.classes = maker, draw, classes

    def forward(self, latent: Float[Tensor, "b k"]) -> Float[Tensor, "b c h w"]:
        """Pictures of classes that are drawn at random."""
        made: Tensor = self.maker(latent, self.draw.rows(self.classes, len(latent)))
        return made
