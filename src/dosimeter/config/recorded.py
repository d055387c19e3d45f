"""An audit file about recorded traffic: `[target] transcript`, in the place of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dosimeter.config.named_parts import DataPart
from dosimeter.config.tables import Report
from dosimeter.config.threat_rows import ThreatRow


@dataclass(frozen=True)
class RecordedAudit:
    """A validated audit file about recorded traffic.

    Attributes:
        name: name of the run's folder.
        seed: root of all randomness.
        transcript: folder of the traffic, relative to `base`.
        threats: the adversaries, in order.
        report: wording of the report.
        base: folder of the audit file; relative paths and user modules are found from here.
        parts: the records by name.
        common: settings that every kind of audit file has, as JSON values.
    """

    name: str
    seed: int
    transcript: str
    threats: tuple[ThreatRow, ...]
    report: Report
    base: Path
    parts: Mapping[str, DataPart] = field(default_factory=dict)
    common: Mapping[str, Any] = field(default_factory=dict)

    def settings(self) -> dict[str, Any]:
        """All keys with defaults filled in, as JSON values; stored in a run's folder."""
        data = {name: part.model_dump(mode="json", by_alias=True) for name, part in self.parts.items()}
        return {**self.common, "target": {"transcript": self.transcript}, "data": data}


def is_recorded(whole: Mapping[str, Any]) -> bool:
    """Returns whether an audit file is about recorded traffic."""
    target = whole.get("target")
    return isinstance(target, Mapping) and "transcript" in target


def recorded_problems(rows: Sequence[ThreatRow], parts: Mapping[str, DataPart]) -> list[str]:
    """Impossible combinations around recorded traffic, one line each."""
    problems = [
        f"{row.place}.family: reads no recorded traffic, got {row.family.name!r}: use family = 'split'"
        for row in rows
        if "transcript" not in row.family.takes
    ]
    if not parts:
        problems.append(
            "target.transcript: needs the records that were sent, got none: name them in [data.victims] and "
            "[data.auxiliary]"
        )
    return problems
