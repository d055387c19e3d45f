"""Laws of the shadows' confidence in each record: means, scales and tails, for attacks that compare likelihoods.

Axes: `k` shadows of one side, `n` records, `t` targets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import special

from dosimeter.foundation.arrays import Array

SMALLEST_SCALE = 1e-6
"""Smallest scale of a law, nats; a smaller spread is rounding of float32 logits."""
PRIOR_COUNT = 4  # pseudo-observations of the pooled variance
_LARGEST_COUNT = 1000.0  # of an estimated prior, which at this strength leaves a record no say of its own
_BIN = 20  # records per bin, and at most as many bins, of the curve from one side's means to the other's
_UNDERFLOW = 1e-290


@dataclass(frozen=True)
class Law:
    """A normal or Student law for each record."""

    mean: Float[Array, " n"]
    scale: Float[Array, " n"]
    freedom: float  # infinite for the normal law


def fit(values: Float[Array, "k n"], variance: str) -> Law:
    """A law for each record from k shadows: normal with its own or the pooled scale, or Student with a shrunken scale.

    Args:
        values: confidences of the shadows, nats.
        variance: `per-record`, `global` or `shrunken`.
    """
    k, n = values.shape
    mean = values.mean(axis=0)
    squares = ((values - mean) ** 2).sum(axis=0)
    pooled = squares.sum() / max((k - 1) * n, 1)
    freedom = np.inf
    if variance == "global":
        square = np.full(n, pooled)
    elif variance == "per-record":
        square = squares / (k - 1)
    else:
        freedom = float(PRIOR_COUNT + k - 1)
        square = (PRIOR_COUNT * pooled + squares) / freedom * (1 + 1 / k)
    return Law(mean, np.maximum(np.sqrt(square), SMALLEST_SCALE), freedom)


def fit_bayesian(values: Float[Array, "k n"], other: Float[Array, " n"] | None = None) -> Law:
    """Predictive law of each record under a conjugate prior that is estimated from all records.

    Given a record's variance v, its mean is normal around m with variance v / c; v is scaled-inverse-chi-square
    with d degrees of freedom around w. The predictive law is Student's with d + k degrees of freedom.
    d and w match the first two moments of the logarithm of the records' variances (Smyth 2004). m is the grand mean,
    or, given another mean for each record, a curve of it; c compares w with what the means scatter around m.

    Args:
        values: confidences of the shadows, nats.
        other: means of the other side's shadows.
    """
    k, n = values.shape
    mean = values.mean(axis=0)
    squares = ((values - mean) ** 2).sum(axis=0)
    count, typical = _variance_prior(squares / (k - 1), k - 1)
    expected = np.full(n, mean.mean()) if other is None else _curve(other, mean)
    pooled = max(squares.sum() / ((k - 1) * n), SMALLEST_SCALE**2)
    # The error of a mean, v / k, is no scatter between records.
    scatter = ((mean - expected) ** 2).mean() - pooled / k
    weight = pooled / max(scatter, pooled / _LARGEST_COUNT)
    centre = (k * mean + weight * expected) / (k + weight)
    freedom = count + k
    total = count * typical + squares + k * weight / (k + weight) * (mean - expected) ** 2
    square = total / freedom * (1 + 1 / (k + weight))
    return Law(centre, np.maximum(np.sqrt(square), SMALLEST_SCALE), freedom)


def _variance_prior(variances: Float[Array, " n"], freedom: int) -> tuple[float, float]:
    """Degrees of freedom and centre of the prior of the records' variances; each variance has `freedom` of its own."""
    half = freedom / 2
    # E log s^2 = log v + digamma(d / 2) - log(d / 2) for d degrees of freedom; the bias is removed (Smyth 2004).
    logs = np.log(np.maximum(variances, SMALLEST_SCALE**2)) - special.digamma(half) + np.log(half)
    # Chance alone gives log s^2 the variance trigamma(d / 2); the rest is the variance between records.
    beyond_chance = logs.var() - special.polygamma(1, half)
    if beyond_chance <= special.polygamma(1, _LARGEST_COUNT / 2):
        prior = _LARGEST_COUNT / 2
    else:
        prior = _inverse_trigamma(float(beyond_chance))
    return 2 * prior, float(np.exp(logs.mean() + special.digamma(prior) - np.log(prior)))


def _inverse_trigamma(value: float) -> float:
    """X with trigamma(x) = value, by Newton's method on 1 / trigamma, which is convex (Smyth 2004, appendix)."""
    x = 0.5 + 1 / value
    for _ in range(50):
        found = special.polygamma(1, x)
        step = found * (1 - found / value) / special.polygamma(2, x)
        x += step
        if abs(step) < 1e-12 * x:
            break
    return float(x)


def _curve(at: Float[Array, " n"], values: Float[Array, " n"]) -> Float[Array, " n"]:
    """Values smoothed as a function of `at`: means in bins of equal counts, joined by lines, constant at both ends."""
    bins = np.array_split(np.argsort(at, kind="stable"), max(1, min(_BIN, len(at) // _BIN)))
    result: Array = np.interp(at, [at[one].mean() for one in bins], [values[one].mean() for one in bins])
    return result


def log_ratio(inside: Law, outside: Law, phi: Float[Array, "t n"]) -> Float[Array, "t n"]:
    """Log-density under one law minus that under another."""
    constant = 0.0
    if inside.freedom != outside.freedom:
        constant = _constant(inside.freedom) - _constant(outside.freedom)
    result: Array = _log_kernel(inside, phi) - _log_kernel(outside, phi) + constant
    return result


def rising(phi: Float[Array, "t n"], own: Law, null: Law) -> Float[Array, "t n"]:
    """Confidences, moved to the turning point of the ratio of two normal laws if they lie where the ratio falls."""
    difference = null.scale**-2 - own.scale**-2
    with np.errstate(divide="ignore", invalid="ignore"):
        turn = (null.mean * null.scale**-2 - own.mean * own.scale**-2) / difference
    low = np.where(difference > 0, turn, -np.inf)
    high = np.where(difference < 0, turn, np.inf)
    return np.clip(phi, low, high)


def _log_kernel(law: Law, phi: Float[Array, "t n"]) -> Float[Array, "t n"]:
    """Log-density without the term that depends on the degrees of freedom alone."""
    z = (phi - law.mean) / law.scale
    kernel: Array = -(z**2) / 2 if np.isinf(law.freedom) else -(law.freedom + 1) / 2 * np.log1p(z**2 / law.freedom)
    result: Array = kernel - np.log(law.scale)
    return result


def _constant(freedom: float) -> float:
    """The term of the log-density that `_log_kernel` leaves out."""
    if np.isinf(freedom):
        return -float(np.log(2 * np.pi)) / 2
    half = freedom / 2
    return float(special.gammaln(half + 0.5) - special.gammaln(half) - np.log(np.pi * freedom) / 2)


def log_survival(law: Law, phi: Float[Array, "t n"]) -> Float[Array, "t n"]:
    """Log-probability of a value above phi; finite for any phi."""
    z = (phi - law.mean) / law.scale
    if np.isinf(law.freedom):
        normal: Array = special.log_ndtr(-z)
        return normal
    below: Array = special.stdtr(law.freedom, -np.abs(z))
    tail: Array = np.log(np.maximum(below, _UNDERFLOW))
    far = below < _UNDERFLOW
    # The incomplete beta function as a series in y: far out the tail itself underflows, its logarithm does not.
    half, y = law.freedom / 2, law.freedom / (law.freedom + z[far] ** 2)
    series = special.hyp2f1(half + 0.5, 1, half + 1, y)
    tail[far] = half * np.log(y) + np.log1p(-y) / 2 - np.log(2 * half) - special.betaln(half, 0.5) + np.log(series)
    return np.where(z > 0, tail, np.log1p(-below))
