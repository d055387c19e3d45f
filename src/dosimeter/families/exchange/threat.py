"""Exchange's keys of `[[threat]]`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from dosimeter.families.threat import ThreatTable
from dosimeter.foundation.table import Reference

NAME = "exchange"
"""Name of the family."""
Channel = Literal["gradient", "update", "representations", "moments", "alignment_gradient"]
"""What of the messages an attack reads: the victim's gradient of the trunk, its update of the trunk by several steps,
its representations, their mean and covariance alone, or the gradient of the alignment that it sends back."""

Question = Literal["property", "records", "tasks"]
"""What is secret: on which side the property of each batch is, the records of some batches, or the tasks trained on."""
READ_BY: Mapping[str, tuple[Question, ...]] = {
    "property": ("property", "tasks"),
    "value": ("property",),
    "mixtures": ("property",),
    "active": ("property",),
    **dict.fromkeys(("batches", "head", "show_records"), ("records",)),
}
"""Keys that not every question reads."""


class ExchangeThreat(ThreatTable):
    """The threat model: who of the parties watches whom, and what of the victim's batches is the secret.

    An adversary that is `active` departs from the protocol: it adds a loss about the property to its own.
    """

    family: str = NAME
    access: Literal["weights"] = "weights"
    question: Question = "property"
    victim: Reference | None = None
    adversary: Reference | None = None
    active: bool = False
    property: Reference | None = None
    value: str | None = Field(default=None, min_length=1)
    auxiliary: Reference | None = None
    mixtures: tuple[tuple[float, float], ...] = Field(default=((0.7, 0.3),), min_length=1, max_length=20)
    steps: int | None = Field(default=None, ge=20, le=1_000_000)
    targets: int = Field(default=1, ge=1, le=100)
    batches: int = Field(default=20, ge=8, le=1000)
    head: Literal["private", "seen"] = "private"
    show_records: bool = False
