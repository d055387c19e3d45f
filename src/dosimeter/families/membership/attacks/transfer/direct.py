"""The reference line: LiRA by an adversary who sees the model at risk itself, before it was transferred."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from dosimeter.families.membership.attacks.shadows.lira import LiRA
from dosimeter.families.membership.game import BEFORE_TRANSFER, MembershipGame, Needs
from dosimeter.models.access import Access
from dosimeter.statistics.evidence import Scores

_LIRA = LiRA("online", "bayesian")


@dataclass(frozen=True)
class Direct:
    """Score a record by LiRA on the pretrained model's confidence in the record's own class.

    Paper: Carlini et al., "Membership Inference Attacks From First Principles", 2022, https://arxiv.org/abs/2112.03570;
    Abascal et al. 2024, https://arxiv.org/abs/2306.01181, compare with it.
    Threat model: none that is real. It reads the model at risk, which nobody but its owner sees, and is no candidate
    for the headline: it says how much the transfer hides.
    Deviations: those of `LiRA` with variance "bayesian". Cost: that of `LiRA`.
    """

    paper: ClassVar[str] = "reference; Carlini et al., 2022, https://arxiv.org/abs/2112.03570"
    control: ClassVar[bool] = False
    needs: ClassVar[Needs] = Needs(Access.LABELS, in_shadows=2, out_shadows=2)
    signals: ClassVar[tuple[str, ...]] = (BEFORE_TRANSFER,)
    reference: ClassVar[bool] = True

    def run(self, game: MembershipGame, rng: np.random.Generator) -> Scores:
        """Scores all records of a game; `rng` is not used.

        Raises:
            ValueError: too few shadows, or the signal is missing or not finite.
        """
        (name,), (read,) = self.signals, _LIRA.signals
        missing = [table for table in ("outputs", "shadow_outputs") if name not in getattr(game, table)]
        if missing:
            raise ValueError(f"the attack needs the signal {name!r} in {missing[0]}, got none: run it within an audit")
        outputs, shadow_outputs = ({read: table[name]} for table in (game.outputs, game.shadow_outputs))
        return _LIRA.run(replace(game, outputs=outputs, shadow_outputs=shadow_outputs, population=None), rng)
