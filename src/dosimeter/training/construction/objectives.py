"""What adversaries learn by, and what the layers before the cut are trained for against them.

The numbers P1 to P5 are those of our reconstruction of Privacy Partitioning (Chi et al. 2018), of which we know the
abstract alone: P1 "reversal", P2 "confusion", P3 "mean_input", P4 "hinge", P5 "perceptual".
"""

from __future__ import annotations

from functools import cache

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dosimeter.statistics.leakage.pixels import GAUSSIAN_FROM, K1, K2, RADIUS, SIGMA, UNIFORM

PERCEIVED = 16
"""Channels of the network by whose outputs pictures are compared, after the first layer."""


def confusion(log_p: Float[Tensor, "b v"], prior: Float[Tensor, " v"]) -> Float[Tensor, ""]:
    """P2: KL(prior || answer), nats, mean over records: 0 if the adversary answers with the prior.

    Args:
        log_p: log-probabilities that the adversary gives.
        prior: share of each value among the training records.
    """
    entropy = torch.special.entr(prior).sum()
    found: Tensor = -(prior * log_p).sum(1).mean() - entropy
    return found


def told(log_p: Float[Tensor, "b v"], values: Int[Tensor, " b"]) -> Float[Tensor, ""]:
    """What an adversary after an attribute learns by: cross-entropy, nats."""
    return nn.functional.nll_loss(log_p, values)


def apart(made: Float[Tensor, "b ..."], other: Tensor, scale: Tensor) -> Float[Tensor, ""]:
    """Mean squared difference in units of the spread of records, so that the mean record has an error of about 1.

    Args:
        made: what an adversary made.
        other: records `[b ...]`, or one for all.
        scale: spread of each number, or one for all.
    """
    return (((made - other) / scale) ** 2).mean()


def ssim(made: Float[Tensor, "b c h w"], true: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
    """Structural similarity of each picture, differentiable; as `statistics.leakage.pixels.ssim`."""
    mean_a, mean_b = _windows(made), _windows(true)
    var_a, var_b = _windows(made * made) - mean_a**2, _windows(true * true) - mean_b**2
    both = _windows(made * true) - mean_a * mean_b
    c1, c2 = K1**2, K2**2
    above = (2 * mean_a * mean_b + c1) * (2 * both + c2)
    below = (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    return (above / below).mean((1, 2, 3))


def _windows(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c _h _w"]:
    """Weighted means over windows within the picture."""
    least = min(x.shape[2:])
    if least < GAUSSIAN_FROM:
        side = min(UNIFORM, least - 1 + least % 2)
        return nn.functional.avg_pool2d(x, side, stride=1)
    steps = torch.arange(-RADIUS, RADIUS + 1, device=x.device, dtype=x.dtype)
    weights = torch.exp(-(steps**2) / (2 * SIGMA**2))
    weights = (weights / weights.sum()).expand(x.shape[1], 1, 1, -1)
    across = nn.functional.conv2d(x, weights, groups=x.shape[1])
    return nn.functional.conv2d(across, weights.transpose(2, 3), groups=x.shape[1])


@cache
def perceiver(channels: int) -> nn.Sequential:
    """A network by whose outputs pictures are compared: two convolutions with weights that are random and fixed.

    Trained ones, which the literature uses, are not shipped.
    """
    rng = torch.Generator().manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(channels, PERCEIVED, 3, padding=1), nn.ReLU(),
        nn.Conv2d(PERCEIVED, 2 * PERCEIVED, 3, stride=2, padding=1), nn.ReLU(),
    )  # fmt: skip
    with torch.no_grad():
        for weight in network.parameters():
            weight.copy_(torch.randn(weight.shape, generator=rng) / max(1, weight[0].numel()) ** 0.5)
    return network.requires_grad_(False)


def perceived(made: Float[Tensor, "b c h w"], true: Float[Tensor, "b c h w"]) -> Float[Tensor, ""]:
    """Mean squared difference of what `perceiver` makes of both, as a share of what it makes of the true ones."""
    network = perceiver(made.shape[1]).to(made.device)
    a, b = network(made), network(true)
    share: Tensor = ((a - b) ** 2).mean() / (b**2).mean().clamp(min=1e-12)
    return share
