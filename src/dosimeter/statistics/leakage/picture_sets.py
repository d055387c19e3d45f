"""How far two sets of pictures are apart as sets: the kernel inception distance, from kernels added up by identity.

It needs no features once the kernels are added up, so that none of a private record must be kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from dosimeter.foundation.arrays import Array
from dosimeter.statistics.intervals.crossed import Interval, half_width
from dosimeter.statistics.intervals.margins import margins_of, ratio_of

DEGREE = 3
"""Degree of the polynomial kernel."""


def polynomial_kernel(first: Float[Array, "n d"], second: Float[Array, "m d"]) -> Float[Array, "n m"]:
    """k(x, y) = (x y / d + 1)³ of each pair.

    Bińkowski, Sutherland, Arbel, Gretton, "Demystifying MMD GANs", 2018, https://arxiv.org/abs/1801.01401, section 4.

    Args:
        first: features.
        second: features.

    >>> polynomial_kernel(np.array([[1.0, 1.0]]), np.array([[1.0, 1.0], [0.0, 0.0]])).tolist()
    [[8.0, 1.0]]
    """
    return np.asarray((first @ second.T / first.shape[1] + 1) ** DEGREE)


def unbiased_distance(first: Float[Array, "n d"], second: Float[Array, "m d"]) -> float:
    """The squared maximum mean discrepancy of two sets of features; 0 on average for one law, so also below 0.

    Gretton, Borgwardt, Rasch, Schölkopf, Smola, "A Kernel Two-Sample Test", JMLR 2012, equation 3, with the kernel of
    KID.

    Args:
        first: features of two pictures or more.
        second: features of two pictures or more.

    Raises:
        ValueError: a set has fewer than two.
    """
    n, m = len(first), len(second)
    if min(n, m) < 2:
        raise ValueError(f"sets must have two pictures or more, got {n} and {m}")
    own, other = polynomial_kernel(first, first), polynomial_kernel(second, second)
    within = (own.sum() - np.trace(own)) / (n * (n - 1)) + (other.sum() - np.trace(other)) / (m * (m - 1))
    return float(within - 2 * polynomial_kernel(first, second).mean())


@dataclass(frozen=True)
class KernelSums:
    """Kernels of one picture that was made for each identity, and of real pictures, added up by identity.

    Attributes:
        made: of the pictures that were made for two identities, by target `[t n n]`.
        cross: of the picture that was made for the first identity and the real ones of the second `[t n n]`.
        real: of two real pictures, of which the first and the second identity have one each; none with itself `[n n]`.
        counts: real pictures of each identity.
    """

    made: Float[Array, "t n n"]
    cross: Float[Array, "t n n"]
    real: Float[Array, "n n"]
    counts: Int[Array, " n"]


def by_identity(kernel: Float[Array, "a m"], labels: Int[Array, " m"], identities: int) -> Float[Array, "a n"]:
    """Kernels added up over the second pictures of each identity.

    Args:
        kernel: of each pair.
        labels: identities of the second pictures.
        identities: how many there are.
    """
    member = np.zeros((len(labels), identities))
    member[np.arange(len(labels)), labels] = 1.0
    return np.asarray(kernel @ member)


def real_sums(features: Float[Array, "m d"], labels: Int[Array, " m"], identities: int) -> Float[Array, "n n"]:
    """Kernels of two different real pictures, added up by both identities; arguments as in `by_identity`."""
    kernel = polynomial_kernel(features, features)
    np.fill_diagonal(kernel, 0.0)
    return by_identity(by_identity(kernel, labels, identities).T, labels, identities)


def kernel_distance(sums: KernelSums, *, level: float = 0.95) -> Interval:
    """The distance between what was made and the real pictures, mean over targets, with its interval.

    An identity with all its pictures is left out at a time (Efron, Stein, "The Jackknife Estimate of Variance", Annals
    of Statistics 1981), so pictures of one identity are no further evidence; targets are crossed with identities.

    Args:
        sums: kernels.
        level: two-sided confidence level.

    Raises:
        ValueError: fewer than three identities, or real pictures of fewer than two once one is left out.
    """
    n, m = len(sums.counts), int(sums.counts.sum())
    left = m - sums.counts
    if n < 3 or left.min() < 2:
        raise ValueError(f"identities must be three or more with two real pictures among all others, got {n}")
    made = sums.made * (1 - np.eye(n))
    within, across, real = made.sum((1, 2)), sums.cross.sum((1, 2)), sums.real.sum()
    whole = within / (n * (n - 1)) + real / (m * (m - 1)) - 2 * across / (n * m)
    own_cross, own_real = np.diagonal(sums.cross, axis1=1, axis2=2), np.diag(sums.real)
    within_less = within[:, None] - made.sum(1) - made.sum(2)
    across_less = across[:, None] - sums.cross.sum(1) - sums.cross.sum(2) + own_cross
    real_less = real - sums.real.sum(0) - sums.real.sum(1) + own_real
    less = (
        within_less / ((n - 1) * (n - 2)) + real_less / (left * (left - 1)) - 2 * across_less / ((n - 1) * left)
    )  # without each identity
    each = n * whole[:, None] - (n - 1) * less
    half, method = _half(each, level)
    value = float(whole.mean())
    return Interval(value, value - half, value + half, f"jackknife over identities, {method}")


def mean_distance(distances: Float[Array, "t n"], *, level: float = 0.95) -> Interval:
    """Mean of a distance over identities and targets, with its interval; it is never below 0.

    Args:
        distances: of what was made for each identity.
        level: two-sided confidence level.

    >>> mean_distance(np.full((1, 5), 2.0)).value
    2.0
    """
    half, method = _half(distances, level)
    value = float(distances.mean())
    return Interval(value, max(0.0, value - half), value + half, f"mean, {method}")


def _half(each: Float[Array, "t n"], level: float) -> tuple[float, str]:
    """Half width of the interval of a mean over identities and targets, and its method."""
    ratio = ratio_of(each, np.ones(each.shape), np.arange(each.shape[1]))
    return half_width(margins_of([(1.0, ratio)]), level, None)
