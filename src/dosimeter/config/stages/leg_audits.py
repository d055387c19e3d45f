"""The audits of the single chains of an audit file."""

from __future__ import annotations

import dataclasses

from dosimeter.config.audit import Audit
from dosimeter.config.stages.legs import Leg, leg_of, legs_of


def split(audit: Audit) -> tuple[tuple[Leg, Audit], ...]:
    """The audits of the single chains, each with its threats, without those that nobody asks; without variants.

    Args:
        audit: the whole file.
    """
    legs = legs_of(audit.stages)
    if len(legs) == 1:
        return ((legs[0], audit),)
    found = []
    for leg in legs:
        rows = tuple(row for row in audit.threats if leg_of(audit.stages, row.threat.at_risk, row.family) == leg)
        if rows:
            own = dataclasses.replace(
                audit, stages=tuple(audit.stages[index] for index in leg), threats=rows, variants=(),
                defenses=tuple(audit.defenses[index] for index in leg),
                topology=audit.topology if leg == legs[0] else None,
            )  # fmt: skip
            found.append((leg, own))
    return tuple(found)
