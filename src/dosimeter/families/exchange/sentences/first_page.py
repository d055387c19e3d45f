"""The first sentences, for readers who know neither the method nor its words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dosimeter.results import words
from dosimeter.training.joint.methods import SHOWING

GAIN = "Gain of the transfer"
"""Name of the check of what the exchange is worth."""
BADGES: Mapping[str, str] = {
    "withdrawn": "Withdrawn: a validity check failed",
    "shown": "Leak shown: the messages tell more of a batch than its classes do",
    "not_shown": "Not shown that the messages tell more of a batch than its classes do",
    "not_resolvable": "Not resolvable: no attack could have been shown to tell more than the classes do",
}
DEPARTING: Mapping[bool, str] = {
    False: "A party that departs from the protocol, such as by a loss of its own (`active = true`).",
    True: "A party that departs from the protocol otherwise than by a loss about the property, or that follows it.",
}
"""What is left open about parties that depart from the protocol, by whether one of them was tested."""
NOT_TESTED = (
    "Properties that the audit does not name: messages may tell those too.",
    'Which records are in a batch (`question = "records"`), and whether single records took part.',
    "Adversaries with more or better records of their own than those above.",
    'The property of all records of the victim, by all steps together (`question = "distribution"`): single batches '
    "alone were judged.",
    "Time, size and order of messages: numbers alone were read.",
)
"""What an audit of exchange leaves open."""


def not_tested(summary: Mapping[str, Any]) -> tuple[str, ...]:
    """What one audit leaves open.

    Args:
        summary: `run.json` of the threat.
    """
    active = bool(summary["threat"].get("active"))
    return (DEPARTING[active], *NOT_TESTED, *others_not_tested(summary))


def others_not_tested(summary: Mapping[str, Any]) -> tuple[str, ...]:
    """Parties whose records one audit does not ask for.

    Args:
        summary: `run.json` of the threat.
    """
    parties, threat = summary["threat"]["parties"], summary["threat"]
    others = [f"{one} as the victim" for one in parties if one not in (threat["victim"], threat["adversary"])]
    return (f"The other way round: {threat['adversary']} as the victim.", *(f"{one}." for one in others))


def who(threat: Mapping[str, Any]) -> str:
    """The adversary as it stands within a sentence.

    Args:
        threat: of a run or a result, with `adversary`, the name of a party or "coordinator".
    """
    adversary = threat["adversary"]
    if adversary == "coordinator":
        return "the coordinator"
    return f"the party “{adversary}”{', which departs from the protocol,' if threat.get('active') else ''}"


def sentences(status: str, told: Mapping[str, Any]) -> list[str]:
    """The verdict in words.

    Args:
        status: of the verdict.
        told: the adversary as `result.json` has it, with `noun`, `failed`, `needed`, `headline`, `above_chance` and
            `gain`.
    """
    if status == "withdrawn":
        return withdrawn(told)
    nouns = words.plural(told["noun"])
    name = who(told)
    what = (
        f"how many {nouns} with {told['property']} “{told['value']}” are in a batch of “{told['victim']}”, from the "
        "messages of the joint training and from records of its own"
    )
    if told.get("active"):
        what += f", while it adds a loss about {told['property']} to its own"
    if status == "shown":
        lines = [f"{words.capital(name)} can tell {what}, better than from the classes in the batch."]
    elif status == "not_resolvable":
        lines = [
            f"Nothing can be said about whether {name} can tell {what}: the classes in the batch "
            "tell as much as can be told, or the steps are too few."
        ]
    else:
        lines = [f"It was not shown that {name} can tell {what}, better than from the classes in the batch."]
    lines.append(_pairs(told))
    if told["gain"] is not None:
        lines.append(gained(told))
    if status == "not_shown":
        lines.append(missed(told["needed"]))
    return [*lines, scope(told)]


def withdrawn(told: Mapping[str, Any]) -> list[str]:
    """Why there is no verdict."""
    if GAIN.lower() in told["failed"]:
        return [
            f"There is no verdict on leakage, since the joint training does not pay: the model of “{told['receiver']}” "
            f"is no better than {_without(told)}."
        ]
    return [f"The numbers of this audit are withdrawn: {', '.join(told['failed'])} failed."]


def _without(told: Mapping[str, Any]) -> str:
    """The model that the joint one is compared with."""
    if told["method"] not in SHOWING:
        return "the one that its own records give"
    return f"the one that “{told['parties'][0]}” trains without looking at the records of “{told['receiver']}”"


def _pairs(told: Mapping[str, Any]) -> str:
    """How well the sides of batches are told."""
    head = told["headline"]
    high, low = (words.percent(float(one)) for one in head["mixture"].split("/"))
    floor = "" if head["labels"] is None else f", and in {words.percent(head['labels'])} with the classes alone"
    end = "" if told["above_chance"] else " That it is better than by chance is not shown."
    share = words.percent(head["value"], spread=head["high"] - head["low"])
    return (
        f"Of a batch with {high} of them and one with {low}, the strongest attack tells which is which in "
        f"{share} of pairs{floor}; by chance it would be half.{end}"
    )


def missed(needed: float) -> str:
    """What would have been shown, where nothing is.

    Args:
        needed: share of pairs in which an attack must be right.
    """
    return (
        f"An attack that is right in {words.percent(needed, away='up')} of such pairs would have been above chance in "
        "9 of 10 audits like this one; a smaller leak may be there, and a better attack may find more."
    )


def gained(told: Mapping[str, Any]) -> str:
    """What the exchange is worth."""
    points = words.points(told["gain"]["value"])
    return f"The joint model is better for “{told['receiver']}” than {_without(told)}, by {points} points of accuracy."


def scope(told: Mapping[str, Any], each: str = " for each mixture") -> str:
    """Which trainings it is about."""
    if (recorded := told.get("recorded")) is not None:
        tried = f" The defense is tried on what was recorded, since {recorded['same']}." if "same" in recorded else ""
        return (
            f"This is about {recorded['judged']:,} batches of the training that was recorded, and takes it "
            f"that these came in an order that has nothing to do with the property.{tried} It is about these attacks: "
            "another may find more."
        )
    runs = "one joint training" if told["targets"] == 1 else f"{told['targets']} joint trainings"
    return f"This is about {runs}{each}, and about these attacks: another may find more."


def failed_names(gates: Sequence[Any]) -> list[str]:
    """Names of the checks that failed, in words."""
    return [gate.name.lower() for gate in gates if gate.status == "fail"]
