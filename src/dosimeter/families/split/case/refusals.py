"""Which attacks cannot run, and why; which play on the answers too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dosimeter.families.attack import NamedAttack
from dosimeter.families.split.attacks import MeanInput
from dosimeter.families.split.case.people import People
from dosimeter.families.split.game import Needs
from dosimeter.families.split.play.job import adaptive
from dosimeter.families.split.threat import GRADES, SplitThreat
from dosimeter.foundation.errors import ConfigError


def refusals(
    attacks: Sequence[NamedAttack],
    threat: SplitThreat,
    people: People,
    *,
    recorded: bool = False,
    closed: str = "",
    finished: str = "",
) -> Mapping[str, str]:
    """Why each attack cannot run, by id; attacks that can are left out.

    Args:
        attacks: to run.
        threat: the adversary.
        people: whose records they are.
        recorded: whether traffic was recorded elsewhere, so that the model is not here.
        closed: why nobody can follow the first half's gradients; empty where they can.
        finished: why nobody can return gradients of their choice to its training; empty where they can.
    """
    found = {row.id: _refusal(row, threat, people, recorded) for row in attacks}
    if closed:
        found |= {
            row.id: f"needs gradients of the first half, but {closed}: leave it out"
            for row in attacks
            if not found[row.id] and (row.attack.needs.knows == "weights" or row.attack.needs.form)
        }
    if finished:
        found |= {row.id: f"{finished}: leave the attack out" for row in attacks if row.attack.needs.active}
    return {row: reason for row, reason in found.items() if reason}


def _refusal(row: NamedAttack, threat: SplitThreat, people: People, recorded: bool) -> str:
    """Why one attack cannot run; empty if it can."""
    needs: Needs = row.attack.needs
    plain = not people.victims.tokens and people.victims.inputs.dtype.kind in "fu"
    if needs.gradients and not threat.gradients:
        return "needs gradients that come back over the cut, but threat.gradients is false: grant it or leave it out"
    if needs.active and not threat.active:
        return "needs to decide what comes back in training, but threat.active is false: grant it or leave it out"
    if recorded and (needs.knows == "weights" or needs.rest or needs.asks or needs.gradients or needs.form):
        return "needs a half of the model, which recorded traffic has not: leave the attack out"
    if GRADES.index(needs.knows) > GRADES.index(threat.knows):
        return f"needs knows = {needs.knows!r}, but threat.knows is {threat.knows!r}: grant it or leave the attack out"
    if threat.answers == "hidden" and ((needs.reads == "answers" and not row.attack.control) or needs.rest):
        return "needs the model's answers, but threat.answers is 'hidden': leave the attack out"
    if needs.goal == "attribute" and not people.secrets:
        return "needs an attribute to seek: name `attributes` in the threat, or leave the attack out"
    if (needs.goal == "input" or needs.reads == "inputs" or needs.plain) and not plain:
        return "needs pictures or other plain numbers, got texts: leave the attack out"
    if needs.pictures and not people.pictures:
        return "needs pictures with numbers in [0, 1], got other records: leave the attack out"
    return ""


def listed(row: NamedAttack, refused: str, *, counterpart: bool) -> dict[str, Any]:
    """Entry of `run.json` about an attack, with what it is after and what it reads."""
    needs = row.attack.needs
    return {
        **row.listed(refused),
        "goal": needs.goal,
        "reads": needs.reads,
        "counterpart": counterpart,
        "adaptive": adaptive(row),
        "active": needs.active,
        "anchor": type(row.attack) is MeanInput,
    }


def has_counterpart(row: NamedAttack) -> bool:
    """Returns whether an attack plays on the answers too, since no yardstick of the same strength does.

    An attack of the user's own has one unless its class says `counterpart = False`. A naive one sets no floor.
    """
    attack = row.attack
    yardstick = attack.control or getattr(attack, "reference", False) or attack.needs.reads != "features"
    return not yardstick and adaptive(row) and bool(getattr(attack, "counterpart", True))


def require_telling(attacks: Sequence[NamedAttack], refused: Mapping[str, str]) -> None:
    """Refuses a case of which no attack on features can run.

    Args:
        attacks: of the case.
        refused: why some cannot run, by id.

    Raises:
        ConfigError: why none can.
    """
    telling = [
        row
        for row in attacks
        if row.attack.needs.reads == "features"
        and not row.attack.control
        and adaptive(row)
        and not getattr(row.attack, "reference", False)
    ]
    if all(row.id in refused for row in telling):
        told = (
            "; ".join(f"{row.id}: {refused[row.id]}" for row in telling)
            or "none that knows the defenses of the cut reads them"
        )
        raise ConfigError(f"threat.family: split needs an attack that can run, got {told}")
