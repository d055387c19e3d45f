"""Moments with noise: an organisation tells mean and second moment of its features, and no row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from dosimeter.defenses.cut.additive import Additive
from dosimeter.foundation import checks
from dosimeter.statistics.leakage.local_privacy import gaussian_epsilon
from dosimeter.training.recipe import Hyperparameters


@dataclass(frozen=True)
class DPMoments:
    """Clip each record's features to norm C; tell their mean and second moment, each with Gaussian noise, and no row.

    Paper: Dwork, McSherry, Nissim, Smith, "Calibrating Noise to Sensitivity in Private Data Analysis", 2006, as Balle,
    Wang, 2018, https://arxiv.org/abs/1805.06530, count it for Gaussian noise.

    In a batch of n records another record in place of one moves the mean by at most 2 C / n and the second moment by at
    most 2 C² / n. The noise has these deviations times `scale`, so that both together are one Gaussian mechanism of
    ratio √2 / scale. A record that is in k batches has the ratio √(2 k) / scale. "coral" aligns the covariances that
    follow from the moments; "mmd" has the linear kernel, the squared distance of the means.

    Stronger: a larger scale.
    Deviations: noise on the second moment is symmetric, as the moment is. Of the moment the bound √2 C² / n would do.
    The guarantee covers what the source shows of its features, not the gradients of its loss, which cross too.
    Cost: d² numbers for each batch of features of width d.

    Attributes:
        scale: deviation of the noise, in units of what one record may move, above 0.
        clip: C, largest Euclidean norm of a record's features, above 0.
        delta: δ at which ε is given.
    """

    paper: ClassVar[str] = "Balle, Wang, 2018, https://arxiv.org/abs/1805.06530"
    place: ClassVar[str] = "joint"
    ladder: ClassVar[tuple[dict[str, Any], ...]] = ({"scale": 0.5}, {"scale": 1.0}, {"scale": 4.0})
    messages: ClassVar[tuple[str, ...]] = ("representations",)

    scale: float = 1.0
    clip: float = 1.0
    delta: float = 1e-5

    def __post_init__(self) -> None:
        checks.in_range("scale", self.scale, 0, 1e6, open_low=True)
        checks.in_range("clip", self.clip, 0, 1e9, open_low=True)
        checks.in_range("delta", self.delta, 0, 1, open_low=True, open_high=True)

    def protect(self, arrays: Mapping[str, Tensor], rng: np.random.Generator) -> dict[str, Tensor]:
        """Mean `[d]`, second moment `[d d]` and number of records `[1]`; differentiable by the features."""
        rows = Additive("gaussian", 0.0, self.clip).without_noise(arrays["features"])
        n, d = rows.shape
        drawn = [torch.from_numpy(rng.standard_normal(shape)).to(rows) for shape in ((d,), (d, d))]
        unit = 2 * self.clip * self.scale / n
        second = rows.T @ rows / n + unit * self.clip * drawn[1]
        return {
            "mean": rows.mean(0) + unit * drawn[0],
            "second": (second + second.T) / 2,
            "count": rows.new_full((1,), n),
        }

    def unfit(self, method: str, hp: Hyperparameters) -> str | None:
        """Why it cannot act in a method."""
        if method in ("dann", "dsn"):
            return f"the discriminator of {method!r} reads rows, and this shows none: use 'noise'"
        return None

    def epsilon_after(self, times: int) -> float:
        """ε at `delta` for another record in place of one that is in so many batches, by what is shown of features."""
        return gaussian_epsilon((2 * times) ** 0.5 / self.scale, self.delta)

    def guarantee_after(self, times: int) -> str:
        """What it guarantees, in words."""
        return (
            f"moments of features: epsilon {self.epsilon_after(times):.3g} at delta {self.delta:g} for another record "
            f"in place of one, which is in {times} batches at most; gradients that cross beside them are not covered"
        )
