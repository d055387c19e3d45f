"""The first sentences of a threat about a distribution, for readers who know neither the method nor its words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dosimeter.families.exchange.sentences.whole import share_of, told_of_parties
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


def sentences(status: str, told: Mapping[str, Any]) -> list[str]:
    """The verdict in words; see `told_of_parties`."""
    nouns = words.plural(told["noun"])
    first, second = (words.percent(one) for one in told["mixtures"][0])
    return told_of_parties(
        status,
        told,
        what=f"whether {first} or {second} of all {nouns} that the party “{told['victim']}” trains on have "
        f"{told['property']} “{told['value']}”, from the joint training and from {nouns} of its own",
        few="trainings",
        pairs=f"Of a training with {first} and one with {second}, with equally many {nouns} of every class, the "
        f"strongest attack tells which is which in {share_of(told['details']['headline'])} of pairs; by chance it "
        "would be half.",
    )
