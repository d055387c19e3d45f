"""Chains of one audit file: the plain stages, and beside them each joint stage that branches off."""

from __future__ import annotations

from collections.abc import Sequence

from dosimeter.config.tables import Stage
from dosimeter.families.family import Family

Leg = tuple[int, ...]
"""Positions of the stages of one chain in the file, in order."""


def legs_of(stages: Sequence[Stage | None]) -> tuple[Leg, ...]:
    """The chains of a file: the plain stages if there are any, then one for each joint stage.

    A joint stage starts from the stage that `after` names, from a model of its own, or else from the last plain one.
    All stages are one chain where there is a single joint one without `after`, or where plain stages
    follow a joint one.

    Args:
        stages: of the file, None for those that are wrong.
    """
    plain = tuple(index for index, one in enumerate(stages) if one is not None and not one.joint)
    joint = [(index, one) for index, one in enumerate(stages) if one is not None and one.joint]
    alone = len(joint) == 1 and joint[0][1].after is None
    if None in stages or not joint or alone or (plain and plain[-1] > joint[0][0]):
        return (tuple(range(len(stages))),)
    names = [one.name if one is not None else "" for one in stages]
    found = [plain] if plain else []
    for index, stage in joint:
        before = plain if stage.model is None else ()
        if stage.after in names:
            before = plain[: names.index(stage.after) + 1]
        found.append((*before, index))
    return tuple(found)


def last_of(stages: Sequence[Stage | None], at_risk: str | None, family: Family) -> str | None:
    """Name of the last stage of the chain that a threat is about; None if that cannot be told.

    Args:
        stages: of the file, None for those that are wrong.
        at_risk: the stage that the threat names, or None.
        family: of its attacks; some ask of joint stages, others of plain ones.
    """
    leg = leg_of(stages, at_risk, family)
    last = stages[leg[-1]] if leg else None
    return None if last is None else last.name


def leg_of(stages: Sequence[Stage | None], at_risk: str | None, family: Family) -> Leg:
    """The chain that a threat is about; of several joint ones it must name one, else the first is meant.

    Args:
        stages: of the file, None for those that are wrong.
        at_risk: the stage that the threat names, or None.
        family: of its attacks.
    """
    legs = legs_of(stages)
    if len(legs) == 1:
        return legs[0]
    joint = [leg for leg in legs if _ends_joint(stages, leg)]
    named = [leg for leg in joint if getattr(stages[leg[-1]], "name", None) == at_risk]
    if named:
        return named[0]
    if "parties" in family.takes:
        return joint[0]
    return next((leg for leg in legs if not _ends_joint(stages, leg)), joint[0])


def _ends_joint(stages: Sequence[Stage | None], leg: Leg) -> bool:
    """Returns whether parties train the last stage of a chain together."""
    last = stages[leg[-1]]
    return last is not None and last.joint
