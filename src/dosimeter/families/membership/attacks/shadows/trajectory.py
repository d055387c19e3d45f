"""The trajectory attack: a classifier on the losses of students that are distilled from the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from dosimeter.families.membership.attacks import logistic, reading
from dosimeter.families.membership.game import MembershipGame, Needs
from dosimeter.foundation.arrays import Array
from dosimeter.models.access import Access
from dosimeter.statistics.evidence import Scores

EPOCHS = tuple(f"trajectory_{epoch}" for epoch in range(1, 11))
_SHADOWS = 16


@dataclass(frozen=True)
class Trajectory:
    """Score a record by the log-odds of a classifier on the model's loss and its student's losses, epoch by epoch.

    Paper: Liu, Zhao, Backes, Zhang, "Membership Inference Attacks by Exploiting Loss Trajectory", 2022,
    https://arxiv.org/abs/2208.14933, section 4. A student learns the model's probabilities on the population; its
    losses on a record tell how difficult the record is and what the model passed on of it.
    Threat model: probabilities of the target for the records and a population of at least 50; the recipe; shadows with
    their membership bits, each with its own student.
    Deviations: 10 epochs of distillation in place of 100; logistic regression over standardised losses, which are kept
    within their range on shadows, in place of a network; nothing is selected on targets, where the authors' program
    keeps the best epoch on test records. Of more than 16 shadows the first 16 train. Of several views only the record
    itself is read.
    Cost: a student for every model of the fleet, 10 epochs on the population; then a few Newton steps over 16 n rows.
    """

    paper: ClassVar[str] = "Liu et al., 2022, https://arxiv.org/abs/2208.14933"
    control: ClassVar[bool] = False
    needs: ClassVar[Needs] = Needs(Access.PROBS, in_shadows=1, out_shadows=1, population=50)
    signals: ClassVar[tuple[str, ...]] = ("logit_confidence", *EPOCHS)

    def run(self, game: MembershipGame, rng: np.random.Generator) -> Scores:
        """Scores all records of a game; `rng` is not used.

        Raises:
            ValueError: too few shadows or population records, or a signal is missing or not finite.
        """
        reading.require(game, self.needs, self.signals)
        shadows = _features({name: values[:_SHADOWS] for name, values in game.shadow_outputs.items()})
        classifier = logistic.fit(shadows.reshape(-1, shadows.shape[-1]), game.shadow_in[:_SHADOWS].ravel())
        return Scores(game.ids, classifier.decide(_features(game.outputs)))


def _features(values: Mapping[str, Array]) -> Float[Array, "m n d"]:
    """The model's loss and the student's, one row for each model and record."""
    own = -reading.log_confidence(values["logit_confidence"][:, 0])
    return np.stack([own, *(values[name][:, 0] for name in EPOCHS)], axis=-1)
