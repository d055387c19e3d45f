"""A check of an audit, with its result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Gate:
    """One check.

    Attributes:
        id: its number.
        name: in words.
        status: "pass", "warn" (the number stands, but read this) or "fail" (withdrawn).
        value: the number it was decided on.
        message: one sentence.
    """

    id: str
    name: str
    status: Literal["pass", "warn", "fail"]
    value: float | None
    message: str
