"""The first sentences of a threat about tasks, for readers who know neither the method nor its words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dosimeter.families.exchange.sentences.whole import share_of, told_of_parties
from dosimeter.results import words

BADGES: Mapping[str, str] = {
    "withdrawn": "Withdrawn: a validity check failed",
    "shown": "Leak shown: the shared layers tell what they were trained on",
    "not_shown": "Not shown that the shared layers tell what they were trained on",
    "not_resolvable": "Not resolvable: no attack could have been shown with so few tasks",
}
NOT_TESTED = (
    "Tasks of other kinds than the one above.",
    "Adversaries with more records of each task, or with the very records of the training.",
    "What single messages tell: the shared layers at the end alone were read.",
    "A party that departs from the protocol, such as by a loss of its own.",
)
"""What an audit of tasks leaves open."""


def sentences(status: str, told: Mapping[str, Any]) -> list[str]:
    """The verdict in words; see `told_of_parties`."""
    head = told["details"]["headline"]
    floor = "" if head["untrained"] is None else f", and in {words.percent(head['untrained'])} before the training"
    return told_of_parties(
        status,
        told,
        what=f"on {words.plural(told['noun'])} of which values of “{told['property']}” the party “{told['victim']}” "
        "trained, from the shared layers and a few records of its own",
        few="of them",
        pairs="Of one that was trained on and one that was left out, the attack tells which is which in "
        f"{share_of(head)} of pairs{floor}; by chance it would be half.",
    )
