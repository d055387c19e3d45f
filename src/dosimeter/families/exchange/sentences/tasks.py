"""The first sentences of a threat about tasks, for readers who know neither the method nor its words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dosimeter.families.exchange.sentences.first_page import gained, others_not_tested, scope, who, withdrawn
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
    low, head = who(told), told["details"]["headline"]
    party = words.capital(low)
    what = (
        f"on {words.plural(told['noun'])} of which values of “{told['property']}” the party “{told['victim']}” "
        "trained, from the shared layers and a few records of its own"
    )
    lines = {
        "shown": [f"{party} can tell {what}."],
        "not_resolvable": [f"Nothing can be said about whether {low} can tell {what}: there are too few of them."],
    }.get(status, [f"It was not shown that {low} can tell {what}."])
    share = words.percent(head["value"], spread=head["high"] - head["low"])
    floor = "" if head["untrained"] is None else f", and in {words.percent(head['untrained'])} before the training"
    lines.append(
        f"Of one that was trained on and one that was left out, the attack tells which is which in {share} of pairs"
        f"{floor}; by chance it would be half."
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
