"""How much two sets of numbers on the same records depend on each other: normalised HSIC, COCO, distance correlation.

All in float64, since the inverses of normalised HSIC are unstable in float32.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

RIDGE = 1e-5
"""Added to the diagonal of a centred kernel, times the number of records, before it is inverted."""


def gaussian_kernel(x: Float[Tensor, "b d"], width: float) -> Float[Tensor, "b b"]:
    """exp(−‖x_i − x_j‖² / (2 w² d)): the squared distance is a mean over the numbers of a record.

    Args:
        x: one row for each record.
        width: w, in units of one number of a record.
    """
    x = _wide(x)
    products = x @ x.T
    norms = products.diagonal()
    squared = (norms[:, None] + norms[None, :] - 2 * products).clamp(min=0)
    return torch.exp(-squared / (2 * width**2 * x.shape[1]))


def label_kernel(labels: Tensor) -> Float[Tensor, "b b"]:
    """Products of the labels of each pair: 1 where classes `[b]` agree, else 0; or of probabilities `[b c]`."""
    if labels.ndim == 1:
        return _wide((labels[:, None] == labels[None, :]).to(torch.float32))
    return _wide(labels) @ _wide(labels).T


def _wide(x: Tensor) -> Tensor:
    """The same numbers in float64, on the CPU where the device has none."""
    return (x.cpu() if x.device.type == "mps" else x).double()


def centred(kernel: Float[Tensor, "b b"]) -> Float[Tensor, "b b"]:
    """H K H with H = 1 − 1/b: rows and columns then sum to 0."""
    return kernel - kernel.mean(0) - kernel.mean(1, keepdim=True) + kernel.mean()


def normalised_hsic(first: Float[Tensor, "b b"], second: Float[Tensor, "b b"]) -> Float[Tensor, ""]:
    """Trace of R(K) R(L) with R(K) = HKH (HKH + b ridge 1)^{-1}; 0 where one of the two is constant.

    Fukumizu, Gretton, Sun, Schölkopf, "Kernel Measures of Conditional Dependence", 2007.
    """
    ridge = RIDGE * len(first) * torch.eye(len(first), dtype=first.dtype, device=first.device)
    one, other = (torch.linalg.solve(kernel + ridge, kernel) for kernel in (centred(first), centred(second)))
    total: Tensor = (one * other.T).sum()
    return total


def coco(first: Float[Tensor, "b b"], second: Float[Tensor, "b b"]) -> Float[Tensor, ""]:
    """Constrained covariance: the root of the largest singular value of HKH HLH, over b.

    Gretton, Herbrich, Smola, Bousquet, Schölkopf, "Kernel Methods for Measuring Independence", 2005.
    """
    largest = torch.linalg.matrix_norm(centred(first) @ centred(second), 2)
    # The slope of a root is infinite at 0, where a batch of one record, or of one class, stands.
    safe = torch.where(largest > 0, largest, torch.ones_like(largest))
    return torch.where(largest > 0, safe.sqrt(), torch.zeros_like(largest)) / len(first)


def distance_correlation(first: Float[Tensor, "b d"], second: Float[Tensor, "b k"]) -> Float[Tensor, ""]:
    """Distance correlation √(dCov² / √(dVar² dVar²)) of a batch, from 0 to 1; 0 where one of the two is constant.

    Szekely, Rizzo, Bakirov, "Measuring and Testing Dependence by Correlation of Distances", Annals of Statistics 2007.
    It is biased upwards, the more so the fewer records and the more numbers; see `corrected_correlation`.

    Args:
        first: one row for each record.
        second: the same records.
    """
    one, other = centred(distances(first)), centred(distances(second))
    return _root(_ratio((one * other).mean(), (one * one).mean(), (other * other).mean()))


def corrected_correlation(first: Float[Tensor, "b d"], second: Float[Tensor, "b k"]) -> Float[Tensor, ""]:
    """Distance correlation without its bias, a squared quantity from −1 to 1 whose mean is 0 for independent sets.

    Szekely, Rizzo, "The Distance Correlation t-test of Independence in High Dimension", Journal of Multivariate
    Analysis 2013, by U-centred distances.

    Args:
        first: one row for each record, four rows at least.
        second: the same records.
    """
    one, other = (_u_centred(distances(x)) for x in (first, second))
    return _ratio((one * other).sum(), (one * one).sum(), (other * other).sum())


def distances(x: Float[Tensor, "b d"]) -> Float[Tensor, "b b"]:
    """Euclidean distances of each pair, with slope 0 where two records are the same."""
    x = _wide(x)
    products = x @ x.T
    norms = products.diagonal()
    squared = norms[:, None] + norms[None, :] - 2 * products
    apart = squared > 1e-12 * norms.max()  # below, only rounding is left
    return torch.where(apart, torch.where(apart, squared, torch.ones_like(squared)).sqrt(), torch.zeros_like(squared))


def _u_centred(matrix: Tensor) -> Tensor:
    """Distances minus means of rows, columns and all, so that sums without the diagonal have no bias."""
    n = len(matrix)
    rows = matrix.sum(0) / (n - 2)
    found = matrix - rows - rows[:, None] + matrix.sum() / ((n - 1) * (n - 2))
    return found - torch.diag(found.diagonal())


def _ratio(covariance: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Covariance over the root of both variances; 0 where one is 0."""
    both = first * second
    safe = torch.where(both > 0, both, torch.ones_like(both))
    return torch.where(both > 0, covariance / safe.sqrt(), torch.zeros_like(both))


def _root(value: Tensor) -> Tensor:
    """Square root with slope 0 at 0."""
    safe = torch.where(value > 0, value, torch.ones_like(value))
    return torch.where(value > 0, safe.sqrt(), torch.zeros_like(value))
