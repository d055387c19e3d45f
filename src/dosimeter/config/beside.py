"""The tables beside the chain: parts of data with a name, and who holds and runs what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dosimeter.config.named_parts import DataPart, read_parts
from dosimeter.config.stages.joint import joint_problems
from dosimeter.config.tables import Stage
from dosimeter.config.topology import read_topology
from dosimeter.families.topology import Topology


@dataclass(frozen=True)
class Beside:
    """What an audit file holds beside stages, adversary and attacks.

    Attributes:
        parts: the valid `[data.NAME]` tables.
        topology: who holds and runs what, or None.
        problems: problems with all of it, one line each.
    """

    parts: Mapping[str, DataPart] = field(default_factory=dict)
    topology: Topology | None = None
    problems: tuple[str, ...] = ()


def read_beside(whole: Mapping[str, Any], stages: Sequence[Stage | None], base: Path) -> Beside:
    """Reads the tables beside the chain.

    Args:
        whole: the file's tables, with tuples for lists.
        stages: valid stages, None for the others.
        base: folder of the audit file.
    """
    parts, problems = read_parts(whole, stages, base)
    named = whole.get("data")
    known = list(named) if isinstance(named, Mapping) else []
    topology, of_topology = read_topology(whole, stages=_names(whole.get("stage")), data=known)
    return Beside(parts, topology, (*problems, *of_topology, *joint_problems(stages, known)))


def _names(raw: Any) -> list[str]:
    """Names of all stages, also of those with problems."""
    rows = raw if isinstance(raw, tuple) else ()
    return [row["name"] for row in rows if isinstance(row, Mapping) and isinstance(row.get("name"), str)]


def beside_settings(parts: Mapping[str, DataPart], topology: Topology | None) -> dict[str, Any]:
    """The tables beside the chain as JSON values; none for a file that has none."""
    data = {name: part.model_dump(mode="json", by_alias=True) for name, part in parts.items()}
    return ({"data": data} if data else {}) | ({} if topology is None else {"topology": topology.settings()})
