"""Sentences about what an audit of membership leaves open; other questions are the whole run's to name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CANARIES = ", and records that were chosen to be easy to find (canaries)"
PERSONS = "Membership of a person as a whole: each record is judged on its own."
NOT_TESTED = (
    "Attackers with access beyond the one above, with more shadow models, or with other attacks than those listed.",
    f"Records that are not among the candidates{CANARIES}.",
    PERSONS,
    "Model extraction and data poisoning.",
)
NO_SHADOWS = (
    "Attackers with shadow models: this audit had no shadow model, and such an audit may show leakage, never its "
    "absence."
)
STATED = (
    "Whether members and non-members differ for other reasons, such as their time or source: membership was stated, "
    "not drawn, so a part of what is shown here may be that difference."
)


def not_tested(summary: Mapping[str, Any], *, planted: bool = False) -> list[str]:
    """Sentences about what an audit through this door leaves open.

    Where membership was stated the first line says so, whatever blind classifiers found: they do not see all.

    Args:
        summary: the content of `run.json`: its door, and whether whole persons were drawn.
        planted: whether canaries were judged.

    >>> [len(not_tested({"door": door, "threat": {}})) for door in ("recipe", "model", "scores")]
    [4, 5, 6]
    """
    door, persons = summary["door"], summary["threat"].get("unit") == "person"
    alone = [NO_SHADOWS] if door != "scores" and summary["threat"].get("shadows") == 0 else []
    if door == "recipe":
        left = [one for one in NOT_TESTED if not (persons and one == PERSONS)]
        return [*alone, *(one.replace(CANARIES, "") if planted else one for one in left)]
    if door == "model":
        return [STATED, *alone, *NOT_TESTED]
    return [STATED, "How the scores were made: whether their attacks read the truth cannot be seen here.", *NOT_TESTED]
