"""SGLD: every step of a training has noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from dosimeter.foundation import checks
from dosimeter.training.recipe import Hyperparameters


@dataclass(frozen=True)
class SGLD:
    """Train by θ ← θ − η ∇L + s √η N(0, I): stochastic gradient Langevin dynamics.

    Paper: Wu, Chen, Zhao, Chen, Yao, Sun, Wang, Zhang, Zhou, "Characterizing Membership Privacy in Stochastic Gradient
    Langevin Dynamics", 2019, https://arxiv.org/abs/1910.02249; the method: Welling, Teh, 2011.

    Each gradient has noise of deviation s / √η. In a joint stage each organisation adds it, before gradients are sent
    and before its head moves.

    Stronger: a larger s.
    Deviations: the paper's temperature is fixed by the number of records and a prior; here s is set, and the prior is
    `weight_decay`. In a joint stage a trunk that moves by the mean of k parties has noise s √(η / k), by their sum
    s √(η k). No privacy guarantee is computed, as gradients are not clipped: `dp_sgd` has one.
    Cost: one random number for each parameter and step.

    Attributes:
        scale: s, above 0.
    """

    paper: ClassVar[str] = "Wu et al., 2019, https://arxiv.org/abs/1910.02249"
    place: ClassVar[str] = "step"
    ladder: ClassVar[tuple[dict[str, Any], ...]] = ({"scale": 0.001}, {"scale": 0.01}, {"scale": 0.1})

    scale: float = 0.01

    def __post_init__(self) -> None:
        checks.in_range("scale", self.scale, 0, 1e6, open_low=True)

    def deviation(self, rate: float) -> float:
        """Standard deviation of the noise on a gradient that is followed at this learning rate."""
        return self.scale / rate**0.5 if rate > 0 else 0.0

    def unfit(self, method: str, hp: Hyperparameters) -> str | None:
        """Why it cannot act with a recipe."""
        if hp.optimizer != "sgd":
            return f"is defined for steps of SGD, got optimizer = '{hp.optimizer}': use 'sgd' with momentum = 0"
        return f"is defined for steps without momentum, got momentum = {hp.momentum:g}: set 0" if hp.momentum else None
