"""Other numbers of shadows, for a plan: what they would show, beside what they would cost."""

from __future__ import annotations

from collections.abc import Sequence

from dosimeter.families.attack import NamedAttack
from dosimeter.families.membership.threat import HALVES_SET_THRESHOLDS, Threat, rehearses

SIZES = (2, 4, 16)
"""Numbers of shadows: the fewest, the fewest that rehearse, and the default."""


def other_sizes(threat: Threat) -> list[Threat]:
    """The threat with other numbers of shadows, and as many targets as they allow."""
    found = [threat.model_copy(update={"shadows": shadows}) for shadows in SIZES]
    return [one.model_copy(update={"targets": min(one.targets, max(one.most_targets, 1))}) for one in found]


def shown_with(shadows: int, running: Sequence[NamedAttack]) -> str:
    """Text: which attacks would run with so many shadows, and what would set thresholds."""
    named = ", ".join(row.id for row in running if not row.attack.control)
    ready = "shadows that rehearse set thresholds" if rehearses(shadows) else HALVES_SET_THRESHOLDS
    return f"with {shadows} shadows: {named or 'no attack'} would run, and {ready}"
