"""Negative label smoothing: labels that are more than certain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dosimeter.foundation import checks


@dataclass(frozen=True)
class Smoothed:
    """The loss (1 − α) H(y, p) + α/c Σ_j −log p_j with a factor of any sign."""

    alpha: float

    def loss(
        self, logits: Float[Tensor, "*m b c"], labels: Int[Tensor, "*m b"], epoch: int
    ) -> Float[Tensor, " *m"] | Float[Tensor, ""]:
        """Mean over the batch; `epoch` is not read."""
        log_p = torch.log_softmax(logits, -1)
        own = log_p.gather(-1, labels[..., None])[..., 0]
        return -((1 - self.alpha) * own + self.alpha * log_p.mean(-1)).mean(-1)


@dataclass(frozen=True)
class NegativeLabelSmoothing:
    """Train towards 1 − α + α/c on the label and α/c on the other classes, with α below 0.

    Paper: Struppek, Hintersdorf, Kersting, "Be Careful What You Smooth For: Label Smoothing Can Be a Privacy Shield but
    Also a Catalyst for Model Inversion Attacks", 2024, https://arxiv.org/abs/2310.06549. The loss is
    (1 − α) H(y, p) + α/c Σ_j −log p_j. It has no lower bound: other classes' logits are pushed down for ever.

    Training is plain until a share `start` of its epochs is over; then α grows in proportion to the epochs, reaches its
    full size at the share `full`, and stays there.

    Stronger: an α further below 0. It is meant against reconstruction of classes.
    Deviations: the schedule is given in shares of the epochs; the paper's code counts 50 and 75 of 100 epochs.
    Cost: that of one training; heads lose the written-out gradient.

    Attributes:
        alpha: α, from -1 on and below 0.
        start: share of the planned epochs that are plain, from 0 on and below 1.
        full: share of the planned epochs after which α has its full size, from `start` to 1.
    """

    paper: ClassVar[str] = "Struppek et al., 2024, https://arxiv.org/abs/2310.06549"
    place: ClassVar[str] = "loss"
    ladder: ClassVar[tuple[dict[str, Any], ...]] = ({"alpha": -0.02}, {"alpha": -0.05}, {"alpha": -0.1})

    alpha: float = -0.05
    start: float = 0.5
    full: float = 0.75

    def __post_init__(self) -> None:
        checks.in_range("alpha", self.alpha, -1, 0, open_high=True)
        checks.in_range("start", self.start, 0, 1, open_high=True)
        checks.in_range("full", self.full, self.start, 1)

    def factor(self, done: float) -> float:
        """The α of an epoch after which a share `done` of the planned epochs is over.

        >>> [round(NegativeLabelSmoothing(-0.1).factor(done), 3) for done in (0.25, 0.5, 0.625, 0.75, 1.0)]
        [0.0, 0.0, -0.05, -0.1, -0.1]
        """
        if done <= self.start:
            return 0.0
        return self.alpha if done >= self.full else self.alpha * (done - self.start) / (self.full - self.start)

    def paced(self, done: float) -> Smoothed:
        """The loss of an epoch after which a share `done` of the planned epochs is over."""
        return Smoothed(self.factor(done))

    def loss(
        self, logits: Float[Tensor, "*m b c"], labels: Int[Tensor, "*m b"], epoch: int
    ) -> Float[Tensor, " *m"] | Float[Tensor, ""]:
        """The loss with the full α; training asks `paced` instead, which knows how many epochs there are."""
        return Smoothed(self.alpha).loss(logits, labels, epoch)
