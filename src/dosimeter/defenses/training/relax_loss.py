"""RelaxLoss: the training loss is held at a level instead of driven to zero."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dosimeter.foundation import checks


@dataclass(frozen=True)
class RelaxLoss:
    """Hold each batch's mean loss L near α: descend while it is above, ascend or flatten the posteriors below.

    Paper: Chen, Yu, Fritz, "RelaxLoss: Defending Membership Inference Attacks without Losing Utility", 2022,
    https://arxiv.org/abs/2207.05801, algorithm 1. In even epochs the loss is |L − α|, so that batches below α ascend.
    In odd epochs it is L above α; below α it is the mean over the batch of

        [wrong] H(t, p) − H(y, p),   t_y = p_y,  t_j = (1 − p_y) / (c − 1),

    where only records that are classified wrongly have the first term.

    Stronger: a larger α, nats; log c is the loss of guessing.
    Deviations: t is a constant of the update (no gradient flows through it). A batch, hence L, is that of one model.
    Cost: that of one training; heads lose the written-out gradient.

    Attributes:
        alpha: α, from 0 on; 0 is ordinary training.
    """

    paper: ClassVar[str] = "Chen et al., 2022, https://arxiv.org/abs/2207.05801"
    place: ClassVar[str] = "loss"
    ladder: ClassVar[tuple[dict[str, Any], ...]] = ({"alpha": 0.2}, {"alpha": 0.5}, {"alpha": 1.0})

    alpha: float = 0.5

    def __post_init__(self) -> None:
        checks.in_range("alpha", self.alpha, 0, 100)

    def loss(
        self, logits: Float[Tensor, "*m b c"], labels: Int[Tensor, "*m b"], epoch: int
    ) -> Float[Tensor, " *m"] | Float[Tensor, ""]:
        """The loss of algorithm 1 for a batch; each model is in its own phase."""
        log_p = torch.log_softmax(logits, -1)
        each = -log_p.gather(-1, labels[..., None])[..., 0]
        mean = each.mean(-1)
        if epoch % 2 == 0:
            return (mean - self.alpha).abs()
        with torch.no_grad():
            own = (-each).exp()[..., None]
            flat = ((1 - own) / (logits.shape[-1] - 1)).expand_as(log_p).scatter(-1, labels[..., None], own)
            wrong = (logits.argmax(-1) != labels).to(log_p.dtype)
        flattened = (wrong * -(flat * log_p).sum(-1) - each).mean(-1)
        return torch.where(mean > self.alpha, mean, flattened)
