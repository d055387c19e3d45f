"""Attack-P: is the target more confident on this record than on nearly all records that it was not trained on?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from dosimeter.families.membership.attacks import reading
from dosimeter.families.membership.game import MembershipGame, Needs
from dosimeter.foundation.arrays import Array
from dosimeter.models.access import Access
from dosimeter.statistics.evidence import Scores

_FEWEST_POPULATION = 10


@dataclass(frozen=True)
class PopulationTest:
    """Score a record by 1 - p, with p its p-value among population records.

    Paper: Ye, Maddi, Murakonda, Bindschaedler, Shokri, "Enhanced Membership Inference Attacks against Machine Learning
    Models", 2022, https://arxiv.org/abs/2111.09679, attack P:

        p = (1 + #{z : phi(z) >= phi(x)}) / (1 + #z),   z over the population, or over its records of the class of x

    Threat model: probabilities of the target; records known to be outside every model; no shadows.
    Deviations: the two 1s, without which a p-value could be 0 and false alarms would exceed it. phi, the logit-scaled
    confidence, ranks as minus the loss does. Over all classes the score ranks as `loss`, with ties: it takes #z + 1
    values; what it adds is the threshold, 1 - FPR, that needs no shadow. Of several views only the record is read.
    Cost: O(t (n + z) log z); `per_class` loops over classes.

    Attributes:
        per_class: whether only population records of the record's class count. A class without any has score 0.
    """

    paper: ClassVar[str] = "Ye et al., 2022, https://arxiv.org/abs/2111.09679"
    control: ClassVar[bool] = False
    needs: ClassVar[Needs] = Needs(Access.PROBS, population=_FEWEST_POPULATION)
    signals: ClassVar[tuple[str, ...]] = ("logit_confidence",)

    per_class: bool = False

    def run(self, game: MembershipGame, rng: np.random.Generator) -> Scores:
        """Scores all records of a game; `rng` is not used.

        Raises:
            ValueError: too few population records, or a signal is missing or not finite.
        """
        reading.require(game, self.needs, self.signals)
        assert game.population is not None  # `require` has refused this
        phi = game.outputs["logit_confidence"][:, 0]
        outside = game.population.outputs["logit_confidence"][:, 0]
        if not self.per_class:
            return Scores(game.ids, _one_minus_p(phi, outside))
        scores = np.empty_like(phi)
        for records in reading.by_class(game.labels):
            same = game.population.labels == game.labels[records[0]]
            scores[:, records] = _one_minus_p(phi[:, records], outside[:, same])
        return Scores(game.ids, scores)


def _one_minus_p(phi: Float[Array, "t n"], outside: Float[Array, "t z"]) -> Float[Array, "t n"]:
    """1 - p: the share of values strictly below phi, among the population and one value that is always above."""
    below = [np.searchsorted(np.sort(z), x, side="left") for x, z in zip(phi, outside, strict=True)]
    result: Array = np.stack(below) / (1 + outside.shape[1])
    return result
