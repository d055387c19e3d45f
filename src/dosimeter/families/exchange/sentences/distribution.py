"""The first sentences of a threat about a distribution, for readers who know neither the method nor its words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dosimeter.families.exchange.sentences.first_page import gained, others_not_tested, scope, who, withdrawn
from dosimeter.results import words

BADGES: Mapping[str, str] = {
    "withdrawn": "Withdrawn: a validity check failed",
    "shown": "Leak shown: the joint training tells what share of all records has the property",
    "not_shown": "Not shown that the joint training tells what share of all records has the property",
    "not_resolvable": "Not resolvable: no attack could have been shown with so few trainings",
}
NOT_TESTED = (
    "Other shares than the two above: the nearer they are, the less can be told.",
    "How often each class occurs, which a model is meant to tell: both worlds had equally many records of every class, "
    "so a property that goes with the classes is told by that too.",
    "Adversaries with more records of their own, or with more trainings of their own.",
    "A party that departs from the protocol, such as by a loss of its own.",
)
"""What an audit of a distribution leaves open."""


def not_tested(summary: Mapping[str, Any]) -> tuple[str, ...]:
    """What one audit leaves open.

    Args:
        summary: `run.json` of the threat.
    """
    return (*NOT_TESTED, *others_not_tested(summary))


def sentences(status: str, told: Mapping[str, Any]) -> list[str]:
    """The verdict in words.

    Args:
        status: of the verdict.
        told: the adversary as `result.json` has it, with `noun`, `failed` and `details`.
    """
    if status == "withdrawn":
        return withdrawn(told)
    low, head, nouns = who(told), told["details"]["headline"], words.plural(told["noun"])
    party = words.capital(low)
    first, second = (words.percent(one) for one in told["mixtures"][0])
    what = (
        f"whether {first} or {second} of all {nouns} that the party “{told['victim']}” trains on have "
        f"{told['property']} “{told['value']}”, from the joint training and from {nouns} of its own"
    )
    lines = {
        "shown": [f"{party} can tell {what}."],
        "not_resolvable": [f"Nothing can be said about whether {low} can tell {what}: there are too few trainings."],
    }.get(status, [f"It was not shown that {low} can tell {what}."])
    share = words.percent(head["value"], spread=head["high"] - head["low"])
    lines.append(
        f"Of a training with {first} and one with {second}, with equally many {nouns} of every class, the strongest "
        f"attack tells which is which in {share} of pairs; by chance it would be half."
    )
    if told["details"]["gain"] is not None:
        lines.append(gained({**told, "gain": told["details"]["gain"]}))
    if status == "not_shown":
        least = words.percent(told["details"]["needed"], away="up")
        lines.append(
            f"An attack that is right in {least} of such pairs would have been above chance in 9 of 10 audits like "
            "this one; a smaller leak may be there, and a better attack may find more."
        )
    return [*lines, scope(told, "")]
