"""A family's part of the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup


@dataclass(frozen=True)
class Section:
    """Content that a family puts on the page; the frame has what all families share.

    Attributes:
        what: the audit in two words, such as "Membership audit".
        badge: the verdict in a few words.
        first: the first card.
        names: display name of each attack, by id.
        body: the parts after the first card.
        rest: the parts after the costs of defenses.
        contents: anchor and label of the parts of `body`.
        more_contents: anchor and label of the parts of `rest`.
        glossary: term and meaning.
        who: the adversary in a few words, for the table of a run with several threats.
        null_audit: head of the column with the null audit's numbers, and the sentence above the table.
        leads: metric, conditions and heading of the number by which variants are compared; None for a family that
            compares them at a leading false positive rate.
    """

    what: str
    badge: str
    first: Markup
    names: Mapping[str, str]
    body: Markup = Markup()
    rest: Markup = Markup()
    contents: tuple[tuple[str, str], ...] = ()
    more_contents: tuple[tuple[str, str], ...] = ()
    glossary: tuple[tuple[str, str], ...] = ()
    who: str = ""
    null_audit: tuple[str, str] = ("Result", "The same attacks where there is nothing to find.")
    leads: tuple[str, Mapping[str, Any], str] | None = None
