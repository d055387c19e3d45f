"""Noise: Gaussian or Laplace noise on everything that crosses the cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from dosimeter.defenses.cut.additive import Additive, spread_of
from dosimeter.foundation import checks
from dosimeter.statistics.leakage.local_privacy import gaussian_epsilon, laplace_epsilon
from dosimeter.training.cuts.place import CutPlace, Law


@dataclass(frozen=True)
class Noise:
    """Add independent noise to each number that is sent, fresh for each query; clip a record's features before.

    Paper: Balle, Wang, "Improving the Gaussian Mechanism for Differential Privacy: Analytical Calibration and Optimal
    Denoising", 2018, https://arxiv.org/abs/1805.06530, for clipped features and ε; noise on features without clipping:
    Wang et al., 2018, https://arxiv.org/abs/1809.03428.

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
