"""How near reconstructed records are to the true ones: MSE, PSNR and SSIM of each, and their mean with an interval."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from dosimeter.foundation.arrays import Array
from dosimeter.foundation.checks import same_length
from dosimeter.statistics.intervals.crossed import Interval, half_width
from dosimeter.statistics.intervals.margins import margins_of, ratio_of

LEAST_ERROR = 1e-10
"""Least MSE of a PSNR, so that an exact copy has 100 dB."""
K1, K2 = 0.01, 0.03
"""Constants of SSIM for the range 1."""
GAUSSIAN_FROM = 28
"""Least side of a picture, pixels, from which windows are Gaussian."""
SIGMA, RADIUS = 1.5, 5
"""Of Gaussian windows, which are 11 x 11."""
UNIFORM = 7
"""Side of uniform windows; smaller in a smaller picture, and odd."""


def mse(made: Float[Array, "n ..."], true: Float[Array, "n ..."]) -> Float[Array, " n"]:
    """Mean squared error of each record.

    Args:
        made: reconstructions.
        true: the records.

    Raises:
        ValueError: shapes differ.

    >>> mse(np.zeros((1, 2)), np.array([[1.0, 3.0]])).tolist()
    [5.0]
    """
    _check(made, true)
    return np.asarray(((made - true) ** 2).reshape(len(made), -1).mean(1))


def psnr(error: Float[Array, " n"]) -> Float[Array, " n"]:
    """Peak signal-to-noise ratio of each record in dB, for numbers in [0, 1].

    Args:
        error: the MSE of each.

    >>> psnr(np.array([0.01])).round(6).tolist()
    [20.0]
    """
    return np.asarray(-10 * np.log10(np.maximum(error, LEAST_ERROR)))


def ssim(made: Float[Array, "n c h w"], true: Float[Array, "n c h w"]) -> Float[Array, " n"]:
    """Structural similarity of each picture, mean over windows and channels, for numbers in [0, 1].

    Wang, Bovik, Sheikh, Simoncelli, "Image Quality Assessment", IEEE Transactions on Image Processing 2004, equation
    13. Windows are Gaussian, 11 x 11 with standard deviation 1.5, in pictures of 28 pixels a side and more, otherwise
    uniform, 7 x 7. Windows that reach over the border are left out.

    Args:
        made: reconstructions.
        true: the records.

    Raises:
        ValueError: shapes differ, or no pictures.
    """
    _check(made, true)
    if made.ndim != 4:
        raise ValueError(f"pictures must have shape [n channels height width], got {made.shape}")
    a, b = made.astype(np.float64), true.astype(np.float64)
    mean_a, mean_b = _windows(a), _windows(b)
    var_a, var_b = _windows(a * a) - mean_a**2, _windows(b * b) - mean_b**2
    both = _windows(a * b) - mean_a * mean_b
    c1, c2 = K1**2, K2**2
    above = (2 * mean_a * mean_b + c1) * (2 * both + c2)
    below = (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    return np.asarray((above / below).mean((1, 2, 3)))


def _windows(pictures: Float[Array, "n c h w"]) -> Float[Array, "n c i j"]:
    """Weighted mean in each window."""
    smallest = min(pictures.shape[2:])
    if smallest >= GAUSSIAN_FROM:
        place = np.arange(-RADIUS, RADIUS + 1)
        weight = np.exp(-0.5 * (place / SIGMA) ** 2)
    else:
        side = min(UNIFORM, smallest - (smallest % 2 == 0))
        weight = np.ones(side)
    weight = weight / weight.sum()
    for axis in (2, 3):
        pictures = np.lib.stride_tricks.sliding_window_view(pictures, len(weight), axis) @ weight
    return pictures


def spreads(known: Float[Array, "p ..."]) -> Float[Array, ...]:
    """Standard deviation of each number over the auxiliary records, 1 where they are all equal `[...]`.

    Numbers of a table have units of their own; divided by it, each column counts the same.

    Args:
        known: the auxiliary records `[p ...]`.
    """
    found = known.std(0)
    return np.where(found > 0, found, 1.0)


def mean_of(
    values: Float[Array, "t n"],
    record: Int[Array, " n"],
    *,
    level: float = 0.95,
    limits: tuple[float, float] = (-np.inf, np.inf),
) -> Interval:
    """Mean over targets and records with its interval by t-quantiles; records of one cluster move together.

    Args:
        values: of each target and record.
        record: cluster of each record.
        level: two-sided confidence level.
        limits: of the values; no end is outside.

    Raises:
        ValueError: shapes do not fit, or a value is not finite.

    >>> mean_of(np.array([[1.0, 3.0]]), np.arange(2)).value
    2.0
    """
    if values.ndim != 2 or not values.size or not np.isfinite(values).all():
        raise ValueError(f"values must be finite numbers [t n], got {values.shape}")
    same_length(records=values[0], record=record)
    ratio = ratio_of(values, np.ones(values.shape), record)
    half, method = half_width(margins_of([(1.0, ratio)]), level, None)
    low, high = max(limits[0], ratio.value - half), min(limits[1], ratio.value + half)
    return Interval(ratio.value, low, high, f"mean, {method}")


def _check(made: Array, true: Array) -> None:
    """Refuses shapes that differ, and nothing at all."""
    if made.shape != true.shape or not made.size:
        raise ValueError(f"reconstructions must have the shape of the records, got {made.shape} and {true.shape}")
