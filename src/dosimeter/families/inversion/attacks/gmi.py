"""GMI: search the latents of a prior for the record that the model is surest about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from dosimeter.families.inversion.attacks.reading import Aim, aim_of, each, handed_over, own_confidence
from dosimeter.families.inversion.game import InversionGame, Needs
from dosimeter.models.access import Access
from dosimeter.statistics.evidence import Reconstructions


@dataclass(frozen=True)
class GMI:
    """Follow the model's gradient through a prior of records to the latent that it is surest about.

    Paper: Zhang, Jia, Pei, Wang, Li, Song, "The Secret Revealer: Generative Model-Inversion Attacks Against Deep Neural
    Networks", CVPR 2020, https://arxiv.org/abs/1911.07135, equations 2 to 4; mode "logit": the loss of Nguyen,
    Chandrasegaran, Abdollahzadeh, Cheung, CVPR 2023, https://arxiv.org/abs/2304.01669, equation 3.
    Threat model: the weights, and records of other people for the prior.
    Deviations: the prior is the one of the case, principal components, whose density is known and takes the place of
    a discriminator; latents are kept within `reach` standard deviations. The restart that the model itself is surest
    about is handed over first: the judge has no part in the choice.
    Cost: steps x identities x restarts gradients.

    Attributes:
        mode: what is made small: "ce" or "logit".
        restarts: starts of each identity.
        steps: of each start.
        lr: learning rate.
        momentum: of Nesterov's method.
        prior_weight: of half of the squared latent, beside the loss of the identity; the paper's 100 to 1.
        reach: largest absolute number of a latent.
    """

    paper: ClassVar[str] = "Zhang et al., CVPR 2020, https://arxiv.org/abs/1911.07135"
    control: ClassVar[bool] = False

    mode: Aim = "logit"
    restarts: int = 5
    steps: int = 300
    lr: float = 0.02
    momentum: float = 0.9
    prior_weight: float = 0.01
    reach: float = 3.0

    def __post_init__(self) -> None:
        for name in ("restarts", "steps", "lr", "reach"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if not (0 <= self.momentum < 1 and self.prior_weight >= 0):
            raise ValueError(
                f"momentum must be in [0, 1) and prior_weight at least 0, got {self.momentum} and {self.prior_weight}"
            )

    @property
    def needs(self) -> Needs:
        """The weights."""
        return Needs(Access.WEIGHTS)

    @property
    def signals(self) -> tuple[str, ...]:
        """None: it has the model itself."""
        return ()

    @property
    def passes(self) -> int:
        """Answers with a gradient for each identity."""
        return self.restarts * self.steps

    def run(self, game: InversionGame, rng: np.random.Generator) -> Reconstructions:
        """Attacks one model; `rng` is not used, since the game has the starts."""
        loss = aim_of(game, self.mode, each(game, self.restarts))
        start = game.starts.of_classes(self.restarts).flatten(0, 1).to(game.device)
        latent, speed = start.clamp(-self.reach, self.reach), torch.zeros_like(start)
        for _ in range(self.steps):
            latent = latent.detach().requires_grad_(True)
            total = loss(game.prior.decode(latent)).sum() + self.prior_weight * (latent**2).sum() / 2
            (slope,) = torch.autograd.grad(total, latent)
            before, speed = speed, self.momentum * speed - self.lr * slope
            step = (1 + self.momentum) * speed - self.momentum * before
            latent = (latent.detach() + step).clamp(-self.reach, self.reach)
        records = game.prior.decode(latent.detach()).reshape(len(game.classes), self.restarts, *game.prior.shape)
        return handed_over(game, records, own_confidence(game, records))
