"""The augmentation attack: members keep their label under small transformations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import numpy as np

from dosimeter.families.membership.attacks import logistic, reading
from dosimeter.families.membership.game import MembershipGame, Needs
from dosimeter.foundation import checks
from dosimeter.foundation.arrays import Array
from dosimeter.models.access import Access
from dosimeter.statistics.evidence import Scores

Rule = Literal["classifier", "mean"]
_MOST_VIEWS = 62


@dataclass(frozen=True)
class Augmentation:
    """Score a record by which of its transformed copies the target classifies correctly.

    Paper: Choquette-Choo, Tramer, Carlini, Papernot, "Label-Only Membership Inference Attacks", 2021,
    https://arxiv.org/abs/2007.14321, section 4.1: the bits b_v(x) = [argmax f(v(x)) = y] over views v go to a
    classifier that is trained on shadows.
    Threat model: one query for each view of a model that gives labels only; for the classifier, shadows of the same
    recipe with their membership bits.
    Deviations: the views are those of the audit, not the paper's rotations and 4 d + 1 translations. The classifier is
    a logistic regression over the bits of all classes together, not a network for each class; all shadows train it,
    not one. Its scores take at most 2^q values for q views; with one view it is the gap attack.
    Cost: O(q s n) to count the bits' patterns; the regression sees each pattern once.

    Attributes:
        rule: "classifier", or "mean" for the share of correct views, which reads no shadow.
    """

    paper: ClassVar[str] = "Choquette-Choo et al., 2021, https://arxiv.org/abs/2007.14321"
    control: ClassVar[bool] = False
    signals: ClassVar[tuple[str, ...]] = ("correctness",)

    rule: Rule = "classifier"

    def __post_init__(self) -> None:
        if self.rule not in get_args(Rule):
            tail = checks.suggest(str(self.rule), get_args(Rule))
            raise ValueError(f"rule must be known, got {self.rule!r}: {tail}")

    @property
    def needs(self) -> Needs:
        """Labels of the target, and a pair of shadows for the classifier."""
        each = 1 if self.rule == "classifier" else 0
        return Needs(Access.LABELS, in_shadows=each, out_shadows=each)

    def run(self, game: MembershipGame, rng: np.random.Generator) -> Scores:
        """Scores all records of a game; `rng` is not used.

        Raises:
            ValueError: too few shadows, more than 62 views, or a signal is missing or not finite.
        """
        reading.require(game, self.needs, self.signals)
        bits = game.outputs["correctness"]
        checks.in_range("views", bits.shape[1], 1, _MOST_VIEWS)
        if self.rule == "mean":
            return Scores(game.ids, bits.mean(axis=1))
        classifier = _train(game.shadow_outputs["correctness"] > 0.5, game.shadow_in)
        return Scores(game.ids, classifier.decide(np.moveaxis(bits, 1, -1)))


def _train(bits: Array, shadow_in: Array) -> logistic.Classifier:
    """Trains the classifier on shadows; equal patterns of bits become one weighted example for each kind of record."""
    views = bits.shape[1]
    # A pattern of bits is one whole number, so that equal patterns can be counted; 62 bits fit into int64.
    codes = sum((bits[:, view].astype(np.int64) << view for view in range(views)), np.zeros(shadow_in.shape, np.int64))
    found, place = np.unique(codes, return_inverse=True)
    patterns = ((found[:, None] >> np.arange(views)) & 1).astype(np.float64)
    counts = [np.bincount(place.ravel()[side.ravel()], minlength=len(found)) for side in (shadow_in, ~shadow_in)]
    is_member = np.repeat([True, False], len(found))
    return logistic.fit(np.concatenate([patterns, patterns]), is_member, np.concatenate(counts).astype(np.float64))
