"""Keys of a `[[threat]]` that all families have."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dosimeter.foundation.table import NAME, Table
from dosimeter.models.access import Access

AccessName = Literal["labels", "topk", "probs", "logits", "features", "weights"]
"""What a deployed model may give away, as users write it."""


class ThreatTable(Table):
    """One `[[threat]]`: an adversary, and whose data they are after. A family adds keys of its own.

    Attributes:
        id: name of the threat, and of its folder; the family's name unless given.
        family: family of its attacks.
        at_risk: whose data: a stage of the chain, or a `[data.NAME]`; the last stage unless given.
        access: what the deployed model gives away.
    """

    id: str | None = Field(default=None, pattern=NAME)
    family: str = "membership"
    at_risk: str | None = None
    access: AccessName = "logits"

    @property
    def access_flag(self) -> Access:
        """The access as a flag."""
        return Access[self.access.upper()]

    @property
    def strangers(self) -> tuple[str, ...]:
        """Names of further records whose classes are others than those of the model, so that they are read apart."""
        return ()

    @property
    def guests(self) -> tuple[str, ...]:
        """Names of further records that may have the classes of the model, or others."""
        return ()
