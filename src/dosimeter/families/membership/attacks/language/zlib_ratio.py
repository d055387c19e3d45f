"""The zlib attack: the loss of a text, measured against how well it compresses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dosimeter.families.membership.attacks import reading
from dosimeter.families.membership.attacks.language import tokens
from dosimeter.families.membership.game import MembershipGame, Needs
from dosimeter.models.access import Access
from dosimeter.statistics.evidence import Scores


@dataclass(frozen=True)
class Zlib:
    """Score a text by its log-probability divided by its size after zlib.

    Paper: Carlini, Tramer, Wallace et al., "Extracting Training Data from Large Language Models", 2021,
    https://arxiv.org/abs/2012.07805, section 5.2: the ratio of loss to zlib entropy.
    Threat model: probabilities of the tokens of a text; the text itself.
    Deviations: of a text that was cut, only what the model read is compressed. `sum` divides the loss of the whole
    text by the size of the whole text; `mean`, as in the paper, prefers long texts.
    Cost: O(t n k).

    Attributes:
        of: loss of a text: "mean" or "sum" over tokens.
    """

    paper: ClassVar[str] = "Carlini et al., 2021, https://arxiv.org/abs/2012.07805"
    control: ClassVar[bool] = False
    needs: ClassVar[Needs] = Needs(Access.PROBS, texts=True)
    signals: ClassVar[tuple[str, ...]] = (tokens.LOG_PROBS,)

    of: tokens.Of = "sum"

    def __post_init__(self) -> None:
        reading.check_choices(self, of=tokens.Of)

    def run(self, game: MembershipGame, rng: np.random.Generator) -> Scores:
        """Scores all texts of a game; `rng` is not used.

        Raises:
            ValueError: the game lacks what it needs.
        """
        there = tokens.require(game, self)
        assert game.texts is not None
        values = game.outputs[tokens.LOG_PROBS][:, 0]
        return Scores(game.ids, tokens.totals(values, there, self.of) / game.texts.compressed)
