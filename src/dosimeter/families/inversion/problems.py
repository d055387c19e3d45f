"""What is wrong with a threat of inversion, seen without data."""

from __future__ import annotations

from dosimeter.families.family import Surroundings
from dosimeter.families.inversion.threat import PRINCIPAL, TRAINED, InversionThreat
from dosimeter.foundation.checks import suggest
from dosimeter.foundation.user_code import REFERENCE
from dosimeter.foundation.wording import quote


def problems_of(threat: InversionThreat, around: Surroundings) -> list[str]:
    """Problems with a threat, one line each, as the tail of its place."""
    problems = []
    if not around.draws:
        problems += _of_supplied(threat)
    if threat.public is None:
        problems.append(
            ".public: is required and missing: name a [data.NAME] with records of other people, which the adversary "
            "has; with a supplied model an entry of `data`"
        )
    if around.transferred:
        problems.append(
            ".at_risk: must be the last stage, since a person is a class of the deployed model and a later stage "
            f"replaces the head that names the classes, got {threat.at_risk!r}: remove at_risk, or end the chain there"
        )
    return [*problems, *_of_prior(threat)]


def _of_supplied(threat: InversionThreat) -> list[str]:
    """Keys that say how a model is trained, beside one that is trained already."""
    told = {"pictures": "all members were learned", "targets": "it is one", "fisher": "its layers are not looked at"}
    return [
        f".{key}: is for models that are trained here, and of a supplied one {why}, got {getattr(threat, key)!r}: "
        "remove it"
        for key, why in told.items()
        if getattr(threat, key) != type(threat).model_fields[key].default
    ]


def _of_prior(threat: InversionThreat) -> list[str]:
    """Problems with the prior."""
    known = (PRINCIPAL, *TRAINED)
    if threat.prior not in known and not REFERENCE.fullmatch(threat.prior):
        remedy = suggest(threat.prior, known)
        return [f".prior: must be {', '.join(known)} or package.module:function, got {quote(threat.prior)}: {remedy}"]
    if threat.prior_steps is not None and threat.prior not in TRAINED:
        return [
            f".prior_steps: is for the priors that are trained here, {' and '.join(TRAINED)}, got prior = "
            f"{quote(threat.prior)}: remove it"
        ]
    return []
