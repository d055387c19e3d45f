"""Label smoothing: labels that are less than certain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dosimeter.foundation import checks


@dataclass(frozen=True)
class LabelSmoothing:
    """Train towards 1 − ε on the label and ε/c on every class: loss (1 − ε) H(y, p) + ε/c Σ_j −log p_j.

    Paper: Szegedy, Vanhoucke, Ioffe, Shlens, Wojna, "Rethinking the Inception Architecture for Computer Vision", 2016,
    https://arxiv.org/abs/1512.00567, section 7.

    Stronger: a larger ε. It bounds confidences, which hinders attacks without shadows; attacks that calibrate with
    shadows may gain by it (Hintersdorf et al., 2024, https://arxiv.org/abs/2310.06549).
    Deviations: none.
    Cost: that of one training.

    Attributes:
        epsilon: ε, above 0 and below 1.
    """

    paper: ClassVar[str] = "Szegedy et al., 2016, https://arxiv.org/abs/1512.00567"
    place: ClassVar[str] = "loss"
    ladder: ClassVar[tuple[dict[str, Any], ...]] = ({"epsilon": 0.1}, {"epsilon": 0.4}, {"epsilon": 0.8})

    epsilon: float = 0.1

    def __post_init__(self) -> None:
        checks.in_range("epsilon", self.epsilon, 0, 1, open_low=True, open_high=True)

    def loss(
        self, logits: Float[Tensor, "*m b c"], labels: Int[Tensor, "*m b"], epoch: int
    ) -> Float[Tensor, " *m"] | Float[Tensor, ""]:
        """Cross-entropy with the smoothed labels; `epoch` is not read."""
        log_p = torch.log_softmax(logits, -1)
        own = log_p.gather(-1, labels[..., None])[..., 0]
        return -((1 - self.epsilon) * own + self.epsilon * log_p.mean(-1)).mean(-1)
