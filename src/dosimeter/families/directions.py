"""Checks of attacks that show nothing: whether they say anything at all, and whether they say it the wrong way round.

An attack that says the same of everyone, or that is wrong much more often than chance, is no evidence that nothing
leaks. Numbers are those of `docs/pitfalls.md`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from dosimeter.foundation.arrays import Array
from dosimeter.foundation.gate import Gate

FALSE_ALARM = 0.001
"""Probability that a sign is called wrong although nothing is, over all attacks."""
NAMED = 3
"""Most attacks that a message names."""


@dataclass(frozen=True)
class Said:
    """What one attack said.

    Attributes:
        attack: its name, with what it is about.
        alike: whether it said the same of everyone.
        high: upper end of the interval of its AUC, or of its mean place in a lineup, at the level `level_of`.
    """

    attack: str
    alike: bool
    high: float


def level_of(attacks: int) -> float:
    """Two-sided confidence level of each interval, so that few signs are called wrong by luck.

    Args:
        attacks: their number.

    >>> round(level_of(2), 6)
    0.999
    """
    return 1 - 2 * FALSE_ALARM / max(1, attacks)


def says_alike(said: Float[Array, "t n v"]) -> bool:
    """Returns whether the same is said of everyone, whatever it is.

    Args:
        said: log-scores, or similarities, of each candidate.

    >>> says_alike(np.array([[[0.2, 0.8], [0.2, 0.8]]])), says_alike(np.array([[[0.2, 0.8], [0.8, 0.2]]]))
    (True, False)
    """
    return bool(np.isclose(said, said[:, :1], rtol=1e-9, atol=1e-12).all())


def directions(said: Sequence[Said], *, shown: bool) -> tuple[Gate, ...]:
    """P8 and P16: whether attacks say something, and in the right direction; none without attacks.

    Args:
        said: what each attack said.
        shown: whether a leak is shown, which what other attacks say wrongly does not touch.
    """
    if not said:
        return ()
    return _ties(said), _sign(said, shown=shown)


def _ties(said: Sequence[Said]) -> Gate:
    """P8: whether attacks say the same of everyone."""
    name, alike = "Ties", [one.attack for one in said if one.alike]
    share = len(alike) / len(said)
    if not alike:
        return Gate("P8", name, "pass", 0.0, "No attack says the same of everyone.")
    told = f"{_listed(alike)} said the same of everyone, which tells nothing from anything"
    if len(alike) < len(said):
        return Gate("P8", name, "warn", share, f"{told}: such an attack failed, and says little about others.")
    return Gate(
        "P8", name, "fail", share,
        f"{told}: this is no evidence that nothing leaks. Mend the attack, or add one that looks at more.",
    )  # fmt: skip


def _sign(said: Sequence[Said], *, shown: bool) -> Gate:
    """P16: whether attacks are wrong more often than chance."""
    name, wrong = "Sign of the scores", [one for one in said if one.high < 0.5]
    if not wrong:
        return Gate("P16", name, "pass", 0.0, "No attack is wrong more often than chance.")
    return Gate(
        "P16", name, "warn" if shown else "fail", min(one.high for one in wrong),
        f"{_listed([one.attack for one in wrong])} told them apart in the wrong direction, which chance explains in 1 "
        "of 1,000 audits: look for scores with the wrong sign, swapped values, and records of the adversary in which "
        "things are the other way round.",
    )  # fmt: skip


def _listed(names: Sequence[str]) -> str:
    """Names of attacks, the first of them if they are many."""
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")
