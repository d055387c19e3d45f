"""What is wrong with a threat of inversion, seen without data."""

from __future__ import annotations

from dosimeter.families.family import Surroundings
from dosimeter.families.inversion.threat import InversionThreat


def problems_of(threat: InversionThreat, around: Surroundings) -> list[str]:
    """Problems with a threat, one line each, as the tail of its place."""
    problems = []
    if not around.draws:
        return [
            ".family: inversion trains the model on a part of each person's records, so that others are left to judge "
            "by, got a supplied model: write its training as [[stage]], with `fit` if it is your own"
        ]
    if threat.public is None:
        problems.append(
            ".public: is required and missing: name a [data.NAME] with records of other people, which the adversary has"
        )
    if around.transferred:
        problems.append(
            ".at_risk: must be the last stage, since a person is a class of the deployed model, got "
            f"{threat.at_risk!r}: remove at_risk, or end the chain there"
        )
    return problems
