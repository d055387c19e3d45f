"""The first sentences, for readers who know neither the method nor its words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dosimeter.results import words

BADGES: Mapping[str, str] = {
    "withdrawn": "Withdrawn: a validity check failed",
    "shown": "Leak shown: what leaves the device tells more than the answer",
    "not_shown": "Not shown that what leaves the device tells more than the answer",
    "not_resolvable": "Not resolvable: too few records to show anything",
}
WITHOUT_ANSWERS: Mapping[str, str] = {
    "shown": "Leak shown: what leaves the device tells something",
    "not_shown": "Not shown that what leaves the device tells anything",
}
"""Badges where the adversary sees no answers, or none was attacked."""
KNOWS: Mapping[str, str] = {
    "weights": "knows the first half of the model",
    "queries": "can run records of their own through the first half of the model",
    "nothing": "knows nothing of the first half of the model",
}
"""What somebody knows of the first half."""
FOLLOWING = ("WhiteBox", "LatentPrior")
"""Attacks that follow the weights of the first half."""
NOT_TESTED = (
    "Attributes that the audit does not name: features may tell those too.",
    "Attacks with a prior that was trained on very many such records, beyond those above.",
    "Adversaries with more or better auxiliary records than those above.",
    "Time, size and order of messages: numbers alone were read.",
)
"""What an audit of split leaves open."""
STEERS = "A server that takes part in the training and returns gradients of its own choice (`active`)."
UNMEASURED = "What the model's answer alone tells was not measured: no attack on it could run, so it may be as much."
FAILED = (
    "Every attack on the input did far worse than somebody who always gives the mean record: these attacks failed, "
    "which is no evidence that nothing leaks."
)
WEIGHTS = "Attacks that follow the weights of the first half to the input: none was run."
REPEATS = "Somebody who sees many queries of the same record, and averages out what a defense adds (`repeats`)."


def not_tested(summary: Mapping[str, Any]) -> tuple[str, ...]:
    """What one audit leaves open.

    Args:
        summary: `run.json` of the threat.
    """
    followed = any(one["status"] == "ok" and one["name"] in FOLLOWING for one in summary["attacks"])
    often = summary["threat"].get("repeats", 1) > 1
    steered = any(one["status"] == "ok" and one.get("active") for one in summary["attacks"])
    left = [one for one, tested in ((STEERS, steered), (WEIGHTS, followed), (REPEATS, often)) if not tested]
    return (*NOT_TESTED, *left)


def sentences(status: str, told: Mapping[str, Any]) -> list[str]:
    """The verdict in words.

    Args:
        status: of the verdict.
        told: `noun`, `answers`, `knows`, `auxiliary`, `failed`; `input`, what the best attack on inputs reached, or
            None; and `attributes`, the same of each attribute; `hopeless`, names of attributes that no attack could
            have been shown to tell; `all_failed`, whether every attack on
            the input failed; `limit` and `lineup` of what would have been shown; `targets`; `steered`, whether
            an attack decided what comes back in training.
    """
    if status == "withdrawn":
        return [f"The numbers of this audit are withdrawn: {', '.join(told['failed'])} failed."]
    nouns = words.plural(told["noun"])
    who = (
        f"Somebody who sees what leaves the device, {KNOWS[told['knows']]} and holds {told['auxiliary']:,} {nouns} of "
        "others" + (", or decides what comes back to the device in training," if told.get("steered") else "")
    )
    found = [*([told["input"]] if told["input"] else []), *told["attributes"]]
    shown = [one for one in found if one["shown"]]
    seen = told["answers"] == "seen" and not unmeasured(found)
    end = " than the model's answer must tell."
    if not seen:
        end = ", of which they see no answer." if told["answers"] != "seen" else f". {UNMEASURED}"
    what = _list([_secret(one, told) for one in shown or found])
    if shown:
        lines = [f"{who} learns {'more' if seen else 'something'} of {what}{end}"]
    elif status == "not_resolvable":
        lines = [
            f"Nothing can be said about whether {who[0].lower()}{who[1:]} learns {'more' if seen else 'anything'} of "
            f"{what}{end}"
        ]
    else:
        lines = [
            f"It was not shown that {who[0].lower()}{who[1:]} learns {'more' if seen else 'anything'} of {what}{end}"
        ]
    lines += [_input(told["input"], told)] if told["input"] else []
    lines += [_attribute(one) for one in told["attributes"]]
    if told.get("hopeless"):
        names = _list([f"“{one}”" for one in told["hopeless"]])
        lines.append(f"No attack on {names}, however successful, could have been shown with so few people.")
    if told["input"] and not told["input"]["shown"]:
        lines.append(_caught(told))
        if told.get("all_failed"):
            lines.append(FAILED)
    return [*lines, _scope(told)]


def unmeasured(found: Sequence[Mapping[str, Any]]) -> bool:
    """Returns whether what is told rests on no attack on the model's answers, so that those may tell as much.

    Args:
        found: what the best attack on each secret reached, with its `floor`.
    """
    shown = [one for one in found if one["shown"]]
    return any(one["floor"] is None for one in shown or found)


def _secret(one: Mapping[str, Any], told: Mapping[str, Any]) -> str:
    """A secret in words."""
    return f"the {told['noun']} itself" if one["attribute"] is None else f"the attribute “{one['attribute']}”"


def badge(status: str, *, judged: bool) -> str:
    """The verdict in a few words.

    Args:
        status: of the verdict.
        judged: whether features are judged against what the model's answers tell, and not against chance alone.
    """
    return BADGES[status] if judged else WITHOUT_ANSWERS.get(status, BADGES[status])


def _input(one: Mapping[str, Any], told: Mapping[str, Any]) -> str:
    """How many records were told from others."""
    m = told["lineup"]
    floor = "" if one["floor"] is None else f", {_many(one['floor'], m)} from the answer alone"
    steered = (
        " This attack is a server's that decides what comes back in training: it is about a device that such a server "
        "trains, and not about the model as it is."
    )
    return (
        f"At the cut after “{one['cut']}”, the right {told['noun']} was picked out of {m} in "
        f"{_many(one['value'], m)} of {m} cases by what an attack made of the features; by chance it would be 1{floor}."
        + (steered if one.get("active") else "")
    )


def _attribute(one: Mapping[str, Any]) -> str:
    """How well an attribute was told."""
    floor = "" if one["floor"] is None else f", in {words.percent(one['floor'])} with the answer alone"
    ceiling = "" if one["ceiling"] is None else f" and in {words.percent(one['ceiling'])} with the input itself"
    end = "" if one["above_chance"] else " That it is better than by chance is not shown."
    return (
        f"At the cut after “{one['cut']}”, of two people who differ in “{one['attribute']}” an attack tells which is "
        f"which in {words.percent(one['value'])} of pairs{floor}{ceiling}; by chance it would be half.{end}"
    )


def _caught(told: Mapping[str, Any]) -> str:
    """What would have been shown of the input."""
    if told["limit"] is None or told["limit"] >= 1:
        return "No attack on the input, however successful, could have been shown with so few people."
    least = words.percent(told["limit"], away="up")
    return (
        f"An attack that picks out {least} of such records would have been above chance in 9 of 10 audits like this "
        "one; a smaller leak may be there, and a better attack may find more."
    )


def _scope(told: Mapping[str, Any]) -> str:
    """Which models it is about."""
    models = "this trained model only" if told["targets"] == 1 else f"{told['targets']} models that were trained alike"
    return f"This is about {models}, and about these attacks: another may find more."


def _many(share: float, of: int) -> str:
    """A share as a number of records; a mean over models has a decimal."""
    number = share * of
    return f"{round(number)}" if abs(number - round(number)) < 1e-6 else f"{number:.1f}"


def _list(parts: Sequence[str]) -> str:
    """Words with commas and an "and"."""
    if not parts:
        return "anything"
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def failed_names(gates: Sequence[Any]) -> list[str]:
    """Names of the checks that failed, in words."""
    return [gate.name.lower() for gate in gates if gate.status == "fail"]
