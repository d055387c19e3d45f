"""The dose of a threat as result.json holds it, and in words that a page prints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dosimeter.results import words


@dataclass(frozen=True)
class FoundDose:
    """The dose of a threat's headline attack, in bits about one record.

    Attributes:
        attack: id of the headline attack.
        value: the estimate; a reader that does worse than the prior tells nothing, 0.
        low: shown at least.
        high: not excluded up to.
        level: two-sided confidence level of both ends.
        ceiling: all that there is to tell.
        floor: what the trivial attack tells; 0 if it knows no more than the prior.
    """

    attack: str
    value: float
    low: float
    high: float
    level: float
    ceiling: float
    floor: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """The dose as result.json holds it, with the chance of the truth knowing nothing and with the evidence."""
        return {
            "shown": self.low,
            "not_excluded": self.high,
            "floor": self.floor,
            "ceiling": self.ceiling,
            "value": self.value,
            "level": self.level,
            "attack": self.attack,
            "chance_before": chance(self.ceiling, 0.0),
            "chance_after": chance(self.ceiling, self.value),
        }


def chance(ceiling: float, dose: float) -> float:
    """The chance that the truth is given, in the geometric mean over records.

    Args:
        ceiling: all that there is to tell, in bits.
        dose: what is told of it.

    >>> chance(1.0, 0.0), chance(3.0, 1.0)
    (0.5, 0.25)
    """
    return 2.0 ** -(ceiling - dose)


def sentences(dose: Mapping[str, Any], *, noun: str, settles: str, shown: bool) -> str:
    """A dose in sentences for readers who know no bits; empty if it has no number.

    Args:
        dose: an entry of result.json.
        noun: what one record is.
        settles: what all bits together would settle, such as "whether a photo was used".
        shown: whether the verdict shows a leak; if not, no lower end is told.

    >>> found = FoundDose("loss", 0.16, 0.14, 0.19, 0.95, 1.0).to_json()
    >>> print(sentences(found, noun="photo", settles="whether a photo was used", shown=True).replace(words.SPACE, " "))
    In bits: at least 0.140 of the 1 bit that would settle whether a photo was used is shown, and up to 0.190 is not \
excluded (best estimate 0.160). Somebody who knows nothing is right about one photo 1 time in 2, a chance of 50 in \
100; with this, they can give the truth a chance of 55.9 in 100 on average (shown: at least 55.0, not excluded: up to \
57.1).
    """
    value, low, high, ceiling = (dose.get(key) for key in ("value", "shown", "not_excluded", "ceiling"))
    if value is None or low is None or high is None or ceiling is None:
        return ""
    spread = high - low
    seen, up_to = words.bits(value, spread), words.bits(high, spread, "up")
    whole = f"of the {ceiling:.3g} bit{'' if ceiling == 1 else 's'} that would settle {settles}"
    before, after, least, most = (chance(ceiling, one) for one in (0.0, value, low, high))
    apart = (most - least) or None
    ends = f"not excluded: up to {words.percent(most, spread=apart, bare=True, away='up')}"
    if shown and low > 0:
        told = f"at least {words.bits(low, spread, 'down')} {whole} is shown, and up to {up_to} is not excluded"
        told += f" (best estimate {seen})"
        least_told = words.percent(least, spread=apart, bare=True, away="down", above=before)
        ends = f"shown: at least {least_told}, {ends}"
    elif shown:
        told = f"{seen} {whole} is seen, none of it is shown, and up to {up_to} is not excluded"
    else:
        told = f"{seen} {whole} is seen, and up to {up_to} is not excluded"
    knowing = f"1 time in {1 / before:.3g}, a chance of {words.percent(before, bare=True)} in 100"
    after_told = words.percent(after, spread=apart, bare=True)
    return (
        f"In bits: {told}. Somebody who knows nothing is right about one {noun} {knowing}; with this, they can give "
        f"the truth a chance of {after_told} in 100 on average ({ends}).{_floor(dose['floor'])}"
    )


def _floor(floor: float | None) -> str:
    """Text: what can be told without the model, if that is anything."""
    if not floor:
        return ""
    return f" Of these bits, {words.bits(floor)} can be read without asking the model at all."
