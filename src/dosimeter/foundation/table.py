"""Base class of all tables of an audit file, and the names that they may hold."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
"""Pattern of the name of a stage or of a run's folder."""
Reference = Annotated[str, Field(min_length=1, max_length=500)]


class Table(BaseModel):
    """A table of the audit file: frozen, no unknown keys, no conversion between types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
