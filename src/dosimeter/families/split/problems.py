"""What is wrong with a threat of split, seen without data."""

from __future__ import annotations

from collections.abc import Sequence

from dosimeter.families.attack import NamedAttack
from dosimeter.families.family import Surroundings
from dosimeter.families.split.threat import ALL, SplitThreat
from dosimeter.foundation.wording import quote

ENDS = ("input", "output")
"""Places at which no half is left to cut."""
MOST_CUTS = 50
"""Most cuts of one threat."""


def problems_of(threat: SplitThreat, attacks: Sequence[NamedAttack], around: Surroundings) -> list[str]:
    """Problems with a threat, one line each, as the tail of its place."""
    problems = _of_recorded(threat) if around.recorded else _of_cuts(threat)
    if not around.draws and not around.recorded:
        problems += _of_supplied(threat)
    elif threat.auxiliary is None and not around.recorded:
        problems.append(
            ".auxiliary: is required and missing: name a [data.NAME] with records of others, which the adversary has"
        )
    if threat.auxiliary is not None and threat.auxiliary == threat.victims:
        problems.append(
            f".victims: must be others than the auxiliary records, got {threat.victims!r} twice: name other data"
        )
    problems += _repeated("attributes", threat.attributes)
    if around.transferred:
        problems.append(
            f".at_risk: must be the last stage, whose model is deployed in two halves, got {threat.at_risk!r}: remove "
            "at_risk, or end the chain there"
        )
    if threat.labels is not None and not threat.attributes:
        problems.append(".labels: counts labels of attributes, got no `attributes`: name some, or remove it")
    return [*problems, *_of_attacks(threat, attacks)]


def _of_supplied(threat: SplitThreat) -> list[str]:
    """Problems with a threat on a supplied model."""
    problems = []
    if threat.targets != 1:
        problems.append(f".targets: a supplied model is one model, got {threat.targets}: remove it")
    if threat.at_risk is not None:
        problems.append(
            f".at_risk: names a stage, which a supplied model has not, got {quote(threat.at_risk)}: remove it"
        )
    if threat.active:
        problems.append(
            ".active: a server acts in the training, which a supplied model has behind it, got true: remove it, or "
            "audit the recipe with [[stage]]"
        )
    return problems


def _of_recorded(threat: SplitThreat) -> list[str]:
    """Problems with a threat on recorded traffic."""
    problems = [] if threat.cuts == ALL else _repeated("cuts", threat.cuts)
    if threat.limits is not None and threat.limits.multiply_adds is not None:
        problems.append(
            ".limits.multiply_adds: needs the model, which recorded traffic has not, got "
            f"{threat.limits.multiply_adds}: leave it out"
        )
    if "knows" in threat.model_fields_set and threat.knows == "weights":
        problems.append(
            ".knows: recorded traffic holds no weights, got 'weights': remove it, or audit the model itself with "
            "[[stage]]"
        )
    if threat.targets != 1:
        problems.append(f".targets: recorded traffic is that of one model, got {threat.targets}: remove it")
    if threat.active:
        problems.append(
            ".active: a server acts in the training, and recorded traffic is over, got true: remove it, or audit the "
            "recipe with [[stage]]"
        )
    return problems


def _of_cuts(threat: SplitThreat) -> list[str]:
    """Problems with the list of cuts."""
    if threat.cuts == ALL:
        return []
    if not threat.cuts:
        return [
            ".cuts: is required and missing: name layers after which the model is cut, as `dosimeter plan --topology` "
            "lists them"
        ]
    problems = _repeated("cuts", threat.cuts)
    if len(threat.cuts) > MOST_CUTS:
        problems.append(f".cuts: must be at most {MOST_CUTS}, got {len(threat.cuts)}: leave some out")
    return problems + [
        f".cuts: must leave something on either side, got {quote(one)}: "
        + ("there the records themselves cross" if one == "input" else "`output_only` attacks the answers")
        + ", remove it"
        for one in threat.cuts
        if one in ENDS
    ]


def _of_attacks(threat: SplitThreat, attacks: Sequence[NamedAttack]) -> list[str]:
    """Problems with the attacks that are named together with the threat."""
    telling = [row for row in attacks if not row.attack.control and not getattr(row.attack, "reference", False)]
    if attacks and not any(getattr(row.attack.needs, "reads", "features") == "features" for row in telling):
        return [
            f".family: split needs an attack that reads features, got {', '.join(row.id for row in attacks)}: add one, "
            "such as name = 'ridge'"
        ]
    if threat.knows == "nothing" and telling and all(_needs_queries(row) for row in telling):
        return [
            ".knows: these attacks need what the first half makes of records of the adversary's own, got 'nothing': "
            "use 'queries' or 'weights', or add an attack that needs none of it, such as name = 'shadow'"
        ]
    return []


def _needs_queries(row: NamedAttack) -> bool:
    """Returns whether an attack must know something of the first half."""
    return str(getattr(row.attack.needs, "knows", "queries")) != "nothing"


def _repeated(key: str, names: Sequence[str]) -> list[str]:
    """Problems with names that occur twice."""
    return [
        f".{key}: must be distinct, got {quote(one)} twice: remove one"
        for one in sorted({one for one in names if list(names).count(one) > 1})
    ]
