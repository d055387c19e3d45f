"""Noise: Gaussian or Laplace noise on everything that crosses the cut."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from dosimeter.defenses.cut.additive import Additive, spread_of
from dosimeter.foundation import checks
from dosimeter.statistics.leakage.local_privacy import gaussian_epsilon, laplace_epsilon
from dosimeter.training.cuts.place import CutPlace, Law
from dosimeter.training.recipe import Hyperparameters


@dataclass(frozen=True)
class Noise:
    """Add independent noise to each number that is sent, fresh for each query; clip a record's features before.

    Paper: Balle, Wang, "Improving the Gaussian Mechanism for Differential Privacy: Analytical Calibration and Optimal
    Denoising", 2018, https://arxiv.org/abs/1805.06530, for clipped features and ε; noise on features without clipping:
    Wang et al., 2018, https://arxiv.org/abs/1809.03428.

    In a joint stage it acts on the rows of features that the source shows, and needs `clip`, since features move as the
    trunk does.

    Only clipping bounds what two records may differ by, 2 `clip`. So only then there is an ε (local differential
    privacy of one query); a record that is sent k times spends it k times. Without `clip` no ε can be given, however
    much noise there is.

    Stronger: a larger scale.
    Deviations: the model is not trained on noisy features, unless its owner does so.
    Cost: one random number for each number that is sent.

    Attributes:
        law: "gaussian" or "laplace".
        scale: standard deviation of Gaussian noise, or the scale b of Laplace noise, as a multiple of `clip`; without
            `clip`, of the root of the features' mean variance over training records.
        clip: largest norm of a record's features: Euclidean for Gaussian noise, sum of absolute values for Laplace
            noise; null for none.
        delta: δ at which the ε of Gaussian noise is given.
    """

    paper: ClassVar[str] = "Balle, Wang, 2018, https://arxiv.org/abs/1805.06530"
    place: ClassVar[str] = "cut"
    ladder: ClassVar[tuple[dict[str, Any], ...]] = ({"scale": 0.5}, {"scale": 1.0}, {"scale": 2.0})
    messages: ClassVar[tuple[str, ...]] = ("representations",)

    law: Law = "gaussian"
    scale: float = 1.0
    clip: float | None = None
    delta: float = 1e-5

    def __post_init__(self) -> None:
        if self.law not in ("gaussian", "laplace"):
            raise ValueError(f"law must be one of gaussian, laplace, got {self.law!r}")
        checks.in_range("scale", self.scale, 0, 1e6, open_low=True)
        if self.clip is not None:
            checks.in_range("clip", self.clip, 0, 1e9, open_low=True)
        checks.in_range("delta", self.delta, 0, 1, open_low=True, open_high=True)

    def fitted(self, place: CutPlace) -> Additive:
        """The noise in units of the features."""
        unit = spread_of(place.features) if self.clip is None else self.clip
        return Additive(self.law, self.scale * unit, self.clip)

    def restored(self, kept: Mapping[str, Tensor]) -> Additive:
        """The noise of a model that was stored."""
        return Additive(self.law, float(kept["scale"]), self.clip)

    def protect(self, arrays: Mapping[str, Tensor], rng: np.random.Generator) -> dict[str, Tensor]:
        """Clipped rows of features with noise, as organisations that train together show them."""
        assert self.clip is not None
        sent = Additive(self.law, self.scale * self.clip, self.clip)
        return {name: sent.send(one, rng) for name, one in arrays.items()}

    def unfit(self, method: str, hp: Hyperparameters) -> str | None:
        """Why it cannot act in a joint method."""
        return "needs the norm that features are clipped to, got none: set clip" if self.clip is None else None

    def guarantee_after(self, times: int) -> str:
        """What it guarantees, in words, to a record whose features are shown so many times."""
        assert self.clip is not None
        ratio, law = 2 / self.scale, self.law == "gaussian"
        epsilon = gaussian_epsilon(times**0.5 * ratio, self.delta) if law else times * laplace_epsilon(ratio)
        at = f" at delta {self.delta:g}" if law else ""
        return (
            f"rows of features: epsilon {epsilon:.3g}{at} for another record in place of one, which is in {times} "
            "batches at most; gradients that cross beside them are not covered"
        )

    @property
    def epsilon(self) -> float | None:
        """ε of one query; None without clipping. The distance of two clipped records is at most 2 `clip`."""
        if self.clip is None:
            return None
        ratio = 2 / self.scale
        return gaussian_epsilon(ratio, self.delta) if self.law == "gaussian" else laplace_epsilon(ratio)

    @property
    def guarantee(self) -> str:
        """What it guarantees, in words."""
        if self.epsilon is None:
            return "no ε can be given, since no clip bounds what two records may differ by"
        at = f" at δ = {self.delta:g}" if self.law == "gaussian" else ""
        return (
            f"local differential privacy with ε = {self.epsilon:.3g}{at} for each query; k queries spend k times that"
        )
