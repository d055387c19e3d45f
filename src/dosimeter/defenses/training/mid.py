"""MID: a noisy bottleneck before the last layer, and a price for each nat that passes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from jaxtyping import Float
from torch import Tensor

from dosimeter.foundation import checks
from dosimeter.models.bottleneck import Bottleneck


@dataclass(frozen=True)
class MID:
    """Train with a bottleneck z = μ + σ ε between the features and the last layer; loss H(y, p(z)) + β KL.

    Paper: Wang, Zhang, Jia, "Improving Robustness to Model Inversion Attacks via Mutual Information Regularization",
    2021, https://arxiv.org/abs/2009.05241. It bounds the mutual information of input and answer by a variational
    information bottleneck (Alemi, Fischer, Dillon, Murphy, 2017, https://arxiv.org/abs/1612.00410):

        (μ, r) = linear(features),  σ = softplus(r − 5),  ε from N(0, 1),
        KL = ½ Σ_k (μ_k² + σ_k² − 1 − log σ_k²), nats, mean over the batch,

    with half as many numbers z_k as features. The bottleneck and the last layer are fresh.

    Stronger: a larger β.
    Deviations: the trained model answers with μ in place of z. Its answers are then the same twice, and an adversary
    who asks often enough, or holds the weights, has μ anyway. σ is at least 1e-6.
    Cost: that of one training of a model with one layer more.

    Attributes:
        beta: β, nats per nat, above 0.
    """

    paper: ClassVar[str] = "Wang et al., 2021, https://arxiv.org/abs/2009.05241"
    place: ClassVar[str] = "model"
    ladder: ClassVar[tuple[dict[str, Any], ...]] = ({"beta": 0.003}, {"beta": 0.03}, {"beta": 0.1})

    beta: float = 0.01

    def __post_init__(self) -> None:
        checks.in_range("beta", self.beta, 0, 1e3, open_low=True)

    def bottleneck(self, features: int) -> Bottleneck:
        """A fresh bottleneck with half as many numbers as features, at least one."""
        return Bottleneck(features, max(1, features // 2))

    def charge(self, divergence: Float[Tensor, " b"]) -> Float[Tensor, ""]:
        """β times the mean divergence of a batch."""
        return self.beta * divergence.mean()
