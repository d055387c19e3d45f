"""MIFace: change the numbers of a record itself until the model is sure of the class."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from dosimeter.families.inversion.attacks.reading import aim_of, each, handed_over
from dosimeter.families.inversion.game import InversionGame, Needs
from dosimeter.models.access import Access
from dosimeter.statistics.evidence import Reconstructions

TINY = 1e-12
"""Least length of a gradient, so that none is divided by zero."""


@dataclass(frozen=True)
class MIFace:
    """Descend from a plain record along the gradient in its own numbers, such as pixels.

    Paper: Fredrikson, Jha, Ristenpart, "Model Inversion Attacks that Exploit Confidence Information and Basic
    Countermeasures", CCS 2015, https://doi.org/10.1145/2810103.2813677, algorithm 1.
    Threat model: the weights; with start "mean" also records of other people.
    Deviations: the cost is -log p in place of 1 - p, and each step has the same length, since the slope of 1 - p
    vanishes far from the class; no denoising. The best record on the way is kept, as in the paper.
    Cost: steps x identities gradients.

    Attributes:
        start: the mean of the public records, or zeros as in the paper.
        steps: number of steps.
        step: root mean square by which the numbers of a record change in one step, in units of the records' range.
    """

    paper: ClassVar[str] = "Fredrikson et al., CCS 2015, https://doi.org/10.1145/2810103.2813677"
    control: ClassVar[bool] = False
    needs: ClassVar[Needs] = Needs(Access.WEIGHTS)
    signals: ClassVar[tuple[str, ...]] = ()

    start: Literal["mean", "zero"] = "mean"
    steps: int = 200
    step: float = 0.01

    def __post_init__(self) -> None:
        if not (self.steps > 0 and self.step > 0):
            raise ValueError(f"steps and step must be positive, got {self.steps} and {self.step}")

    @property
    def passes(self) -> int:
        """Answers with a gradient for each identity."""
        return self.steps

    def run(self, game: InversionGame, rng: np.random.Generator) -> Reconstructions:
        """Attacks one model; `rng` is not used, since nothing is drawn."""
        prior, loss = game.prior, aim_of(game, "ce", each(game, 1))
        plain = prior.mean if self.start == "mean" else torch.zeros_like(prior.mean)
        records = (
            plain.clamp(prior.low, prior.high)
            .reshape(1, *prior.shape)
            .repeat(len(game.classes), *[1] * len(prior.shape))
        )
        length = self.step * (prior.high - prior.low) * sqrt(plain.numel())
        best, least = records, torch.full((len(records),), torch.inf, device=records.device)
        for number in range(self.steps + 1):
            records = records.detach().requires_grad_(True)
            cost = loss(records)
            better = cost.detach() < least
            best, least = (
                torch.where(_as(better, best), records.detach(), best),
                torch.where(better, cost.detach(), least),
            )
            if number == self.steps:
                break
            (slope,) = torch.autograd.grad(cost.sum(), records)
            size = slope.flatten(1).norm(dim=1).clamp_min(TINY)
            records = (records.detach() - length * slope / _as(size, slope)).clamp(prior.low, prior.high)
        return handed_over(game, best[:, None], -least[:, None].cpu())


def _as(values: Tensor, like: Tensor) -> Tensor:
    """One number for each record, shaped so that it applies to all of the record."""
    return values.reshape(-1, *[1] * (like.ndim - 1))
