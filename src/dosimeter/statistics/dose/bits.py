"""A reader of real scores: what probability of "yes" a score deserves, if the secret has two values.

Logistic regression on three features of a score's pooled rank `u` among the calibration scores: log u, -log(1 - u) and
max(0, -log(1 - u) - 3). Two tails, so that an attack is read whose members lie on both sides; the hinge, at the top
5 %, reads a few records that are surely known. Ranks make the reader invariant to monotone changes of a score.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from dosimeter.foundation.arrays import Array
from dosimeter.statistics.dose.dose import entropy
from dosimeter.statistics.rates import check_no_nan

LEAST = 1e-4
"""Least probability that a reader gives to either value: no surprise costs more than 13.3 bits."""
RIDGE = 0.1
"""Penalty of the squared coefficients of features, halved, beside the sum of log losses in nats.

The intercept has none. It keeps coefficients finite where classes are separate."""
_HINGE = 3.0
"""-log of the top share at which the third feature begins: e^-3, about 5 %."""
MANY, _WIDTH = 20_000, 0.003
"""Scores from which a reader is fitted on cells of near ranks, and their width in log odds of the rank.

They move the probability of a score by less than 1e-4, and the dose by less than 1e-5 bits."""
_STEPS = 100
"""Most Newton steps; some ten are usual."""
_BEATS = 1e-9
"""Bits by which a reader must beat the prior on its fitting part: what rounding may give is no gain."""


@dataclass(frozen=True)
class BitReader:
    """A fitted reader of scores.

    Attributes:
        known: the calibration scores, in order `[k]`.
        weights: intercept and three coefficients.
        loss: mean of -log2 of the probability given to the truth on the fitting part, with the prior's weights.
    """

    known: Float[Array, " k"]
    weights: Float[Array, " p"]
    loss: float

    def probability(self, scores: Float[Array, " *a"]) -> Float[Array, " *a"]:
        """The probability of "yes" for each score, in [`LEAST`, 1 - `LEAST`].

        Args:
            scores: infinite ones allowed, NaN not.

        Raises:
            ValueError: NaN.
        """
        check_no_nan(scores)
        found = _sigmoid(features(place(scores, self.known)) @ self.weights)
        return np.asarray(np.clip(found, LEAST, 1 - LEAST))


def place(scores: Float[Array, " *a"], known: Float[Array, " k"]) -> Float[Array, " *a"]:
    """Mid-rank of each score among known ones, `(rank + 1/2) / (k + 1)`; ties count half.

    Args:
        scores: no NaN.
        known: in order.

    >>> place(np.array([0.0, 2.0, 9.0]), np.array([1.0, 2.0, 3.0])).tolist()
    [0.125, 0.5, 0.875]
    """
    order = np.argsort(scores, axis=None)  # sorted scores are found several times faster
    asked = scores.ravel()[order]
    rank = np.empty(asked.shape)
    rank[order] = (np.searchsorted(known, asked, side="left") + np.searchsorted(known, asked, side="right")) / 2
    return np.asarray((rank.reshape(scores.shape) + 0.5) / (len(known) + 1))


def features(u: Float[Array, " *a"]) -> Float[Array, "*a 4"]:
    """A one, and the three features of ranks."""
    top = -np.log1p(-u)
    return np.stack([np.ones_like(u), np.log(u), top, np.maximum(0.0, top - _HINGE)], axis=-1)


def fit_bits(scores: Float[Array, " *a"], bits: Bool[Array, " *a"], prior: float) -> BitReader:
    """Fit a reader on scores with known bits; the prior itself, if the fitted reader does not beat it there.

    Args:
        scores: scores with known bits, infinite ones allowed.
        bits: the secret of each.
        prior: probability of "yes"; decisions are weighted so that "yes" has this share.

    Raises:
        ValueError: NaN, or one class is empty.
    """
    check_no_nan(scores)
    values, truth = scores.ravel().astype(np.float64), bits.ravel()
    yes = int(truth.sum())
    if yes in (0, truth.size):
        raise ValueError(f"calibration bits must have both classes, got {yes} of {truth.size} that are true")
    order = np.argsort(values)
    known, truth = values[order], truth[order]
    u, no, ones = _cells(place(known, known), truth)
    x = features(u)
    sides = np.stack([no * (1 - prior) / (truth.size - yes), ones * prior / yes])
    weight = sides.sum(0)
    weights = _newton(x, sides[1] / weight, weight * truth.size)
    found = np.clip(_sigmoid(x @ weights), LEAST, 1 - LEAST)
    loss = float(-(sides * np.log2([1 - found, found])).sum())
    before = entropy(np.array([prior, 1 - prior]))
    if loss < before - _BEATS:
        return BitReader(known, weights, loss)
    return BitReader(known, np.array([np.log(prior / (1 - prior)), 0.0, 0.0, 0.0]), before)


def _cells(
    u: Float[Array, " k"], truth: Bool[Array, " k"]
) -> tuple[Float[Array, " c"], Float[Array, " c"], Float[Array, " c"]]:
    """Ranks in order with the counts of "no" and of "yes"; from `MANY` on, near ranks are one cell at their mean."""
    yes = truth.astype(np.float64)
    if len(u) < MANY:
        return u, 1 - yes, yes
    cell = np.floor((np.log(u) - np.log1p(-u)) / _WIDTH)
    first = np.r_[0, np.flatnonzero(np.diff(cell)) + 1]
    count, ones = np.diff(np.r_[first, len(u)]), np.add.reduceat(yes, first)
    return np.add.reduceat(u, first) / count, count - ones, ones


def _newton(x: Float[Array, "k p"], y: Float[Array, " k"], weight: Float[Array, " k"]) -> Float[Array, " p"]:
    """Coefficients of penalised logistic regression, by Newton steps that are halved until the loss falls."""
    penalty = np.full(x.shape[1], RIDGE)
    penalty[0] = 0.0

    def loss(beta: Array) -> float:
        z = x @ beta
        return float(weight @ (np.logaddexp(0.0, z) - y * z) + penalty @ beta**2 / 2)

    beta = np.zeros(x.shape[1])
    last = loss(beta)
    for _ in range(_STEPS):
        p = _sigmoid(x @ beta)
        gradient = x.T @ (weight * (p - y)) + penalty * beta
        curvature = (x * (weight * p * (1 - p))[:, None]).T @ x + np.diag(penalty)
        step = np.linalg.lstsq(curvature, gradient, rcond=None)[0]
        size = 1.0
        while (now := loss(beta - size * step)) > last and size > 1e-6:
            size /= 2
        if now > last:  # rounding decides: the least loss is reached
            break
        beta, fell, last = beta - size * step, last - now, now
        if fell <= 1e-12 * abs(last):
            break
    return np.asarray(beta)


def _sigmoid(z: Array) -> Array:
    """The logistic function, without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(z / 2)))
