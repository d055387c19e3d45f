"""Difficulty calibration: how much more confident on this record is the target than shadows are?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from dosimeter.families.membership.attacks import reading
from dosimeter.families.membership.game import MembershipGame, Needs
from dosimeter.models.access import Access
from dosimeter.statistics.evidence import Scores

Mode = Literal["online", "offline"]
Statistic = Literal["confidence", "loss"]


@dataclass(frozen=True)
class Difficulty:
    """Score a record by the target's confidence in it minus what shadows lead one to expect.

    Paper: Watson, Guo, Cormode, Sablayrolles, "On the Importance of Difficulty Calibration in Membership Inference
    Attacks", 2021, https://arxiv.org/abs/2111.08440, equation 3, and for "online" Sablayrolles, Douze, Ollivier,
    Schmid, Jegou, "White-box vs Black-box", 2019, https://arxiv.org/abs/1908.11229, section 4 (MALT per record):

        offline: s = phi - mean of phi over out-shadows
        online:  s = phi - (mean over in-shadows + mean over out-shadows) / 2

    Threat model: confidences of the target; shadows of the same recipe. Offline reads out-shadows only.
    Deviations: phi is the logit-scaled confidence unless `statistic = "loss"` asks for the papers' minus loss, which
    saturates; the mean over views.
    Cost: O(q (s + t) n).

    Attributes:
        mode: whether in-shadows are read.
        statistic: "confidence", or "loss" as the papers have it.
    """

    paper: ClassVar[str] = "Watson et al., 2021, https://arxiv.org/abs/2111.08440"
    control: ClassVar[bool] = False
    signals: ClassVar[tuple[str, ...]] = ("logit_confidence",)

    mode: Mode = "offline"
    statistic: Statistic = "confidence"

    def __post_init__(self) -> None:
        reading.check_choices(self, mode=Mode, statistic=Statistic)

    @property
    def needs(self) -> Needs:
        """Probabilities of the target, and one shadow on each side that is read."""
        return Needs(Access.PROBS, in_shadows=1 if self.mode == "online" else 0, out_shadows=1)

    def run(self, game: MembershipGame, rng: np.random.Generator) -> Scores:
        """Scores all records of a game; `rng` is not used.

        Raises:
            ValueError: too few shadows, or a signal is missing or not finite.
        """
        targets, inside, outside = reading.confidences(game, self)
        if self.statistic == "loss":
            targets, inside, outside = (reading.log_confidence(one) for one in (targets, inside, outside))
        expected = outside.mean(axis=0)
        if self.mode == "online":
            expected = (inside.mean(axis=0) + expected) / 2
        return Scores(game.ids, (targets - expected).mean(axis=1))
