"""The chains that the threats of an audit file are about."""

from __future__ import annotations

from collections.abc import Sequence

from dosimeter.config.stages.legs import last_of, legs_of
from dosimeter.config.tables import Stage
from dosimeter.config.threat_rows import ThreatRow
from dosimeter.families.threat import ThreatTable


def at_last(row: ThreatRow, stages: Sequence[Stage]) -> ThreatTable:
    """A threat with the stage that it is about, where that is not the last one of the file.

    Args:
        row: the threat.
        stages: of the file.
    """
    if row.threat.at_risk is not None or len(legs_of(stages)) == 1:
        return row.threat
    return row.threat.model_copy(update={"at_risk": last_of(stages, None, row.family)})


def leg_problems(stages: Sequence[Stage], rows: Sequence[ThreatRow]) -> list[str]:
    """Threats that must say which of several joint stages they are about.

    Args:
        stages: of the file.
        rows: its threats.
    """
    names = [one.name for one in stages if one.joint]
    if len(names) < 2:
        return []
    told = " or ".join(map(repr, names))
    return [
        f"{row.place}.at_risk: is required where several joint stages are written, got none: write {told}"
        for row in rows
        if "parties" in row.family.takes and row.threat.at_risk is None
    ]
