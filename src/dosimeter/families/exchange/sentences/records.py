"""The first sentences of a threat about records, for readers who know neither the method nor its words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dosimeter.families.exchange.sentences.first_page import gained, others_not_tested, scope, who, withdrawn
from dosimeter.results import words

BADGES: Mapping[str, str] = {
    "withdrawn": "Withdrawn: a validity check failed",
    "shown": "Leak shown: the messages tell which records are in a batch",
    "not_shown": "Not shown that the messages tell which records are in a batch",
    "not_resolvable": "Not resolvable: no attack could have been shown to tell records with so few batches",
}
NOT_TESTED = (
    "Stronger ways to make records of gradients: learned ones, and such with a prior of what records look like.",
    "A party that departs from the protocol, such as by layers of its own choice.",
    "Properties of a batch, and whether single records took part at all.",
    "What all steps together tell of a record: single batches alone were judged.",
    "Time, size and order of messages: numbers alone were read.",
)
"""What an audit of records leaves open."""
FAILED = (
    "Every attack came far less near to the records than somebody who always gives the mean record: these attacks "
    "failed, which is no evidence that nothing leaks."
)
PRIVATE = "A last layer that is shared too (`head`): here it is private, as the protocol has it."


def not_tested(summary: Mapping[str, Any]) -> tuple[str, ...]:
    """What one audit leaves open.

    Args:
        summary: `run.json` of the threat.
    """
    head = (PRIVATE,) if summary["threat"]["head"] == "private" else ()
    return (*NOT_TESTED, *head, *others_not_tested(summary))


def sentences(status: str, told: Mapping[str, Any]) -> list[str]:
    """The verdict in words.

    Args:
        status: of the verdict.
        told: the adversary as `result.json` has it, with `noun`, `failed`, `pictures` and `details`; `all_failed`,
            whether every attack came far less near than the mean record.
    """
    if status == "withdrawn":
        return withdrawn(told)
    low = who(told)
    party = words.capital(low)
    nouns = words.plural(told["noun"])
    what = f"which {nouns} of “{told['victim']}” are in a batch, from the messages of the joint training"
    if status == "shown":
        lines = [f"{party} can tell {what}.", _made(told, nouns)]
    elif status == "not_resolvable":
        lines = [f"Nothing can be said about whether {low} can tell {what}: there are too few batches."]
    else:
        lines = [f"It was not shown that {low} can tell {what}.", _made(told, nouns)]
    lines.append(_picked(told))
    if told["details"]["gain"] is not None:
        lines.append(gained({**told, "gain": told["details"]["gain"]}))
    if status == "not_shown":
        least = words.percent(told["details"]["limit"], away="up")
        lines.append(
            f"An attack that picks out {least} of such {nouns} would have been shown in 9 of 10 audits like this one; "
            "a smaller leak may be there, and a better attack may find more."
        )
        if told.get("all_failed"):
            lines.append(FAILED)
    if told["head"] == "seen":
        lines.append("Here the last layer is taken to be shared too, which this protocol does not do.")
    return [*lines, scope(told, "")]


def _made(told: Mapping[str, Any], nouns: str) -> str:
    """How many records are made again."""
    head = told["details"]["headline"]
    one = head["recovered"]
    share = words.percent(one["value"], spread=one["high"] - one["low"])
    size = told["batch_size"] * told["local_steps"]
    what = f"the {nouns}" if head["makes"] == "records" else f"what the shared layers make of the {nouns}"
    return f"Of {told['batches']} batches of {size}, the strongest attack made {share} of {what} again almost exactly."


def _picked(told: Mapping[str, Any]) -> str:
    """How often the right record is picked out."""
    head = told["details"]["headline"]
    share = words.percent(head["value"], spread=head["high"] - head["low"])
    return (
        f"By what it made, the right {told['noun']} is picked out of {told['batches']} of one class in {share} of "
        f"cases; by chance it would be in {words.percent(head['chance'])}."
    )
