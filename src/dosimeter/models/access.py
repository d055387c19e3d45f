"""Levels of access that an adversary can have to a deployed model."""

from __future__ import annotations

import enum


class Access(enum.Flag):
    """Access to a deployed model. `includes` gives the levels that follow from it."""

    LABELS = enum.auto()
    TOPK = enum.auto()
    PROBS = enum.auto()
    LOGITS = enum.auto()
    FEATURES = enum.auto()
    UPDATES = enum.auto()
    WEIGHTS = enum.auto()

    @property
    def includes(self) -> Access:
        """All access that follows from this one: each level includes those below it, and weights include everything.

        >>> Access.PROBS in Access.LOGITS.includes, Access.LOGITS in Access.PROBS.includes
        (True, False)
        """
        outputs = [Access.LABELS, Access.TOPK, Access.PROBS, Access.LOGITS]
        implied = {level: outputs[:position] for position, level in enumerate(outputs)}
        implied |= {Access.FEATURES: outputs, Access.WEIGHTS: [*outputs, Access.FEATURES, Access.UPDATES]}
        total = self
        for level in self:
            for lower in implied.get(level, []):
                total |= lower
        return total
