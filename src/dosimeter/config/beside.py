"""The tables beside the chain: parts of data with a name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dosimeter.config.named_parts import DataPart, read_parts
from dosimeter.config.tables import Stage


@dataclass(frozen=True)
class Beside:
    """What an audit file holds beside stages, adversary and attacks.

    Attributes:
        parts: the valid `[data.NAME]` tables.
        problems: problems with all of it, one line each.
    """

    parts: Mapping[str, DataPart] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def read_beside(whole: Mapping[str, Any], stages: Sequence[Stage | None], base: Path) -> Beside:
    """Reads the tables beside the chain.

    Args:
        whole: the file's tables, with tuples for lists.
        stages: valid stages, None for the others.
        base: folder of the audit file.
    """
    parts, problems = read_parts(whole, stages, base)
    return Beside(parts, tuple(problems))


def beside_settings(parts: Mapping[str, DataPart]) -> dict[str, Any]:
    """The tables beside the chain as JSON values; none for a file that has none."""
    data = {name: part.model_dump(mode="json", by_alias=True) for name, part in parts.items()}
    return {"data": data} if data else {}
