"""Local differential privacy of clipped features with noise: what two records may differ by in what is sent."""

from __future__ import annotations

import numpy as np

from dosimeter.foundation.checks import in_range


def gaussian_epsilon(ratio: float, delta: float) -> float:
    """Least ε of Gaussian noise at δ, by the exact condition.

    Balle, Wang, "Improving the Gaussian Mechanism for Differential Privacy", ICML 2018,
    https://arxiv.org/abs/1805.06530, theorem 8: δ(ε) = Φ(r / 2 − ε / r) − e^ε Φ(−r / 2 − ε / r).

    Args:
        ratio: r, largest distance of two records' features over the standard deviation of the noise, above 0.
        delta: δ, above 0 and below 1.

    >>> round(gaussian_epsilon(1.0, 1e-5), 3)
    4.377
    """
    from scipy.optimize import brentq  # noqa: PLC0415
    from scipy.special import log_ndtr, ndtr  # noqa: PLC0415

    in_range("ratio", ratio, 0, 1e6, open_low=True)
    in_range("delta", delta, 0, 1, open_low=True, open_high=True)

    def excess(epsilon: float) -> float:
        first, second = ratio / 2 - epsilon / ratio, -ratio / 2 - epsilon / ratio
        return float(ndtr(first) - np.exp(epsilon + log_ndtr(second)) - delta)

    if excess(0.0) <= 0:
        return 0.0
    high = ratio
    while excess(high) > 0:
        high *= 2
    return float(brentq(excess, 0.0, high, xtol=1e-10))


def laplace_epsilon(ratio: float) -> float:
    """ε of Laplace noise: the largest distance in the sum of absolute differences over the noise's scale b.

    Dwork, McSherry, Nissim, Smith, "Calibrating Noise to Sensitivity in Private Data Analysis", TCC 2006.

    >>> laplace_epsilon(2.0)
    2.0
    """
    return ratio
