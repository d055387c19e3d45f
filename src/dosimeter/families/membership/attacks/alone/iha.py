"""The inverse-Hessian attack: it estimates the weights without a record from all other training records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dosimeter.families.membership.attacks import reading
from dosimeter.families.membership.game import MembershipGame, Needs
from dosimeter.models.access import Access
from dosimeter.statistics.evidence import Scores


@dataclass(frozen=True)
class IHA:
    """Score a record by how much better the weights fit a training set with it than one without it.

    Paper: Suri, Zhang, Evans, "Do Parameters Reveal More than Loss for Membership Inference?", 2024,
    https://arxiv.org/abs/2406.11544, the inverse Hessian attack; `probes/iha.py` has the formula.
    Threat model: the informed adversary. They hold the weights, the recipe and *all other training records* of the very
    model. Who steals a model does not have these. Read it as a bound on what weights can tell, not as a likely
    attack.
    Linear heads on frozen features that SGD trains; the Hessian is exact.
    Deviations: the Hessian is the mean over the pool in place of the training records, and the mean gradient leaves out
    one training record in any case, so that nothing but the weights depends on the judged record's membership. Rates
    that change are taken at their highest.
    Cost: per model one Cholesky factor of c (d + 1) parameters, up to 4,096; beyond, conjugate gradients for the
    judged records, in the span of the features: seconds per model for 400 records of 40 classes.
    """

    paper: ClassVar[str] = "Suri, Zhang, Evans, 2024, https://arxiv.org/abs/2406.11544"
    control: ClassVar[bool] = False
    needs: ClassVar[Needs] = Needs(Access.WEIGHTS, informed=True)
    signals: ClassVar[tuple[str, ...]] = ("iha",)
    mode: ClassVar[str] = "informed"  # stands beside the name wherever results are shown

    def run(self, game: MembershipGame, rng: np.random.Generator) -> Scores:
        """Scores all records of a game; `rng` is not used.

        Raises:
            ValueError: the signal is missing or not finite.
        """
        reading.require(game, self.needs, self.signals)
        return Scores(game.ids, game.outputs["iha"][:, 0])
