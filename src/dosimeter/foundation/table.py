"""Base class of all tables of an audit file, and the names that they may hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dosimeter.foundation.errors import ConfigError
from dosimeter.foundation.findings import findings, lines, scan

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
"""Pattern of the name of a stage or of a run's folder."""
Reference = Annotated[str, Field(min_length=1, max_length=500)]


class Table(BaseModel):
    """A table of the audit file: frozen, no unknown keys, no conversion between types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


T = TypeVar("T", bound=Table)


def arguments(model: type[T], names: Mapping[str, str] | None = None, /, **given: Any) -> T:
    """A table that Python code or the command line gives key by key.

    Args:
        model: the table.
        names: what messages call a key, where that is not its own name.
        given: its keys; None stands for the default.

    Raises:
        ConfigError: every key that is wrong, one line each.
    """
    given = {key: value for key, value in given.items() if value is not None}
    found, table = scan(given), None
    try:
        table = model.model_validate(given)
    except ValidationError as error:
        found += findings(error, "", model.model_fields)
    if found or table is None:
        raise ConfigError(*lines(((names or {}).get(place, place), text) for place, text in found))
    return table
