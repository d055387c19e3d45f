"""Membership's keys of `[[threat]]`, and the table `[spike]`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from dosimeter.families.threat import ThreatTable
from dosimeter.foundation.table import Table
from dosimeter.foundation.view_names import WORD_VIEWS

Knowledge = Literal["finetuning-data", "initialisation"]
"""Further knowledge of the adversary about a transfer after the stage at risk."""
VIEWS = (
    "identity", "flip", "left", "right", "up", "down", "flip+left", "flip+right", "flip+up", "flip+down", *WORD_VIEWS,
)  # fmt: skip


LEAST_REHEARSING = 4
"""Fewest shadows of a target of which one pair can rehearse before another."""


HALVES_SET_THRESHOLDS = "halves of the records set thresholds for each other"
"""What sets thresholds where no shadow rehearses."""


def rehearses(shadows: int) -> bool:
    """Returns whether so many shadows can set thresholds: one pair plays the target, and another is left to attack it.

    >>> rehearses(2), rehearses(4)
    (False, True)
    """
    return shadows >= LEAST_REHEARSING


class Spike(Table):
    """Canaries that are planted in the stage at risk: graded leaks that an audit must find."""

    kinds: tuple[Literal["plain", "mislabelled", "noise"], ...] = Field(
        default=("plain", "mislabelled", "noise"), min_length=1
    )
    count: int = Field(default=20, ge=2, le=100_000)
    copies: tuple[Annotated[int, Field(ge=1, le=10_000)], ...] = Field(default=(1, 4), min_length=1, max_length=20)


class Threat(ThreatTable):
    """The threat model: the adversary's knowledge and holdings, and the records that are judged."""

    shadows: int = Field(default=16, ge=0, le=10_000)
    targets: int = Field(default=1, ge=1)
    candidates: int | None = Field(default=None, ge=2)
    population: int = Field(default=0, ge=0)
    stratify: bool = False
    views: tuple[str, ...] | Literal["auto"] = "auto"
    rehearsals: int = Field(default=8, ge=2)
    unit: Literal["record", "person"] = "record"
    knows: tuple[Knowledge, ...] = ()
    fold_pairs: int = Field(default=1, ge=1, le=1000)
    labelled: int = Field(default=0, ge=0, le=1_000_000)
    spike: Spike | None = None

    @property
    def models(self) -> int:
        """Models of the stage at risk: the shadows of a fold, and its targets with their complements."""
        return self.shadows + 2 * self.fold_pairs

    @property
    def most_targets(self) -> int:
        """Largest number of targets: with shadows that rehearse, two pairs of models beyond them set thresholds."""
        return self.models - 4 if rehearses(self.shadows) else self.models

    def views_for(self, augment: Sequence[str]) -> tuple[str, ...]:
        """Query views, at most eight unless listed: the identity, and the augmentations of training.

        Args:
            augment: kinds of augmentation of the stage at risk.
        """
        if self.views != "auto":
            return self.views
        if "drop" in augment:
            return ("identity", *WORD_VIEWS)
        if "shift" in augment:
            return VIEWS[:8] if "flip" in augment else ("identity", "left", "right", "up", "down")
        return ("identity", "flip") if "flip" in augment else ("identity",)
