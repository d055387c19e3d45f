"""A linear discriminant that learns the effect of membership from all records; for few chains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from dosimeter.families.membership.attacks import reading
from dosimeter.families.membership.attacks.transfer.discriminant import within_sides
from dosimeter.families.membership.game import MembershipGame, Needs
from dosimeter.foundation import checks
from dosimeter.foundation.arrays import Array
from dosimeter.models.access import Access
from dosimeter.statistics.evidence import Scores

_SIGNAL = "scaled_confidences"
_ALIGN = 1.0
"""Ridge of the alignment, in squared units of a scaled confidence per record."""
_SPREAD = 8.0
"""Weight of the pooled spread beside a record's own, in shadows."""


@dataclass(frozen=True)
class PooledDiscriminant:
    """Score a record by a linear discriminant whose direction is an empirical Bayes estimate over all records.

    Paper: Efron, Morris, "Stein's Estimation Rule and Its Competitors: An Empirical Bayes Approach", 1973,
    https://doi.org/10.1080/01621459.1973.10481350, on the rows of Abascal et al. 2024,
    https://arxiv.org/abs/2306.01181. With v the target's scaled confidences, averaged over views, a and b their means
    over in- and out-shadows, S the covariance within both sides and d = a − b,

        score = (v − (a + b) / 2)ᵀ S⁻¹ d*,   d* = m + T (T + N)⁻¹ (d − m),   N = S (1/in + 1/out)

    A few chains estimate d badly, but all records together give its expectation: m is the mean of d over records,
    classes in the order of the record's confidences, plus what records of the same class have in common beyond that;
    T is the covariance of true effects around m, that of d less N. Before, every chain's answers are aligned to the
    mean chain's by a linear map over all records, which takes out what its head does to all alike.
    Threat model: probabilities of the finetuned model; shadow chains with and without the record; the records' own
    classes, which the adversary has to know to pretrain shadows.
    Deviations: the alignment, the order of classes, and the shrinking of S and of classes' means are ours, chosen on
    points of a simulated world.
    Cost: O(s q n c + s (n c² + c³)).

    Attributes:
        shrink: weight of the diagonal of S, from 0 to 1.
        strength: weight of the mean over all classes beside that of one class, in records.
    """

    paper: ClassVar[str] = "Efron, Morris, 1973, https://doi.org/10.1080/01621459.1973.10481350"
    control: ClassVar[bool] = False
    needs: ClassVar[Needs] = Needs(Access.PROBS, in_shadows=2, out_shadows=2)
    signals: ClassVar[tuple[str, ...]] = (_SIGNAL,)

    shrink: float = 0.3
    strength: float = 4.0

    def __post_init__(self) -> None:
        checks.in_range("shrink", self.shrink, 0.0, 1.0)
        checks.in_range("strength", self.strength, 0.0, 1e6)

    def run(self, game: MembershipGame, rng: np.random.Generator) -> Scores:
        """Scores all records of a game; `rng` is not used.

        Raises:
            ValueError: too few shadows, or a signal is missing or not finite.
        """
        reading.require(game, self.needs, self.signals)
        rows = game.shadow_outputs[_SIGNAL].mean(1, dtype=np.float64)
        centre = rows.mean(0)
        order = np.argsort(-centre, axis=1, kind="stable")
        rows, targets = (
            np.take_along_axis(np.stack([_align(one, centre) for one in some]), order[None], 2)
            for some in (rows, game.outputs[_SIGNAL].mean(1, dtype=np.float64))
        )
        inside, outside = (side.transpose(0, 2, 1) for side in reading.split(rows.transpose(0, 2, 1), game.shadow_in))
        a, b = inside.mean(0), outside.mean(0)
        within, variance = within_sides(np.concatenate([inside - a, outside - b]), self.shrink, _SPREAD)
        spread = np.sqrt(variance)[:, None]
        noise = within * (1 / len(inside) + 1 / len(outside))
        effect = self._effect((a - b) / spread, noise, order, game.labels)
        direction = np.linalg.solve(within, effect.T).T
        return Scores(game.ids, np.einsum("tnc,nc->tn", (targets - (a + b) / 2) / spread, direction))

    def _effect(
        self, seen: Float[Array, "n c"], noise: Float[Array, "c c"], order: Array, labels: Array
    ) -> Float[Array, "n c"]:
        """Expected effect of membership on each record, given the observed one; d* of the formula."""
        mean = np.broadcast_to(seen.mean(0), seen.shape)
        # Back to the order of the classes, so that records of one class share their columns.
        beyond = np.take_along_axis(seen - mean, np.argsort(order, axis=1), 1)
        _, label = np.unique(labels, return_inverse=True)
        of_class = np.zeros((label.max() + 1, seen.shape[1]))
        np.add.at(of_class, label, beyond)
        of_class /= (np.bincount(label) + self.strength)[:, None]
        mean = mean + np.take_along_axis(of_class[label], order, 1)
        rest = seen - mean
        # T may have negative eigenvalues, since it is a difference of two estimates; a small floor keeps it a
        # covariance.
        values, vectors = np.linalg.eigh(rest.T @ rest / len(rest) - noise)
        true = (vectors * np.maximum(values, 1e-3 * np.trace(noise) / len(noise))) @ vectors.T
        result: Array = mean + rest @ np.linalg.solve(true + noise, true)
        return result


def _align(rows: Float[Array, "n c"], centre: Float[Array, "n c"]) -> Float[Array, "n c"]:
    """A chain's answers, minus the part of its offset that is a linear function of the mean chain's answers."""
    known, offset = centre - centre.mean(0), rows - centre
    ridge = _ALIGN * len(rows) * np.eye(known.shape[1])
    offset = offset - offset.mean(0)
    result: Array = centre + offset - known @ np.linalg.solve(known.T @ known + ridge, known.T @ offset)
    return result
