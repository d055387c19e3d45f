"""Yardsticks that stand beside every list of attacks, so that no check depends on who remembered to name them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dosimeter.families.attack import NamedAttack
from dosimeter.families.split.attacks import AttributePool, MeanInput
from dosimeter.families.split.case.refusals import has_counterpart
from dosimeter.families.split.game import Goal
from dosimeter.families.split.threat import SplitThreat

GOALS: tuple[Goal, ...] = ("input", "attribute")


def lacking(threat: SplitThreat, attacks: Sequence[NamedAttack]) -> list[dict[str, Any]]:
    """Rows of the yardsticks that a list of attacks lacks.

    The mean record, without which nobody knows whether a reconstruction failed. The attack on answers, without which
    nobody knows whether features tell more than those: an attack with a counterpart does not stand for it, since it
    may be refused, or follow gradients that are 0. Who knows nothing of the first half has nothing else.
    For attributes, the same classifiers on the inputs, without which nobody knows whether the adversary's labels teach
    anything at all, and a coin, which must be at chance.

    Args:
        threat: the adversary.
        attacks: the list.
    """
    found: list[dict[str, Any]] = []
    for goal in GOALS:
        mine = [row for row in attacks if row.attack.needs.goal == goal]
        reading = [row for row in mine if row.attack.needs.reads == "features" and not row.attack.control]
        floors = [row for row in mine if _reads_answers(row) or (threat.knows == "nothing" and has_counterpart(row))]
        if threat.answers == "seen" and reading and not floors:
            found.append({"name": "output_only", "mode": goal})
        if goal == "input" and reading and not any(type(row.attack) is MeanInput for row in mine):
            found.append({"name": "mean_input"})
        if goal == "attribute" and reading:
            found += _of_attributes(threat, mine)
    return found


def _of_attributes(threat: SplitThreat, mine: Sequence[NamedAttack]) -> list[dict[str, Any]]:
    """Rows of the ceiling and of the control that a list of attacks on attributes lacks.

    Args:
        threat: the adversary; who can make no features of their own records has none to learn the ceiling on.
        mine: the attacks on attributes.
    """
    found: list[dict[str, Any]] = []
    if threat.knows != "nothing" and not any(row.attack.needs.reads == "inputs" for row in mine):
        pool = next((row.attack for row in mine if isinstance(row.attack, AttributePool)), None)
        found.append({"name": "raw_input", **({} if pool is None else {"classifiers": tuple(pool.classifiers)})})
    if not any(row.attack.control for row in mine):
        found.append({"name": "attribute_coin"})
    return found


def _reads_answers(row: NamedAttack) -> bool:
    """Returns whether an attack sets a floor by what it makes of the answers."""
    return row.attack.needs.reads == "answers" and not row.attack.control
