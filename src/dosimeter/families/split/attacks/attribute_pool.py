"""Attribute pool: classifiers from features to a private attribute."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dosimeter.families.split.attacks.reading import CLASSIFIERS, checked, guessed
from dosimeter.families.split.game import Needs, SplitGame
from dosimeter.statistics.evidence import Guesses


@dataclass(frozen=True)
class AttributePool:
    """Fit several classifiers from features to the attribute, and use the one that does best on own records.

    Paper: Song, Shmatikov, "Overlearning Reveals Sensitive Attributes", ICLR 2020, https://arxiv.org/abs/1905.11742.
    Threat model: features at the cut, and the same of records of the adversary's own, of which they know the attribute.
    Deviations: a pool in place of one network; a quarter of the auxiliary records chooses the classifier, which is then
    fitted on all; wide features are seen by their leading 256 principal components.
    Cost: one fit of each classifier and one more of the best, for each cut, attribute and model.

    Attributes:
        classifiers: of the pool: "logistic", "svm", "forest", "boosting", "neighbours", "mlp".
        adaptive: whether it learns on what the defenses of the cut send, or on features without them, as somebody would
            who does not know of the defenses; the latter says how much a weak evaluation flatters.
    """

    paper: ClassVar[str] = "Song, Shmatikov, ICLR 2020, https://arxiv.org/abs/1905.11742"
    control: ClassVar[bool] = False
    counterpart: ClassVar[bool] = False
    needs: ClassVar[Needs] = Needs("attribute")
    signals: ClassVar[tuple[str, ...]] = ()

    classifiers: tuple[str, ...] = CLASSIFIERS
    adaptive: bool = True

    def __post_init__(self) -> None:
        checked(self.classifiers)

    def run(self, game: SplitGame, rng: np.random.Generator) -> Guesses:
        """Attacks one attribute of one model at one cut; `rng` gives the seed of all trainings."""
        return guessed(game, self.classifiers, rng)
