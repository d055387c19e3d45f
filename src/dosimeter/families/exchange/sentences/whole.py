"""The first sentences of a question on whole parties, whose secrets are told apart in pairs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dosimeter.families.exchange.sentences.first_page import gained, missed, scope, who, withdrawn
from dosimeter.results import words


def told_of_parties(status: str, told: Mapping[str, Any], *, what: str, few: str, pairs: str) -> list[str]:
    """The verdict in words.

    Args:
        status: of the verdict.
        told: the adversary as `result.json` has it, with `noun`, `failed` and `details`.
        what: what the adversary would tell.
        few: what there are too few of where nothing can be said.
        pairs: the sentence on pairs of secrets.
    """
    if status == "withdrawn":
        return withdrawn(told)
    low = who(told)
    first = {
        "shown": f"{words.capital(low)} can tell {what}.",
        "not_resolvable": f"Nothing can be said about whether {low} can tell {what}: there are too few {few}.",
    }.get(status, f"It was not shown that {low} can tell {what}.")
    lines = [first, pairs]
    if told["details"]["gain"] is not None:
        lines.append(gained({**told, "gain": told["details"]["gain"]}))
    if status == "not_shown":
        lines.append(missed(told["details"]["needed"]))
    return [*lines, scope(told, "")]


def share_of(head: Mapping[str, Any]) -> str:
    """The share of pairs that an attack tells apart, as `details.headline` has it."""
    return words.percent(head["value"], spread=head["high"] - head["low"])
