"""What is wrong with a threat of membership, seen without data."""

from __future__ import annotations

from dosimeter.families.family import Surroundings
from dosimeter.families.membership.threat import VIEWS, Spike, Threat, rehearses
from dosimeter.foundation.checks import suggest
from dosimeter.foundation.wording import quote

DRAWN_ONLY = {
    "at_risk": "remove it",
    "targets": "remove it, the one target is the supplied model",
    "candidates": "remove it, all members and nonmembers are judged",
    "population": "remove it and name records in target.population",
    "stratify": "remove it",
    "unit": "remove it, membership was not drawn here and each record is judged on its own",
}
"""Keys that draw records or name stages, with the remedy if one is given for a supplied model."""


def problems_of(threat: Threat, around: Surroundings) -> list[str]:
    """Problems with a threat, one line each, as the tail of its place."""
    problems = _numbers(threat)
    if around.transferred is False and around.draws and threat.knows:
        problems.append(
            f".knows: tells what is known of a transfer after the stage at risk, which is the last one, got "
            f"{list(threat.knows)}: remove it, or set threat.at_risk to an earlier stage"
        )
    if threat.spike is not None:
        problems += _canaries(threat.spike)
    if around.draws:
        return problems
    given = threat.model_fields_set
    problems += [
        f".{key}: belongs to a recipe, got {quote(getattr(threat, key))} beside [target]: {remedy}"
        for key, remedy in DRAWN_ONLY.items()
        if key in given
    ]
    if threat.spike is not None:
        problems.append(".spike: a supplied model is trained already, got canaries beside [target]: remove them")
    if "shadows" in given and threat.shadows and not around.trains:
        problems.append(
            ".shadows: shadows are trained by `target.fit`, which is absent: add it, or remove threat.shadows"
        )
    return problems


def _numbers(threat: Threat) -> list[str]:
    """Impossible numbers of a threat."""
    problems: list[str] = []
    if threat.shadows % 2:
        problems.append(
            f".shadows: must be even, since shadows come in complementary pairs, got {threat.shadows}: "
            f"use {threat.shadows + 1}"
        )
    else:
        problems += _targets(threat)
    if threat.views == "auto":
        return problems
    wrong = [view for view in threat.views if view not in VIEWS]
    problems += [f".views: unknown view {quote(view)}, {suggest(view, VIEWS)}" for view in wrong]
    if not wrong and (threat.views[:1] != ("identity",) or len(set(threat.views)) < len(threat.views)):
        problems.append(f".views: must be distinct and begin with 'identity', got {list(threat.views)}: put it first")
    return problems


def _targets(threat: Threat) -> list[str]:
    """More targets, or more models in whole folds of them, than there may be."""
    most, fold, ready = threat.most_targets, 2 * threat.fold_pairs, rehearses(threat.shadows)
    if threat.targets > most:
        if not ready:
            what = f"must be at most {most}, the number of models (shadows + 2 fold_pairs)"
        else:
            wider = "" if threat.fold_pairs == 1 else f" + {fold - 2}"
            what = (
                f"must be at most shadows - 2{wider} = {most}, since two pairs of models beyond the targets set the "
                "thresholds"
            )
        return [f".targets: {what}, got {threat.targets}: lower it or raise shadows"]
    if fold * -(-threat.targets // fold) > max(most, fold):
        leave = "leave two pairs that set the thresholds" if ready else "be whole"
        return [
            f".targets: whole folds of {fold} models must {leave}, got {threat.targets} targets of {threat.models} "
            "models: lower targets or fold_pairs"
        ]
    return []


def _canaries(spike: Spike) -> list[str]:
    """Impossible numbers of canaries."""
    problems = []
    if spike.count % 2:
        problems.append(
            f".spike.count: must be even, since each model trains on half of the canaries, got {spike.count}: use "
            f"{spike.count + 1}"
        )
    for name in ("kinds", "copies"):
        values = list(getattr(spike, name))
        if len(set(values)) < len(values):
            problems.append(f".spike.{name}: must be distinct, got {values}: name each once")
    return problems
