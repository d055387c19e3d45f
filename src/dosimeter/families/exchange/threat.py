"""Exchange's keys of `[[threat]]`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from dosimeter.families.threat import ThreatTable
from dosimeter.foundation.table import Reference

NAME = "exchange"
"""Name of the family."""
Channel = Literal["gradient", "update", "representations", "moments", "alignment_gradient"]
"""What of the messages an attack reads: the victim's gradient of the trunk, its update of the trunk by several steps,
its representations, their mean and covariance alone, or the gradient of the alignment that it sends back."""

Question = Literal["property", "records", "tasks", "distribution"]
"""What is secret: on which side the property of each batch is, the records of some batches, the tasks trained on, or
how many of all records trained on have the property."""
MANY = 40
"""Joint trainings of the question of a distribution, unless the threat says how many."""
READ_BY: Mapping[str, tuple[Question, ...]] = {
    "property": ("property", "tasks", "distribution"),
    "value": ("property", "distribution"),
    "mixtures": ("property", "distribution"),
    "active": ("property",),
    "shadows": ("distribution",),
    **dict.fromkeys(("batches", "head", "show_records"), ("records",)),
}
"""Keys that not every question reads."""


class ExchangeThreat(ThreatTable):
    """The threat model: who of the parties watches whom, and what of the victim's batches is the secret.

    An adversary that is `active` departs from the protocol: it adds a loss about the property to its own. `shadows` are
    joint trainings that the adversary plays with records of its own, half of them in each world.
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
    shadows: int = Field(default=40, ge=8, le=1000)

    @model_validator(mode="before")
    @classmethod
    def _many(cls, raw: Any) -> Any:
        """Each training of the question of a distribution is one case that is guessed, so one would show nothing."""
        if isinstance(raw, dict) and raw.get("question") == "distribution":
            return {"targets": MANY, **raw}
        return raw
