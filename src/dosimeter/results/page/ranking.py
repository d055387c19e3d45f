"""Which of several threats learns most, by the share of what there is to tell; and how sure that order is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dosimeter.results import words
from dosimeter.results.findings import FoundDose


@dataclass(frozen=True)
class Ranked:
    """A threat with what it learns.

    Attributes:
        id: of the threat.
        stage: at which it learns, or the part of the data that it is about.
        who: the adversary, as it stands within a sentence; empty if its family does not say.
        status: of its verdict.
        dose: in bits about one secret.
        unit: what one secret is about, such as "batch"; empty for a record.
    """

    id: str
    stage: str
    who: str
    status: str
    dose: FoundDose
    unit: str = ""

    def share(self, bits: float) -> float:
        """Some bits as a share of all that there is to tell."""
        return bits / self.dose.ceiling


def leading(ranked: Sequence[Ranked]) -> Ranked | None:
    """The threat of which the largest share is shown; None where none is shown.

    Args:
        ranked: threats whose dose has a number.
    """
    shown = [one for one in ranked if one.status == "shown" and one.dose.low > 0]
    return max(shown, key=lambda one: one.share(one.dose.low), default=None)


def lead(ranked: Sequence[Ranked], noun: str) -> list[str]:
    """Sentences on the stage that gives away most, and to whom; none with fewer than two doses or nothing shown.

    Args:
        ranked: threats whose dose has a number, without those that are withdrawn.
        noun: what one record is.

    >>> a = Ranked("a", "train", "the party “b”", "shown", FoundDose("x", 0.5, 0.4, 0.6, 0.95, 1.0))
    >>> b = Ranked("b", "tune", "somebody", "shown", FoundDose("x", 0.4, 0.3, 0.45, 0.95, 1.0))
    >>> for line in lead([a, b], "photo"):
    ...     print(line.replace(words.SPACE, " "))
    Stage “train” gives away most (threat “a”): the party “b” learns at least 40 % of all that there is to tell about \
one photo.
    That is more by what is shown, not by what is excluded: “b” at stage “tune” may give away more.
    """
    first = leading(ranked)
    if first is None or len(ranked) < 2:
        return []
    spread = first.share(first.dose.high) - first.share(first.dose.low)
    least = words.percent(first.share(first.dose.low), spread=spread or None, away="down")
    who = first.who or "somebody"
    told = [
        f"Stage “{first.stage}” gives away most (threat “{first.id}”): {who} learns at least {least} of all that there "
        f"is to tell about one {first.unit or noun}."
    ]
    rivals = [one for one in ranked if one.id != first.id and one.share(one.dose.high) >= first.share(first.dose.low)]
    if rivals:
        names = " and ".join(f"“{one.id}” at stage “{one.stage}”" for one in rivals)
        told.append(f"That is more by what is shown, not by what is excluded: {names} may give away more.")
    return told
