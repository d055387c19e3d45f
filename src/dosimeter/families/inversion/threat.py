"""Inversion's keys of `[[threat]]`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dosimeter.families.threat import AccessName, ThreatTable
from dosimeter.foundation.table import Reference

NAME = "inversion"
"""Name of the family."""
PRINCIPAL = "principal"
"""Name of the prior that is not trained by steps."""
TRAINED = {"vae": 1000, "wgan": 1000}
"""Priors that are trained by steps, with the number of steps unless an audit file says otherwise."""

NETWORK = "network"
"""Judges who see with trained networks."""


class InversionThreat(ThreatTable):
    """The threat model: what the adversary sees of the model, and the records of other people that they hold."""

    family: str = NAME
    access: AccessName = "weights"
    public: Reference | None = None
    targets: int = Field(default=1, ge=1, le=1000)
    pictures: float = Field(default=0.5, gt=0, lt=1)
    latent: int = Field(default=64, ge=1, le=4096)
    prior: Reference = PRINCIPAL
    prior_steps: int | None = Field(default=None, ge=1, le=10_000_000)
    judges: Literal["linear", "network"] = "linear"
    verifier: Reference | None = None
    show_records: bool = False
    fisher: bool = False
    kid: bool = False

    @property
    def strangers(self) -> tuple[str, ...]:
        """The public records, and those from whom the judges alone learn."""
        return tuple(one for one in (self.public, self.verifier) if one is not None)
