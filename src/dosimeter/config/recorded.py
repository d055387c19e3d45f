"""An audit file about what was recorded elsewhere: `[target] transcript`, in the place of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dosimeter.config.combinations import network_problems
from dosimeter.config.named_parts import DataPart
from dosimeter.config.sent_defenses import listed
from dosimeter.config.tables import RecordedTarget, Report
from dosimeter.config.threat_rows import ThreatRow
from dosimeter.foundation.wording import quote
from dosimeter.training.defending import DefenseRow


@dataclass(frozen=True)
class RecordedAudit:
    """A validated audit file about traffic over a cut, or about the messages of a joint training.

    Attributes:
        name: name of the run's folder.
        seed: root of all randomness.
        transcript: folder of what was recorded, relative to `base`.
        threats: the adversaries, in order.
        report: wording of the report.
        base: folder of the audit file; relative paths and user modules are found from here.
        parts: the records by name.
        common: settings that every kind of audit file has, as JSON values.
        model: of a joint training: `model`, `options` and `head` of the network that its parties shared; else empty.
        variants: further audits, each with one defense tried on the messages.
    """

    name: str
    seed: int
    transcript: str
    threats: tuple[ThreatRow, ...]
    report: Report
    base: Path
    parts: Mapping[str, DataPart] = field(default_factory=dict)
    common: Mapping[str, Any] = field(default_factory=dict)
    model: Mapping[str, Any] = field(default_factory=dict)
    variants: tuple[DefenseRow, ...] = ()

    def settings(self) -> dict[str, Any]:
        """All keys with defaults filled in, as JSON values; stored in a run's folder."""
        data = {name: part.model_dump(mode="json", by_alias=True) for name, part in self.parts.items()}
        target = {"transcript": self.transcript, **self.model}
        return {**self.common, "target": target, "data": data, **listed(self.variants)}


def is_recorded(whole: Mapping[str, Any]) -> bool:
    """Returns whether an audit file is about recorded traffic."""
    target = whole.get("target")
    return isinstance(target, Mapping) and "transcript" in target


def model_of(target: RecordedTarget) -> dict[str, Any]:
    """The network that the parties of a joint training shared, as JSON values; empty where none is named."""
    return {} if target.model is None else target.model_dump(mode="json", exclude={"transcript"})


def recorded_problems(
    target: RecordedTarget, rows: Sequence[ThreatRow], parts: Mapping[str, DataPart], base: Path
) -> list[str]:
    """Impossible combinations around what was recorded, one line each.

    Args:
        target: the folder, and of a joint training its network.
        rows: the adversaries.
        parts: the records by name.
        base: folder of the audit file.
    """
    problems = [
        f"{row.place}.family: reads no recorded traffic, got {row.family.name!r}: use family = 'split' for what "
        "crosses a cut, or 'exchange' for the messages of a joint training"
        for row in rows
        if "transcript" not in row.family.takes
    ]
    if not parts:
        problems.append(
            "target.transcript: needs the records that were sent, and those of the adversary, got none: name them as "
            "in [data.victims] and [data.auxiliary]; messages of a joint training need [data.auxiliary] alone"
        )
    return problems + model_problems(target, rows, base)


def model_problems(target: RecordedTarget, rows: Sequence[ThreatRow], base: Path) -> list[str]:
    """Problems with the network that the parties of a joint training shared; arguments as of `recorded_problems`."""
    joint = [row for row in rows if "parties" in row.family.takes]
    if joint and target.model is None:
        return [
            "target.model: is required and missing: name the network whose layers the parties shared, as in a "
            "[[stage]], such as 'mlp' or 'package.module:function'"
        ]
    if not joint and target.model_fields_set - {"transcript"}:
        odd = sorted(target.model_fields_set - {"transcript"})[0]
        return [
            f"target.{odd}: no threat of this file reads it, got {quote(getattr(target, odd))}: remove it, or add the "
            "threat that does, of family 'exchange'"
        ]
    return [f"target.{line}" for line in network_problems(target.model, target.options, base)]
