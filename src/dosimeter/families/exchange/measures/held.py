"""E7: whether parties hold the same records, of which an adversary has nothing to learn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dosimeter.families.exchange.case.held import in_words
from dosimeter.foundation.gate import Gate
from dosimeter.results import words

NAME = "Records of several parties"
MANY = 0.05
"""Share of the victim's records from which on an adversary who holds them would make use of them."""


def held_gate(summary: Mapping[str, Any], *, shown: bool) -> tuple[Gate, ...]:
    """Whether two parties hold the same records; none where nobody counted them, as of a training elsewhere.

    Records of few numbers repeat by chance, so a few are told and no more. An adversary who holds many of the victim's
    records can compare what is sent with them. No attack here does, so that nothing is shown would say nothing of them.

    Args:
        summary: what a run left of the case.
        shown: whether a leak is shown in any case.
    """
    held = summary["data"].get("held")
    if held is None:
        return ()
    if not held:
        return (Gate("E7", NAME, "pass", 0.0, "No two parties hold the same records."),)
    threat = summary["threat"]
    known = sum(
        one["records"] / one["of"]
        for one in held
        if (one["party"], one["other"]) == (threat["victim"], threat["adversary"])
    )
    told = f"{in_words(held, words.plural(summary['noun']))} too."
    if known > MANY and not shown:
        return (
            Gate(
                "E7", NAME, "fail", known,
                f"{told} Who holds what is looked for can compare, and no attack here does: that nothing is shown says "
                "nothing of them. Audit with parties whose records differ.",
            ),
        )  # fmt: skip
    return (
        Gate(
            "E7", NAME, "warn", known,
            f"{told} Numbers are of adversaries who make no use of that, and a party gains less by an exchange of "
            "records that it has.",
        ),
    )  # fmt: skip
