"""A topology as each chain of a file has it, where joint stages branch off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dosimeter.config.stages.joint import role_of
from dosimeter.config.stages.legs import legs_of
from dosimeter.config.tables import Stage
from dosimeter.families.sights import StageRole
from dosimeter.families.topology import Topology


def by_leg(topology: Topology, stages: Sequence[Stage | None]) -> tuple[tuple[Topology, tuple[StageRole, ...]], ...]:
    """The topology of each chain in order, with its stages.

    A stage that chains share is told of with the first of them alone, so that nothing is said twice. Records that
    another chain is trained on are no queries of this one.

    Args:
        topology: of the whole file.
        stages: of the file, None for those that are wrong.
    """
    roles = [None if one is None else role_of(one) for one in stages]
    found, covered = [], frozenset[str]()
    for leg in legs_of(stages):
        own = tuple(role for index in leg if (role := roles[index]) is not None)
        others = {data for role in roles if role is not None and role not in own for data in role.trained}
        elsewhere = frozenset(one for one in others if one is not None)
        found.append((replace(topology, covered=covered, elsewhere=elsewhere), own))
        covered |= {role.name for role in own}
    return tuple(found)
