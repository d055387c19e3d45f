"""Split's keys of `[[threat]]`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dosimeter.families.threat import ThreatTable
from dosimeter.foundation.table import Reference, Table

NAME = "split"
"""Name of the family."""
Knows = Literal["weights", "queries", "nothing"]
"""What the adversary knows of the first half: its weights, what it makes of records of their own, or nothing."""
GRADES: tuple[Knows, ...] = ("nothing", "queries", "weights")
"""From the weakest to the strongest."""


LABEL = "label"
"""Stands for the records' class among attributes, if no attribute has that name."""
VICTIMS, AUXILIARY = "victims", "auxiliary"
"""Names of the records beside a supplied model or recorded traffic, unless a threat names others."""
ALL = "all"
"""Stands for every cut of the model, as far as the time allows."""


class Limits(Table):
    """What a device and its network can bear, for one record, and what a policy allows to leak.

    A cut beyond it is not recommended. A leak is told as in the table of cuts: of two people, how often an attack tells
    which is which, from 0.5 for chance to 1.
    """

    bytes: int | None = Field(default=None, ge=1)
    multiply_adds: int | None = Field(default=None, ge=0)
    leak: float | None = Field(default=None, gt=0.5, lt=1)


class SplitThreat(ThreatTable):
    """The threat model: where the model is cut, whose records cross, and what the adversary knows and holds."""

    family: str = NAME
    access: Literal["features"] = "features"
    cuts: tuple[str, ...] | Literal["all"] = ()
    auxiliary: Reference | None = None
    victims: Reference | None = None
    attributes: tuple[str, ...] = ()
    knows: Knows = "weights"
    answers: Literal["seen", "hidden"] = "seen"
    gradients: bool = False
    active: bool = False
    labels: int | None = Field(default=None, ge=16, le=10_000_000)
    lineup: int = Field(default=100, ge=2, le=1000)
    repeats: int = Field(default=1, ge=1, le=1000)
    targets: int = Field(default=1, ge=1, le=100)
    show_records: bool = False
    limits: Limits | None = None

    @property
    def guests(self) -> tuple[str, ...]:
        """Victims and auxiliary records: beside a supplied model by these very names unless it says otherwise."""
        return (self.victims or VICTIMS, self.auxiliary or AUXILIARY)
