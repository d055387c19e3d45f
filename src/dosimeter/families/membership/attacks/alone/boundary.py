"""The boundary attack: members lie further inside their class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import numpy as np

from dosimeter.families.membership.attacks import reading
from dosimeter.families.membership.game import MembershipGame, Needs
from dosimeter.foundation import checks
from dosimeter.models.access import Access
from dosimeter.statistics.evidence import Scores

Queries = Literal[250, 1000, 4000]


@dataclass(frozen=True)
class Boundary:
    """Score a record by its distance from the decision boundary, which is found with predicted classes alone.

    Paper: Choquette-Choo, Tramer, Carlini, Papernot, "Label-Only Membership Inference Attacks", 2021,
    https://arxiv.org/abs/2007.14321, section 4.2, with the HopSkipJump of Chen, Jordan, Wainwright, 2020,
    https://arxiv.org/abs/1904.02144, algorithm 2, in L2. A misclassified record has score 0.
    Threat model: the target's predicted classes, for any input and as often as the budget says.
    Deviations: the search starts from the nearest of 16 other records in place of random noise, which is of one class
    as a rule; every record takes the same steps, all step lengths at once; a step that leads no nearer is not taken.
    Cost: `queries` forward passes per model and record, for every model of the fleet: 18 models and 400 records are
    7.2 million at the default. Judge few candidates where a forward pass is dear.

    Attributes:
        queries: budget per record, 250, 1000 or 4000.
    """

    paper: ClassVar[str] = "Choquette-Choo et al., 2021, https://arxiv.org/abs/2007.14321"
    control: ClassVar[bool] = False
    needs: ClassVar[Needs] = Needs(Access.LABELS)

    queries: Queries = 1000

    def __post_init__(self) -> None:
        if self.queries not in get_args(Queries):
            tail = checks.suggest(str(self.queries), map(str, get_args(Queries)))
            raise ValueError(f"queries must be known, got {self.queries}: {tail}")

    @property
    def signals(self) -> tuple[str, ...]:
        """The signal of the distance that this budget of queries finds."""
        return (f"boundary_distance_{self.queries}",)

    def run(self, game: MembershipGame, rng: np.random.Generator) -> Scores:
        """Scores all records of a game; `rng` is not used.

        Raises:
            ValueError: the signal is missing or not finite.
        """
        reading.require(game, self.needs, self.signals)
        return Scores(game.ids, game.outputs[self.signals[0]][:, 0])
