"""HAMP: labels of high entropy in training; in answers, scores of random inputs in the order of the true ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from scipy.optimize import brentq
from torch import Tensor

from dosimeter.foundation import checks


@dataclass(frozen=True)
class HAMP:
    """Train towards labels of entropy γ log c, reward entropy, and answer with other scores in the same order.

    Paper: Chen and Pattabiraman, "Overconfidence is a Dangerous Thing: Mitigating Membership Inference Attacks by
    Enforcing Less Confident Prediction", 2024, https://arxiv.org/abs/2307.01610. The loss is

        KL(y' || p) − β H(p),   y'_y = q,  y'_j = (1 − q) / (c − 1),

    with the largest q whose entropy H(y') is at least γ log c (equations 2 to 5). An answer is replaced by the model's
    scores on a random input, put into the order of the true scores (section IV-D), so that labels do not change.

    Stronger: a larger γ, then a larger β.
    Deviations: one random input per query is drawn beforehand by seed, so that a repeated query gets the same answer;
    random inputs are uniform between the least and the largest value, over the records that are asked together, of
    each number that the trained part reads (of a frozen backbone's features, where only a head is trained).
    Cost: that of one training; one more query of the model per answer.

    Attributes:
        entropy: γ, share of the largest entropy that the labels have, above 0 and below 1.
        regularise: β, nats per nat, from 0 on.
        answers: whether answers are replaced too.
    """

    paper: ClassVar[str] = "Chen and Pattabiraman, 2024, https://arxiv.org/abs/2307.01610"
    place: ClassVar[str] = "loss"
    ladder: ClassVar[tuple[dict[str, Any], ...]] = ({"entropy": 0.4}, {"entropy": 0.7}, {"entropy": 0.95})

    entropy: float = 0.7
    regularise: float = 0.01
    answers: bool = True

    def __post_init__(self) -> None:
        checks.in_range("entropy", self.entropy, 0, 1, open_low=True, open_high=True)
        checks.in_range("regularise", self.regularise, 0, 1e3)

    def top(self, classes: int) -> float:
        """The q of a label over so many classes.

        >>> q = HAMP(entropy=0.5).top(10)
        >>> round(-q * math.log(q) - (1 - q) * math.log((1 - q) / 9), 6), round(0.5 * math.log(10), 6)
        (1.151293, 1.151293)
        """

        def missing(q: float) -> float:
            rest = (1 - q) / (classes - 1)
            return -q * math.log(q) - (classes - 1) * rest * math.log(rest) - self.entropy * math.log(classes)

        sure = 1 - 1e-12
        return sure if missing(sure) >= 0 else float(brentq(missing, 1 / classes, sure, xtol=1e-15))

    def loss(
        self, logits: Float[Tensor, "*m b c"], labels: Int[Tensor, "*m b"], epoch: int
    ) -> Float[Tensor, " *m"] | Float[Tensor, ""]:
        """The loss above; `epoch` is not read."""
        log_p, classes = torch.log_softmax(logits, -1), logits.shape[-1]
        q = self.top(classes)
        rest = (1 - q) / (classes - 1)
        wanted = torch.full_like(log_p, rest).scatter(-1, labels[..., None], q)
        divergence = (wanted * (wanted.log() - log_p)).sum(-1)
        entropy = -(log_p.exp() * log_p).sum(-1)
        return (divergence - self.regularise * entropy).mean(-1)

    def release(
        self, probabilities: Float[Tensor, "r c"], noise: Callable[[], Float[Tensor, "r c"]]
    ) -> Float[Tensor, "r c"]:
        """Scores of random inputs in the order of the true ones; the predicted class stays first among equals."""
        if not self.answers:
            return probabilities
        order = probabilities.argsort(dim=1, descending=True, stable=True)
        scores = noise().to(probabilities).sort(1, descending=True).values
        return torch.empty_like(probabilities).scatter(1, order, scores)
