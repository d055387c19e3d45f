"""The dose of a threat in words: a sentence, a figure and an entry of the glossary. Measures nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dosimeter.results import words
from dosimeter.results.figures import Figure
from dosimeter.results.findings import chance

TERM = (
    "Dose (bits)",
    "How much the answers tell about one record beyond what was known before, on average over records. 1 bit settles a "
    "question with two equally likely answers; 0 bits leave it as it was. It is what a simple reader of the attack's "
    "scores gains, who was fitted on other records or models: a more skilful one may gain more. The chance that the "
    "truth is given is the geometric mean over records, so it is less than the share of right guesses. A few records "
    "that are surely known move the average little.",
)
"""Entry of the glossary."""


def sentences(dose: Mapping[str, Any], *, noun: str, settles: str, shown: bool) -> str:
    """A dose in sentences for readers who know no bits; empty if it has no number.

    Args:
        dose: an entry of result.json.
        noun: what one record is.
        settles: what all bits together would settle, such as "whether a photo was used".
        shown: whether the verdict shows a leak; if not, no lower end is told.

    >>> from dosimeter.results.findings import FoundDose
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
    seen, up_to = words.bits(value, spread := high - low), words.bits(high, spread, "up")
    up_to = f"{ceiling:.3g}" if high >= ceiling else up_to  # no more than there is to tell
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
    then = f"they can give the truth a chance of {words.percent(after, spread=apart, bare=True)} in 100 on average"
    return (
        f"In bits: {told}. Somebody who knows nothing is right about one {noun} {knowing}; with this, {then} ({ends})."
        f"{_floor(dose['floor'])}"
    )


def figure(dose: Mapping[str, Any] | None) -> Figure:
    """A dose as a figure, with what there is to tell; "–" without a number.

    Args:
        dose: an entry of result.json, or None.
    """
    value, low, high = ((dose or {}).get(key) for key in ("value", "shown", "not_excluded"))
    if dose is None or value is None or low is None or high is None:
        return Figure("–", ok=False)
    of = f"bits of {dose['ceiling']:.3g}"
    spread = high - low
    ends = f"{words.bits(low, spread, 'down')} to {words.bits(high, spread, 'up')}"
    return Figure(words.bits(value, spread), ends, of)


def _floor(floor: float | None) -> str:
    """Text: what can be told without the model, if that is anything."""
    if not floor:
        return ""
    return f" Of these bits, {words.bits(floor)} can be read without asking the model at all."
