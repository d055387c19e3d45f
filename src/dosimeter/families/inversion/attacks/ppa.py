"""PPA: begin with the best of many samples, follow the gradient through crops, keep what stays sure in other views."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dosimeter.families.inversion.attacks.copies import Copied, Copies
from dosimeter.families.inversion.attacks.reading import aim_of, each, handed_over
from dosimeter.families.inversion.attacks.views import Views, seen
from dosimeter.families.inversion.game import InversionGame, Needs
from dosimeter.models.access import Access
from dosimeter.statistics.evidence import Reconstructions

FINAL = Views(0.5, 0.9, ratio=1.25, flip=True)
"""Views by which the last selection is made."""


@dataclass(frozen=True)
class PPA:
    """Choose latents among many samples, move them by the gradient in random crops, and choose again among the ends.

    Paper: Struppek, Hintersdorf, De Almeida Correia, Adler, Kersting, "Plug & Play Attacks: Towards Robust and Flexible
    Model Inversion Attacks", ICML 2022, https://arxiv.org/abs/2201.12179, sections 3.1 to 3.4.
    Threat model: the weights, and pictures of other people for the prior.
    Deviations: the prior is the one of the case and not StyleGAN2, so there are no styles for its layers; latents are
    kept within `reach` standard deviations. One crop serves all pictures of a step. With several `copies` each gradient
    is the mean over copies of the picture, as in `gmi`.
    Cost: samples answers; steps x identities x restarts x copies gradients; views x identities x restarts answers.

    Attributes:
        aim: what is made small: the distance "poincare", the cross-entropy "ce", or the "margin".
        samples: random latents from which those of each identity are chosen, by the picture and its mirror image.
        restarts: latents of each identity that are moved.
        steps: of Adam.
        lr: learning rate.
        crop: least share of a picture's area in the crop of a step; 1 crops nothing.
        views: random views over which the confidence of the last selection is averaged.
        reach: largest absolute number of a latent.
        copies: over which each gradient is averaged.
        noise: standard deviation of the noise in copies, as a share of the records' range.
        copied: "noise", or "views" for crops of pictures that are resized, turned and mirrored.
    """

    paper: ClassVar[str] = "Struppek et al., ICML 2022, https://arxiv.org/abs/2201.12179"
    control: ClassVar[bool] = False
    needs: ClassVar[Needs] = Needs(Access.WEIGHTS, pictures=True)
    signals: ClassVar[tuple[str, ...]] = ()

    aim: Literal["poincare", "ce", "margin"] = "poincare"
    samples: int = 1000
    restarts: int = 8
    steps: int = 100
    lr: float = 0.05
    crop: float = 0.9
    views: int = 20
    reach: float = 3.0
    copies: int = 1
    noise: float = 0.05
    copied: Copied = "noise"

    def __post_init__(self) -> None:
        for name in ("samples", "restarts", "steps", "lr", "views", "reach", "copies"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if not 0 < self.crop <= 1:
            raise ValueError(f"crop must be in (0, 1], got {self.crop}")
        if not self.noise >= 0:
            raise ValueError(f"noise must be at least 0, got {self.noise}")
        if self.samples < self.restarts:
            raise ValueError(f"samples must be at least restarts, {self.restarts}, got {self.samples}")

    @property
    def passes(self) -> int:
        """Answers with a gradient for each identity."""
        return self.restarts * (self.steps * self.copies + self.views)

    def run(self, game: InversionGame, rng: np.random.Generator) -> Reconstructions:
        """Attacks one model.

        Args:
            game: the game, which has the samples.
            rng: draws crops, copies and views.
        """
        loss = aim_of(game, self.aim, each(game, self.restarts))
        copies, crops = Copies(self.copies, self.copied, self.noise), Views(self.crop)
        latent = self._chosen(game).requires_grad_(True)
        optimiser = torch.optim.Adam([latent], lr=self.lr, betas=(0.1, 0.1))
        for _ in range(self.steps):
            cropped = seen(game.prior.decode(latent), crops.draw(rng))
            (latent.grad,) = torch.autograd.grad(copies.mean(loss, cropped, game, rng).sum(), latent)
            optimiser.step()
            with torch.no_grad():
                latent.clamp_(-self.reach, self.reach)
        records = game.prior.decode(latent.detach())
        trust = torch.stack([_confidence(game, seen(records, FINAL.draw(rng))) for _ in range(self.views)]).mean(0)
        shape = (len(game.classes), self.restarts)
        own = trust[torch.arange(len(records)), each(game, self.restarts).cpu()].reshape(shape)
        return handed_over(game, records.reshape(*shape, *game.prior.shape), own)

    def _chosen(self, game: InversionGame) -> Float[Tensor, "b k"]:
        """Of each identity the samples that the model is surest about, with their mirror images; one after another."""
        samples = game.starts.samples(self.samples).to(game.device).clamp(-self.reach, self.reach)
        records = game.prior.decode(samples)
        sure = (_confidence(game, records) + _confidence(game, records.flip(-1))) / 2
        best = sure[:, torch.from_numpy(game.classes)].topk(self.restarts, 0).indices.T
        return samples[best.flatten().to(game.device)].clone()


def _confidence(game: InversionGame, pictures: Float[Tensor, "b c h w"]) -> Float[Tensor, "b v"]:
    """Probabilities of all classes."""
    return game.asked.log_probs(pictures).exp()
