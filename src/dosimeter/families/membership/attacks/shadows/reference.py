"""Attack-R: the rank of the target's confidence among shadows that did not train on the record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
from jaxtyping import Float

from dosimeter.families.membership.attacks import laws, reading
from dosimeter.families.membership.game import MembershipGame, Needs
from dosimeter.foundation.arrays import Array
from dosimeter.models.access import Access
from dosimeter.statistics.evidence import Scores

Ties = Literal["interpolated", "kept"]


@dataclass(frozen=True)
class Reference:
    """Score a record by the share of its out-shadows that are less confident in it than the target is.

    Paper: Ye, Maddi, Murakonda, Bindschaedler, Shokri, "Enhanced Membership Inference Attacks against Machine Learning
    Models", 2022, https://arxiv.org/abs/2111.09679, attack R: the p-value of the target's loss on x among the losses
    of models trained without x.
    Threat model: confidences of the target; shadows of the same recipe, of which only out-shadows are read.
    Deviations: with k out-shadows a rank takes k + 1 values, so no false positive rate below 1 / k can be asked for.
    By default the place between two neighbours, in proportion, breaks these ties, and beyond the lowest and the highest
    an exponential tail, whose scale is the pooled deviation of out-shadows within records. For a normal tail see LiRA
    offline. phi, the logit-scaled confidence, ranks as minus the loss does. Scores are averaged over views.
    Cost: O(q k (t + log k) n).

    Attributes:
        ties: "interpolated", or "kept" for the plain rank of the paper.
    """

    paper: ClassVar[str] = "Ye et al., 2022, https://arxiv.org/abs/2111.09679"
    control: ClassVar[bool] = False
    signals: ClassVar[tuple[str, ...]] = ("logit_confidence",)

    ties: Ties = "interpolated"

    def __post_init__(self) -> None:
        reading.check_choices(self, ties=Ties)

    @property
    def needs(self) -> Needs:
        """Probabilities, and out-shadows: one for a rank, two for the scale of a tail."""
        return Needs(Access.PROBS, out_shadows=2 if self.ties == "interpolated" else 1)

    def run(self, game: MembershipGame, rng: np.random.Generator) -> Scores:
        """Scores all records of a game; `rng` is not used.

        Raises:
            ValueError: too few shadows, or a signal is missing or not finite.
        """
        targets, _, outside = reading.confidences(game, self)
        total = np.zeros((game.n_targets, len(game.ids)))
        for view in range(targets.shape[1]):
            steps = np.sort(outside[:, view], axis=0)
            scale = laws.fit(outside[:, view], "global").scale
            for row, phi in zip(total, targets[:, view], strict=True):
                rank = (steps < phi).sum(axis=0)
                row += rank / len(steps) if self.ties == "kept" else _place(phi, steps, rank, scale) / (len(steps) + 1)
        return Scores(game.ids, total / targets.shape[1])


def _place(
    phi: Float[Array, " n"], steps: Float[Array, "k n"], rank: npt.NDArray[np.intp], scale: Float[Array, " n"]
) -> Float[Array, " n"]:
    """The rank plus the fraction, from 0 to 1, of the way to the next step."""
    k = len(steps)
    below = np.take_along_axis(steps, np.maximum(rank - 1, 0)[None], axis=0)[0]
    above = np.take_along_axis(steps, np.minimum(rank, k - 1)[None], axis=0)[0]
    gap = np.where((rank > 0) & (rank < k), above - below, 1.0)
    way = np.where(rank == 0, np.exp(-np.maximum(above - phi, 0) / scale), (phi - below) / gap)
    way = np.where(rank == k, -np.expm1(-np.maximum(phi - below, 0) / scale), way)
    result: Array = rank + way
    return result
