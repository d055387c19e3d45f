"""Laplace posterior of a linear softmax head, and the law of the confidences that it gives, from answers and features.

Daxberger, Kristiadi, Immer, Eschenhagen, Bauer, Hennig, "Laplace Redux", 2021, https://arxiv.org/abs/2106.14806: the
posterior of the last layer is normal around the trained weights. Its precision is that of the prior plus the
generalised Gauss-Newton matrix, for a linear head with inputs x and probabilities p

    G = sum over training records of (diag(p) - p p') ⊗ x x'.

Only answers enter it, so nobody needs the weights: given its posterior, the logits of a record are normal around what
the head answers, with a covariance that follows from G and x. The package `laplace-torch` computes the same of PyTorch
modules; a game holds answers and features, but no module.

Axes: `n` candidates, `d` inputs, the last one a constant; `c` classes; `m` draws.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import linalg, special

from dosimeter.families.membership.attacks.reading import log_confidence
from dosimeter.families.membership.attacks.shadows.closed_form import head_inputs
from dosimeter.families.membership.game import FrozenHead
from dosimeter.foundation.arrays import Array

Posterior = Literal["diagonal", "kfac"]


@dataclass(frozen=True)
class LogitLaw:
    """Normal law of each record's logits.

    Attributes:
        mean: the head's own answer, log-probabilities `[n c]`.
        basis: orthonormal directions of the logits, as columns `[c c]`.
        scale: standard deviation along each direction, nats `[n c]`.
    """

    mean: Float[Array, "n c"]
    basis: Float[Array, "c c"]
    scale: Float[Array, "n c"]

    def draw(self, rng: np.random.Generator) -> Float[Array, "n c"]:
        """Logits of one head of the posterior, by the symmetric root of the covariance."""
        noise = rng.standard_normal(self.mean.shape)
        found: Array = self.mean + ((noise @ self.basis) * self.scale) @ self.basis.T
        return found


def logit_law(
    head: FrozenHead, answers: Float[Array, "n c"], member: Bool[Array, " n"], posterior: Posterior, prior: float
) -> LogitLaw:
    """The law of all candidates' logits under the posterior of one head.

    Args:
        head: frozen features and recipe.
        answers: the head's scaled confidences log p - log(1 - p), nats.
        member: the candidates that it trained on; they stand for all its training records, in proportion.
        posterior: "diagonal" keeps the diagonal of G; "kfac" takes G as the Kronecker product of mean covariance of the
            classes and mean square of the inputs, times the number of records.
        prior: precision of the prior in units of that of the initial weights.
    """
    logs = log_confidence(answers)
    p = np.exp(logs[member])
    x = head_inputs(head).astype(np.float64)[head.candidates]
    own, records = x[member], len(head.labels) / 2
    # `nn.Linear` draws weights uniformly within 1 / sqrt(d - 1), so with variance 1 / (3 (d - 1)).
    least = prior * 3 * (x.shape[1] - 1) + records * head.weight_decay
    if posterior == "diagonal":
        precision = (p * (1 - p)).T @ own**2 * (records / len(own)) + least
        return LogitLaw(logs, np.eye(p.shape[1]), np.sqrt(x**2 @ (1 / precision).T))
    squares, directions = linalg.eigh(own.T @ own / len(own))
    spreads, basis = linalg.eigh((np.diag(p.sum(0)) - p.T @ p) / len(own))
    precision = records * np.outer(spreads.clip(min=0), squares.clip(min=0)) + least
    return LogitLaw(logs, basis, np.sqrt((x @ directions) ** 2 @ (1 / precision).T))


def confidence_moments(
    law: LogitLaw, labels: Int[Array, " n"], draws: int, rng: np.random.Generator
) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    """Mean (nats) and variance (nats²) of the logit-scaled confidence over heads that are drawn from the posterior."""
    found = np.empty((draws, len(labels)))
    for row in found:
        logits = law.draw(rng)
        own = np.take_along_axis(logits, labels[:, None], axis=1)[:, 0]
        np.put_along_axis(logits, labels[:, None], -np.inf, axis=1)
        row[:] = own - special.logsumexp(logits, axis=1)
    return found.mean(0), found.var(0, ddof=1)
