"""Set property: what all messages of a training tell of all records together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dosimeter.families.exchange.distribution.game import DistributionGame
from dosimeter.families.exchange.game import Needs
from dosimeter.families.exchange.threat import Channel
from dosimeter.foundation.errors import AccessError
from dosimeter.statistics.evidence import Guesses


@dataclass(frozen=True)
class SetProperty:
    """Learn on joint trainings that one played in both worlds to tell the mean of all messages of each world.

    Paper: after Melis, Song, De Cristofaro, Shmatikov, IEEE S&P 2019, https://arxiv.org/abs/1805.04049, who tell single
    batches; here the messages of all steps count together.
    Threat model: all messages that a party sent or received; records of its own with the property.
    Deviations: each message is read as by `batch_property`, gradients in both of its readings, and the mean over steps
    goes to a penalised linear classifier, since there are few trainings.
    Cost: none beside the trainings that the adversary plays.

    Attributes:
        channel: what of the messages is read.
        inverse_penalty: of the logistic regression, as scikit-learn's C.
    """

    paper: ClassVar[str] = (
        "after Melis, Song, De Cristofaro, Shmatikov, IEEE S&P 2019, https://arxiv.org/abs/1805.04049"
    )
    control: ClassVar[bool] = False
    signals: ClassVar[tuple[str, ...]] = ()

    channel: Channel = "gradient"
    inverse_penalty: float = 0.01

    def __post_init__(self) -> None:
        if not 0 < self.inverse_penalty < np.inf:
            raise ValueError(f"inverse_penalty must be positive and finite, got {self.inverse_penalty:g}")

    @property
    def mode(self) -> str:
        """The channel, which names the attack in results."""
        return self.channel

    @property
    def needs(self) -> Needs:
        """Messages of the channel."""
        return Needs(self.channel, question="distribution")

    def run(self, game: DistributionGame, rng: np.random.Generator) -> Guesses:
        """Guesses each training; `rng` is not used.

        Raises:
            AccessError: nothing was seen in the channel.
        """
        from sklearn.linear_model import LogisticRegression

        if game.messages is None:
            raise AccessError(f"channel {self.channel!r}: nothing of the victim was seen in it: leave the attack out")
        asked, known = game.messages
        centre, spread = known.mean(0), known.std(0)
        spread = np.where(spread > 0, spread, 1.0)
        model = LogisticRegression(C=self.inverse_penalty, max_iter=1000).fit((known - centre) / spread, game.own.world)
        odds = np.asarray(model.decision_function((asked - centre) / spread))
        return Guesses(game.ids, np.stack([-odds, odds], -1)[None] / 2)
