"""PLG-MI: a generator that is trained for the model on records that it sorts itself, then a search of its latents."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from dosimeter.families.inversion.attacks.reading import Aim, aim_of, each, handed_over, own_confidence
from dosimeter.families.inversion.attacks.views import AROUND, seen
from dosimeter.families.inversion.game import InversionGame, Needs
from dosimeter.foundation.errors import AccessError
from dosimeter.models.access import Access
from dosimeter.statistics.evidence import Reconstructions
from dosimeter.training.learners.guided import Guidance, Guided


@dataclass(frozen=True)
class PLGMI:
    """Let the model sort public records into its classes, train a generator by class on them, and search its latents.

    Paper: Yuan, Chen, Zhang, Zhang, Yu, Zhang, "Pseudo Label-Guided Model Inversion Attack via Conditional Generative
    Adversarial Network", AAAI 2023, https://arxiv.org/abs/2302.09814, sections 3.2 to 3.4.
    Threat model: the weights, and pictures of other people; the prior of the case is not used.
    Deviations: small networks without residual blocks, trained at a rate of 0.001 for few steps; the critic has a
    linear layer where the paper's sums over places. Views have no change of colours, and one view serves all pictures
    of a step. Latents are kept within `reach` standard deviations. The generator makes pictures in the range of the
    public ones, so none is cut or rescaled. The restart that the model itself is surest about is handed over first.
    Cost: generator_steps x (critic_steps + 1) x 32 records for each model; steps x views x identities x restarts
    gradients.

    Attributes:
        top: public records of each class, those that the model is surest about.
        latent: numbers of a latent of the generator.
        generator_steps: of the generator's training.
        critic_steps: of its critic for one of the generator.
        guidance: weight of the model's margin in the generator's loss.
        restarts: starts of each identity.
        steps: of Adam, in the latents.
        lr: learning rate of the latents.
        views: over which the margin is averaged in each step.
        reach: largest absolute number of a latent.
    """

    paper: ClassVar[str] = "Yuan et al., AAAI 2023, https://arxiv.org/abs/2302.09814"
    control: ClassVar[bool] = False
    signals: ClassVar[tuple[str, ...]] = ()
    aim: ClassVar[Aim] = "margin"

    top: int = 30
    latent: int = 64
    generator_steps: int = 600
    critic_steps: int = 2
    guidance: float = 0.2
    restarts: int = 5
    steps: int = 200
    lr: float = 0.1
    views: int = 2
    reach: float = 3.0

    def __post_init__(self) -> None:
        for name in ("top", "latent", "generator_steps", "critic_steps", "restarts", "steps", "lr", "views", "reach"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if not self.guidance >= 0:
            raise ValueError(f"guidance must be at least 0, got {self.guidance}")

    @property
    def needs(self) -> Needs:
        """The weights, pictures, and a generator for the model."""
        guidance = Guidance(self.top, self.latent, self.generator_steps, self.critic_steps, self.guidance)
        return Needs(Access.WEIGHTS, pictures=True, guided=guidance)

    @property
    def passes(self) -> int:
        """Answers with a gradient for each identity."""
        return self.restarts * self.steps * self.views

    def run(self, game: InversionGame, rng: np.random.Generator) -> Reconstructions:
        """Attacks one model.

        Args:
            game: the game, which has the generator.
            rng: draws the views.
        """
        wanted, maker = each(game, self.restarts), _guided(game)
        loss = aim_of(game, self.aim, wanted)
        starts = replace(game.starts, latent=maker.latent).of_classes(self.restarts)
        latent = starts.flatten(0, 1).to(game.device).clamp(-self.reach, self.reach).requires_grad_(True)
        optimiser = torch.optim.Adam([latent], lr=self.lr)
        for _ in range(self.steps):
            records = maker.decode(latent, wanted)
            total: Tensor = torch.stack([loss(seen(records, AROUND.draw(rng))) for _ in range(self.views)]).mean(0)
            (latent.grad,) = torch.autograd.grad(total.sum(), latent)
            optimiser.step()
            with torch.no_grad():
                latent.clamp_(-self.reach, self.reach)
        records = maker.decode(latent.detach(), wanted).reshape(len(game.classes), self.restarts, *maker.shape)
        return handed_over(game, records, own_confidence(game, records))


def _guided(game: InversionGame) -> Guided:
    """The generator of a game.

    Raises:
        AccessError: the game has none.
    """
    if game.guided is None:
        raise AccessError("needs a generator that was trained with the model's weights, and the game has none")
    return game.guided
