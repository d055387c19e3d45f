"""Exchange's keys of `[[threat]]`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dosimeter.families.threat import ThreatTable
from dosimeter.foundation.table import Reference

NAME = "exchange"
"""Name of the family."""
Channel = Literal["gradient", "update", "representations", "moments", "alignment_gradient"]
"""What of the messages an attack reads: the victim's gradient of the trunk, its update of the trunk by several steps,
its representations, their mean and covariance alone, or the gradient of the alignment that it sends back."""


class ExchangeThreat(ThreatTable):
    """The threat model: who of the parties watches whom, and which property of a batch is the secret."""

    family: str = NAME
    access: Literal["weights"] = "weights"
    victim: Reference | None = None
    adversary: Reference | None = None
    property: Reference | None = None
    value: str | None = Field(default=None, min_length=1)
    auxiliary: Reference | None = None
    mixtures: tuple[tuple[float, float], ...] = Field(default=((0.7, 0.3),), min_length=1, max_length=20)
    steps: int | None = Field(default=None, ge=20, le=1_000_000)
    targets: int = Field(default=1, ge=1, le=100)
