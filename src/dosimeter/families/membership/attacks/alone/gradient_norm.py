"""The gradient-norm attack: members have small gradients in the trained weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dosimeter.families.membership.attacks import reading
from dosimeter.families.membership.game import MembershipGame, Needs
from dosimeter.models.access import Access
from dosimeter.statistics.evidence import Scores


@dataclass(frozen=True)
class GradientNorm:
    """Score a record by minus the logarithm of the length of its loss's gradient in the trained weights.

    Paper: Nasr, Shokri, Houmansadr, "Comprehensive Privacy Analysis of Deep Learning", 2019,
    https://arxiv.org/abs/1812.00910, section III, of whose features this is one:

        score = -log |gradient of the loss|                                           (plain)
        score = mean over out-shadows of log |gradient| - log |gradient|              (calibrated)

    Calibrated after Watson et al., 2022, https://arxiv.org/abs/2111.08440, equation 3, with the gradient for the loss.
    Threat model: the weights of the target; calibrated also out-shadows.
    Deviations: the norm alone in place of a network over gradients, activations and losses; all trained parameters
    together, in their deployed form: of a linear head those of the raw features. Of several views only the record
    itself is read.
    Cost: nothing beyond the answers for heads; one backward pass per model and record for networks.

    Attributes:
        calibrated: whether the mean over out-shadows is subtracted.
    """

    paper: ClassVar[str] = "Nasr et al., 2019, https://arxiv.org/abs/1812.00910"
    control: ClassVar[bool] = False
    signals: ClassVar[tuple[str, ...]] = ("gradient_norm",)

    calibrated: bool = False

    @property
    def needs(self) -> Needs:
        """Weights of the target, and one out-shadow if calibrated."""
        return Needs(Access.WEIGHTS, out_shadows=int(self.calibrated))

    def run(self, game: MembershipGame, rng: np.random.Generator) -> Scores:
        """Scores all records of a game; `rng` is not used.

        Raises:
            ValueError: too few shadows, or the signal is missing or not finite.
        """
        reading.require(game, self.needs, self.signals)
        score = -game.outputs["gradient_norm"][:, 0]
        if self.calibrated:
            _, outside = reading.split(game.shadow_outputs["gradient_norm"], game.shadow_in)
            score = score + outside[:, 0].mean(axis=0)
        return Scores(game.ids, score)
