"""Records that two parties hold both: what a plan and a result say of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from dosimeter.data import Dataset
from dosimeter.data.parts.apart import copies_in


def held_by_both(parties: Mapping[str, Dataset], victim: str) -> list[dict[str, Any]]:
    """Each pair of parties that hold the same records: how many of the first one's; the victim first where it is one.

    Args:
        parties: records of each party.
        victim: whose batches are the secret.
    """
    found = []
    for pair in combinations(parties, 2):
        party, other = sorted(pair, key=lambda name: name != victim)
        both = len(copies_in(parties[party], parties[other]))
        if both:
            found.append({"party": party, "other": other, "records": both, "of": len(parties[party])})
    return found


def in_words(held: Sequence[Mapping[str, Any]], noun: str) -> str:
    """The pairs in a sentence."""
    return " and ".join(
        f"{one['other']!r} holds {one['records']:,} of the {one['of']:,} {noun} of {one['party']!r}" for one in held
    )


def held_notes(parties: Mapping[str, Dataset], victim: str) -> list[str]:
    """Notes of a plan: none where no two parties hold the same records."""
    found = held_by_both(parties, victim)
    if not found:
        return []
    return [
        f"parties: {in_words(found, 'records')} too; no attack makes use of that, and a party gains less from records "
        "that it has: name `disjoint` in a [data.NAME] if it is a mistake"
    ]
