"""The audits of the single chains of an audit file."""

from __future__ import annotations

import dataclasses

from dosimeter.config.audit import Audit
from dosimeter.config.stages.leg_topologies import by_leg
from dosimeter.config.stages.legs import Leg, leg_of, legs_of


def split(audit: Audit, *, asked: bool = True) -> tuple[tuple[Leg, Audit], ...]:
    """The audits of the single chains, each with its threats; without variants.

    Args:
        audit: the whole file.
        asked: without those of which no threat asks.
    """
    legs = legs_of(audit.stages)
    if len(legs) == 1:
        return ((legs[0], audit),)
    found = []
    told = [None] * len(legs) if audit.topology is None else [one for one, _ in by_leg(audit.topology, audit.stages)]
    for leg, topology in zip(legs, told, strict=True):
        rows = tuple(row for row in audit.threats if leg_of(audit.stages, row.threat.at_risk, row.family) == leg)
        if rows or not asked:
            own = dataclasses.replace(
                audit, stages=tuple(audit.stages[index] for index in leg), threats=rows, variants=(),
                defenses=tuple(audit.defenses[index] for index in leg),
                topology=topology,
            )  # fmt: skip
            found.append((leg, own))
    return tuple(found)
