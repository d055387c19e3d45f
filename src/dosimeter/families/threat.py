"""The threat model in words."""

from __future__ import annotations

from dataclasses import dataclass

from dosimeter.models.access import Access


@dataclass(frozen=True)
class ThreatModel:
    """The adversary in the words that are printed beside every number.

    Attributes:
        at_risk: the stage whose training records are at risk.
        access: what the deployed model gives away.
        shadows: models that the adversary trained themselves.
        population: records they know to be outside every model.
        views: transformed copies of a record that they query.
    """

    at_risk: str
    access: Access
    shadows: int
    population: int
    views: tuple[str, ...]
