"""The modified-entropy attack: an entropy that uses the true class, with a threshold for each class."""

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


@dataclass(frozen=True)
class ModifiedEntropy:
    """Score a record by the threshold of its class minus the modified entropy of the target's answer.

    Paper: Song, Mittal, "Systematic Evaluation of Privacy Risks of Machine Learning Models", 2021,
    https://arxiv.org/abs/2003.10595, equations 8 and 9:

        Mentr(x, y) = -(1 - p_y) log p_y - sum over c != y of p_c log(1 - p_c),   member if Mentr <= tau_y

    Threat model: probabilities of the target; with `per_class` also shadows of the same recipe, on whose members and
    non-members tau_y is learned: the value with the highest advantage, TPR - FPR, among records of class y.
    Deviations: we need a score and not a decision, so it is tau_y - Mentr: at 0 it decides as the paper does, and
    elsewhere all classes move together. tau_y comes from all shadows, in and out, and not from one. Of several views
    only the record itself is read.
    Cost: O(s n log(s n) + t n); loops over classes.

    Attributes:
        per_class: whether each class has its threshold; otherwise there is none, and no shadow is read.
    """

    paper: ClassVar[str] = "Song, Mittal, 2021, https://arxiv.org/abs/2003.10595"
    control: ClassVar[bool] = False
    signals: ClassVar[tuple[str, ...]] = ("modified_entropy",)

    per_class: bool = True

    @property
    def needs(self) -> Needs:
        """Probabilities of the target, and one shadow on each side if thresholds are learned."""
        each = 1 if self.per_class else 0
        return Needs(Access.PROBS, in_shadows=each, out_shadows=each)

    def run(self, game: MembershipGame, rng: np.random.Generator) -> Scores:
        """Scores all records of a game; `rng` is not used.

        Raises:
            ValueError: too few shadows, or a signal is missing or not finite.
        """
        reading.require(game, self.needs, self.signals)
        values = game.outputs["modified_entropy"][:, 0]
        if not self.per_class:
            return Scores(game.ids, -values)
        inside, outside = reading.split(game.shadow_outputs["modified_entropy"][:, :1], game.shadow_in)
        thresholds = np.empty(len(game.ids))
        for records in reading.by_class(game.labels):
            thresholds[records] = _threshold(inside[..., records].ravel(), outside[..., records].ravel())
        return Scores(game.ids, thresholds - values)


def _threshold(members: Float[Array, " a"], nonmembers: Float[Array, " a"]) -> float:
    """The least tau that maximises TPR - FPR for "member if at most tau"; both kinds of record are equally many."""
    values = np.concatenate([members, nonmembers])
    order = np.argsort(values, kind="stable")
    ahead = np.cumsum(np.where(order < len(members), 1, -1))
    last = np.append(np.diff(values[order]) > 0, True)  # equal values are decided together
    ends = np.flatnonzero(last)
    return float(values[order][ends[ahead[ends].argmax()]])
