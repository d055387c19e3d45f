"""Fisher noise: as much Gaussian noise as brings the Fisher information of what is sent down to a target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from dosimeter.defenses.cut.additive import Additive
from dosimeter.foundation import checks
from dosimeter.foundation.errors import ConfigError
from dosimeter.training.cuts.fisher import traces
from dosimeter.training.cuts.place import CutPlace


@dataclass(frozen=True)
class FisherNoise:
    """Add Gaussian noise with σ² = mean tr(JᵀJ) / (target · d): then dFIL = tr(I) / d is the target, on average.

    Paper: Maeng, Guo, Kariyappa, Suh, "Bounding the Invertibility of Privacy-preserving Instance Encoding using Fisher
    Information", 2023, https://arxiv.org/abs/2305.04146. J are the derivatives of a record's features by its d numbers,
    and I = JᵀJ / σ².

    1 / dFIL bounds the mean squared error of attacks without bias only. Attacks that know what records look like do
    far better: see the table in docs/split.md.

    Stronger: a smaller target.
    Deviations: one σ for all records; the trace is a mean over training records and random vectors. Where another
    defense stands before it, derivatives are those of the model alone.
    Cost: `probes` backward passes of training records, once; one random number for each number that is sent.

    Attributes:
        target: dFIL, in units of one over the square of a record's numbers, above 0.
        probes: random vectors for each record.
    """

    paper: ClassVar[str] = "Maeng et al., 2023, https://arxiv.org/abs/2305.04146"
    place: ClassVar[str] = "cut"
    ladder: ClassVar[tuple[dict[str, Any], ...]] = ({"target": 3.0}, {"target": 0.75}, {"target": 0.2})

    target: float = 1.0
    probes: int = 8

    def __post_init__(self) -> None:
        checks.in_range("target", self.target, 0, 1e12, open_low=True)
        checks.in_range("probes", self.probes, 1, 1000)

    def fitted(self, place: CutPlace) -> Additive:
        """The noise of this model.

        Raises:
            ConfigError: records are no plain numbers, or features do not depend on them.
        """
        records = place.records
        if not records.is_floating_point():
            raise ConfigError("defense fisher_noise: needs records of plain numbers, got tokens: use 'noise'")
        units = torch.ones(records.shape[1:], device=records.device)
        mean = float(traces(place.first, records, units, probes=self.probes, seed=0).mean())
        if not mean > 0:
            raise ConfigError(
                "defense fisher_noise: features do not change with the records, so no noise is needed: leave it out"
            )
        return Additive("gaussian", (mean / (self.target * records[0].numel())) ** 0.5)

    def restored(self, kept: Mapping[str, Tensor]) -> Additive:
        """The noise of a model that was stored."""
        return Additive("gaussian", float(kept["scale"]))

    @property
    def guarantee(self) -> str:
        """What it guarantees, in words."""
        return "no ε can be given; 1 / dFIL bounds the error of attacks without bias, and of no others"
