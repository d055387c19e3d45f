"""What Fisher information and a Gaussian channel say of reconstructions: a bound for some, a prediction, and bits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from dosimeter.foundation.arrays import Array
from dosimeter.statistics.intervals.crossed import Interval

GROUPS = 10
"""Groups of records of which one is left out at a time."""


def unbiased_bound(dfil: Interval) -> Interval:
    """Least mean squared error of attacks without bias, 1 / dFIL, where dFIL = tr(I) / d.

    By the inequality of Cramér and Rao. Attacks that know what records look like have a bias, and may do far better.

    Args:
        dfil: mean over records, above 0.

    >>> unbiased_bound(Interval(2.0, 1.0, 4.0, "x"))
    Interval(value=0.5, low=0.25, high=1.0, method='x')
    """
    low = 0.0 if dfil.high == np.inf else 1 / dfil.high
    return Interval(1 / dfil.value, low, np.inf if dfil.low <= 0 else 1 / dfil.low, dfil.method)


def predicted_mse(fisher: Float[Array, "d d"], covariance: Float[Array, "d d"]) -> float:
    """Mean squared error tr((I + Σ⁻¹)⁻¹) / d of the best attack, if records were normal with covariance Σ.

    It is exact for normal records and a linear first half. Otherwise it is a prediction and no bound: the information
    of a prior is at least Σ⁻¹, so an attack that knows the prior may do better. Σ may be singular.

    Args:
        fisher: mean Fisher information I of features about a record.
        covariance: Σ, of the records.

    >>> round(predicted_mse(np.eye(2), np.eye(2)), 6)
    0.5
    """
    values, vectors = np.linalg.eigh(covariance)
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    inner = np.linalg.inv(np.eye(len(root)) + root @ fisher @ root)
    return float(np.trace(root @ inner @ root) / len(root))


def channel_bits(covariance: Float[Array, "k k"], scale: float) -> float:
    """Most bits that features with Gaussian noise tell about the record: ½ log₂ det(1 + Σ / σ²).

    A normal law has the largest entropy of all laws with its covariance. The covariance is estimated, and so is this.

    Args:
        covariance: Σ, of the features without noise.
        scale: σ, standard deviation of the noise, above 0.

    >>> round(channel_bits(np.diag([3.0, 0.0]), 1.0), 6)
    1.0
    """
    values = np.maximum(np.linalg.eigvalsh(covariance), 0.0)
    return float(0.5 * np.log2(1 + values / scale**2).sum())


def left_out(statistic: Callable[[Array], float], groups: int = GROUPS) -> Float[Array, " g"]:
    """A statistic of all groups, then without each of them.

    Args:
        statistic: from the numbers of the groups that count.
        groups: number of groups.
    """
    every = np.arange(groups)
    return np.array([statistic(every), *(statistic(every[every != one]) for one in range(groups))])


def by_groups(values: Float[Array, " g"], level: float) -> Interval:
    """Interval by the jackknife over groups of records.

    Efron, "The Jackknife, the Bootstrap and Other Resampling Plans", 1982, section 2.

    Args:
        values: as `left_out` gives them.
        level: two-sided confidence level.
    """
    from scipy.stats import t  # noqa: PLC0415

    whole, parts = float(values[0]), values[1:]
    g = len(parts)
    spread = float(np.sqrt((g - 1) / g * ((parts - parts.mean()) ** 2).sum()))
    half = float(t.ppf(0.5 + level / 2, g - 1)) * spread
    return Interval(whole, max(0.0, whole - half), whole + half, f"jackknife over {g} groups of records")
