"""A linear discriminant for each record on the whole answer of a finetuned model; all records share one covariance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float

from dosimeter.families.membership.attacks import reading
from dosimeter.families.membership.attacks.language import numbers
from dosimeter.families.membership.game import MembershipGame, Needs
from dosimeter.foundation import checks
from dosimeter.foundation.arrays import Array
from dosimeter.models.access import Access
from dosimeter.statistics.evidence import Scores

_SIGNAL = "scaled_confidences"
Outputs = Literal["all", "texts"]


@dataclass(frozen=True)
class Discriminant:
    """Score a record by Fisher's linear discriminant between what chains with and without it answer.

    Paper: Fisher, "The Use of Multiple Measurements in Taxonomic Problems", 1936,
    https://doi.org/10.1111/j.1469-1809.1936.tb02137.x, on the rows of Abascal et al. 2024,
    https://arxiv.org/abs/2306.01181. With v the target's scaled confidences averaged over views, a and b their means
    over in- and out-shadows, and S the covariance within both sides,

        score = (v − (a + b) / 2)ᵀ S⁻¹ (a − b)

    S is that of all records together, shrunk to its diagonal, times the record's own spread, which is shrunk to that
    of all records: a few chains tell a record's mean, and not its covariance.
    Threat model: probabilities of the finetuned model; shadow chains with and without the record. The record's own
    class is not read.
    Deviations: none from the formula; the pooling and shrinking are ours. With "texts" v is five numbers of a text of a
    language model, as `TMI` reads them.
    Cost: O(s q n c + n c²).

    Attributes:
        shrink: weight of the diagonal of the pooled covariance, from 0 to 1.
        count: weight of the pooled spread, in shadows.
        outputs: "all" confidences, or of "texts" a few numbers.
    """

    paper: ClassVar[str] = "Fisher, 1936, https://doi.org/10.1111/j.1469-1809.1936.tb02137.x"
    control: ClassVar[bool] = False
    needs: ClassVar[Needs] = Needs(Access.PROBS, in_shadows=2, out_shadows=2)

    shrink: float = 0.1
    count: float = 8.0
    outputs: Outputs = "all"

    def __post_init__(self) -> None:
        reading.check_choices(self, outputs=Outputs)
        checks.in_range("shrink", self.shrink, 0.0, 1.0)
        checks.in_range("count", self.count, 0.0, 1e6)

    @property
    def signals(self) -> tuple[str, ...]:
        """The scaled confidences in all classes; of texts what their numbers are made of."""
        return numbers.SIGNALS if self.outputs == "texts" else (_SIGNAL,)

    def run(self, game: MembershipGame, rng: np.random.Generator) -> Scores:
        """Scores all records of a game; `rng` is not used.

        Raises:
            ValueError: too few shadows, or a signal is missing or not finite.
        """
        reading.require(game, self.needs, self.signals)
        own, shadows = self._answers(game)
        rows, targets = shadows.mean(1), own.mean(1)
        inside, outside = (side.transpose(0, 2, 1) for side in reading.split(rows.transpose(0, 2, 1), game.shadow_in))
        a, b = inside.mean(0), outside.mean(0)
        pooled, spread = within_sides(np.concatenate([inside - a, outside - b]), self.shrink, self.count)
        direction = np.linalg.solve(pooled, (a - b).T).T / spread[:, None]
        return Scores(game.ids, np.einsum("tnc,nc->tn", targets - (a + b) / 2, direction))

    def _answers(self, game: MembershipGame) -> tuple[Float[Array, "t q n c"], Float[Array, "s q n c"]]:
        """Answers of targets and shadows; of texts their numbers."""
        if self.outputs == "all":
            return game.outputs[_SIGNAL], game.shadow_outputs[_SIGNAL]
        return numbers.beside_shadows(numbers.numbers_of(game.outputs), numbers.numbers_of(game.shadow_outputs))


def within_sides(
    residuals: Float[Array, "s n c"], shrink: float, count: float
) -> tuple[Float[Array, "c c"], Float[Array, " n"]]:
    """Pooled covariance within both sides, and each record's own variance relative to it.

    Args:
        residuals: answer of every shadow minus the mean of its side.
        shrink: weight of the diagonal of the covariance.
        count: weight of all records' variance beside a record's own, in shadows.
    """
    # Two means were estimated for each record, one on each side.
    freedom = len(residuals) - 2
    _, n, c = residuals.shape
    pooled = np.einsum("snc,snd->cd", residuals, residuals) / (freedom * n)
    diagonal = np.maximum(np.diag(pooled), 1e-12)
    own = (residuals**2 / diagonal).sum((0, 2)) / (freedom * c)
    return (1 - shrink) * pooled + shrink * np.diag(diagonal), (freedom * own + count) / (freedom + count)
