"""One threat's dose in bits.

The dose is predictive V-information (Xu et al., "A Theory of Usable Information under Computational Constraints", 2020,
https://arxiv.org/abs/2002.10689): the part of mutual information that a simple, honestly fitted reader of the evidence
can use. With a prior pi of the secret and a reader that gives the true value s_i the probability q(s_i | e_i),

    dose = H(pi) - mean_i [ -log2 q(s_i | e_i) ].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from dosimeter.foundation.arrays import Array
from dosimeter.foundation.checks import finite


@dataclass(frozen=True)
class Dose:
    """What evidence tells about a secret, in bits per record.

    Attributes:
        value: the estimate, negative where the reader did worse than the prior; None if there is no number.
        low: what is shown, not below 0; None if there is no number.
        high: what is not excluded, not above the ceiling; None if there is no number.
        ceiling: entropy of the prior: all that there is to tell.
        level: confidence level, two-sided.
        method: name of the interval's method and of the reader's fit.
        n: distinct record clusters (records, or persons) that were judged.
        n_targets: targets judged.
        log_loss: mean of -log2 of the probability given to the true value; None if there is no number.
        floor: dose of the trivial attack; 0 for what knows the prior only.
        reason: why there is no number, in one sentence; empty if there is one.
    """

    value: float | None
    low: float | None
    high: float | None
    ceiling: float
    level: float
    method: str
    n: int
    n_targets: int
    log_loss: float | None
    floor: float = 0.0
    reason: str = ""

    @property
    def printed(self) -> float | None:
        """The estimate as reports print it: a reader that does worse than the prior tells nothing, 0 bits."""
        return None if self.value is None else max(0.0, self.value)


def entropy(prior: Float[Array, " v"]) -> float:
    """Entropy of a prior, in bits.

    Args:
        prior: probability of each value.

    >>> entropy(np.full(8, 1 / 8))
    3.0
    """
    known = prior[prior > 0]
    return float(-(known * np.log2(known)).sum())


def checked_prior(prior: Float[Array, " v"]) -> Float[Array, " v"]:
    """The prior, refused unless it is a law over two values or more, each of which may occur.

    Raises:
        ValueError: fewer than two values, one that is not in (0, 1), or a sum other than 1.
    """
    finite("prior", prior)
    if len(prior) < 2 or (prior <= 0).any() or abs(float(prior.sum()) - 1) > 1e-6:
        raise ValueError(
            "prior must have two or more positive probabilities that sum to 1, "
            f"got {len(prior)} with least {float(prior.min(initial=1)):g} and sum {float(prior.sum()):g}"
        )
    return np.asarray(prior / prior.sum())
