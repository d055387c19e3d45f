"""The tables `[threat]` and `[spike]`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dosimeter.foundation.table import Table
from dosimeter.foundation.view_names import WORD_VIEWS
from dosimeter.models.access import Access

AccessName = Literal["labels", "topk", "probs", "logits", "features", "weights"]
"""What a deployed model may give away, as users write it."""
Knowledge = Literal["finetuning-data", "initialisation"]
"""Further knowledge of the adversary about a transfer after the stage at risk."""
VIEWS = (
    "identity", "flip", "left", "right", "up", "down", "flip+left", "flip+right", "flip+up", "flip+down", *WORD_VIEWS,
)  # fmt: skip


class Threat(Table):
    """The threat model: the adversary's knowledge and holdings, and the records that are judged."""

    at_risk: str | None = None
    access: AccessName = "logits"
    shadows: int = Field(default=16, ge=2, le=10_000)
    targets: int = Field(default=1, ge=1)
    candidates: int | None = Field(default=None, ge=2)
    population: int = Field(default=0, ge=0)
    stratify: bool = False
    views: tuple[str, ...] | Literal["auto"] = "auto"
    rehearsals: int = Field(default=8, ge=2)
    unit: Literal["record", "person"] = "record"
    knows: tuple[Knowledge, ...] = ()
    fold_pairs: int = Field(default=1, ge=1, le=1000)

    @property
    def access_flag(self) -> Access:
        """The access as a flag."""
        return Access[self.access.upper()]

    @property
    def models(self) -> int:
        """Models of the stage at risk: the shadows of a fold, and its targets with their complements."""
        return self.shadows + 2 * self.fold_pairs


class Spike(Table):
    """Canaries that are planted in the stage at risk: graded leaks that an audit must find."""

    kinds: tuple[Literal["plain", "mislabelled", "noise"], ...] = Field(
        default=("plain", "mislabelled", "noise"), min_length=1
    )
    count: int = Field(default=20, ge=2, le=100_000)
    copies: tuple[Annotated[int, Field(ge=1, le=10_000)], ...] = Field(default=(1, 4), min_length=1, max_length=20)
