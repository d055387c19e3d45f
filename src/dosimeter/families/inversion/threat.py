"""Inversion's keys of `[[threat]]`."""

from __future__ import annotations

from pydantic import Field

from dosimeter.families.threat import AccessName, ThreatTable
from dosimeter.foundation.table import Reference

NAME = "inversion"
"""Name of the family."""


class InversionThreat(ThreatTable):
    """The threat model: what the adversary sees of the model, and the records of other people that they hold."""

    family: str = NAME
    access: AccessName = "weights"
    public: Reference | None = None
    targets: int = Field(default=1, ge=1, le=1000)
    pictures: float = Field(default=0.5, gt=0, lt=1)
    latent: int = Field(default=64, ge=1, le=4096)
    show_records: bool = False
    fisher: bool = False
