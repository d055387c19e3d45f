"""GMI: search the latents of a prior for the record that the model is surest about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch

from dosimeter.families.inversion.attacks.copies import Copied, Copies
from dosimeter.families.inversion.attacks.helped import helped_aim
from dosimeter.families.inversion.attacks.reading import each, handed_over, own_confidence
from dosimeter.families.inversion.game import Checkpoint, InversionGame, Needs
from dosimeter.models.access import Access
from dosimeter.statistics.evidence import Reconstructions
from dosimeter.training.learners.students import Lessons


@dataclass(frozen=True)
class GMI:
    """Follow the model's gradient through a prior of records to the latent that it is surest about.

    Paper: Zhang, Jia, Pei, Wang, Li, Song, "The Secret Revealer: Generative Model-Inversion Attacks Against Deep Neural
    Networks", CVPR 2020, https://arxiv.org/abs/1911.07135, equations 2 to 4; mode "logit" and `students`: the loss and
    the model augmentation of Nguyen, Chandrasegaran, Abdollahzadeh, Cheung (LOMMA), CVPR 2023,
    https://arxiv.org/abs/2304.01669, equation 3 and section 4.2.
    Threat model: the weights, and records of other people for the prior; with `checkpoint` also the weights that the
    model was finetuned from.
    Deviations: the prior is the one of the case; the critic of "wgan" serves as in the paper, and with another prior
    half of the squared latent takes its place, minus the logarithm of its density. Latents are kept within `reach`
    standard deviations. The restart that the model itself is surest about is handed over first: the judge has no part
    in the choice. With several `copies` each gradient is the mean over copies of the record, with noise in its numbers
    (PAA) or as other views of a picture (TAA), which undoes defenses that merely roughen gradients ("Generative Model
    Inversion Through the Lens of the Manifold Hypothesis", NeurIPS 2025). Students are small networks that learn the
    model's answers about the public records; the mean of its loss and theirs is made small. What `checkpoint` does is
    of this project, see `helped_aim`.
    Cost: steps x identities x restarts x copies gradients; of each student student_steps x 64 records.

    Attributes:
        mode: what is made small: "ce" or "logit".
        restarts: starts of each identity.
        steps: of each start.
        lr: learning rate.
        momentum: of Nesterov's method.
        prior_weight: of what the prior finds unusual, beside the loss of the identity; the paper's 100 to 1.
        reach: largest absolute number of a latent.
        copies: over which each gradient is averaged; 1 has no noise.
        noise: standard deviation of the noise, as a share of the records' range.
        copied: "noise", or "views" for crops of pictures that are resized, turned and mirrored.
        students: networks that learn the model's answers on the public records and are attacked with it.
        student_steps: of the training of each.
        checkpoint: what is made of the public weights that the model was finetuned from: "none"; "usual", records must
            look usual to that network; "change", the last layer reads what finetuning changed in the features.
        checkpoint_weight: of how odd a record looks to that network, with "usual".
    """

    paper: ClassVar[str] = "Zhang et al., CVPR 2020, https://arxiv.org/abs/1911.07135"
    control: ClassVar[bool] = False
    signals: ClassVar[tuple[str, ...]] = ()

    mode: Literal["ce", "logit"] = "logit"
    restarts: int = 5
    steps: int = 300
    lr: float = 0.02
    momentum: float = 0.9
    prior_weight: float = 0.01
    reach: float = 3.0
    copies: int = 1
    noise: float = 0.05
    copied: Copied = "noise"
    students: int = 0
    student_steps: int = 300
    checkpoint: Checkpoint = "none"
    checkpoint_weight: float = 0.1

    def __post_init__(self) -> None:
        for name in ("restarts", "steps", "lr", "reach", "copies", "student_steps"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum must be in [0, 1), got {self.momentum}")
        for name in ("prior_weight", "noise", "students", "checkpoint_weight"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")

    @property
    def needs(self) -> Needs:
        """The weights, pictures if views are made of them, and what is trained or known beside the model."""
        return Needs(
            Access.WEIGHTS,
            pictures=self.copies > 1 and self.copied == "views",
            students=Lessons(self.students, self.student_steps) if self.students else None,
            checkpoint=self.checkpoint,
        )

    @property
    def passes(self) -> int:
        """Answers with a gradient for each identity."""
        networks = 1 + self.students + (self.checkpoint != "none")
        return self.restarts * self.steps * self.copies * networks

    def run(self, game: InversionGame, rng: np.random.Generator) -> Reconstructions:
        """Attacks one model.

        Args:
            game: the game, which has the starts.
            rng: draws what differs between copies.
        """
        wanted = each(game, self.restarts)
        loss = helped_aim(game, self.mode, wanted, self.checkpoint, self.checkpoint_weight)
        copies = Copies(self.copies, self.copied, self.noise)
        start = game.starts.of_classes(self.restarts).flatten(0, 1).to(game.device)
        latent, speed = start.clamp(-self.reach, self.reach), torch.zeros_like(start)
        for _ in range(self.steps):
            latent = latent.detach().requires_grad_(True)
            records = game.prior.decode(latent)
            total = copies.mean(loss, records, game, rng) + self.prior_weight * game.prior.unlikely(latent, records)
            (slope,) = torch.autograd.grad(total.sum(), latent)
            before, speed = speed, self.momentum * speed - self.lr * slope
            step = (1 + self.momentum) * speed - self.momentum * before
            latent = (latent.detach() + step).clamp(-self.reach, self.reach)
        records = game.prior.decode(latent.detach()).reshape(len(game.classes), self.restarts, *game.prior.shape)
        return handed_over(game, records, own_confidence(game, records))
