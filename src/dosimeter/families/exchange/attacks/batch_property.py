"""Batch property: classifiers that learn on simulated batches tell whether the victim's batch has the property."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from dosimeter.families.exchange.attacks.learning import CLASSIFIERS, checked, log_odds
from dosimeter.families.exchange.attacks.simulating import simulated
from dosimeter.families.exchange.game import ExchangeGame, Needs
from dosimeter.families.exchange.threat import Channel
from dosimeter.statistics.evidence import Guesses


@dataclass(frozen=True)
class BatchProperty:
    """Learn at each step to tell what own batches of both sides would have sent, and apply it to what came.

    Paper: Melis, Song, De Cristofaro, Shmatikov, "Exploiting Unintended Feature Leakage in Collaborative Learning",
    IEEE S&P 2019, https://arxiv.org/abs/1805.04049, for gradients. Representations and alignment: Chen et al., 2020,
    https://arxiv.org/abs/2009.01989, of which only the abstract could be read.
    Threat model: a party or the coordinator that follows the protocol; records of its own with the property.
    Deviations: the victim's head is private, so heads of the adversary's own stand for it, which learn with the trunk.
    So gradients are read as the mean of what came into each layer, which depends little on the head; `reading =
    "entries"` reads them as the paper does. What is simulated goes through the defenses on which parties agreed. A
    random forest and a penalised linear classifier compete on simulated batches that are held back.
    Cost: `2 * simulated * heads` batches for each step, and the classifiers.

    Attributes:
        channel: what of the messages is read.
        simulated: batches of each side that are simulated for each step and head.
        heads: heads that stand for the victim's; of representations they multiply `simulated`.
        reading: how gradients and updates are read: "inputs", "entries" or "both"; null for "inputs", and for "both"
            where a defense such as `compress` changes them.
        classifiers: "forest", "logistic" or both.
    """

    paper: ClassVar[str] = "Melis, Song, De Cristofaro, Shmatikov, IEEE S&P 2019, https://arxiv.org/abs/1805.04049"
    control: ClassVar[bool] = False
    signals: ClassVar[tuple[str, ...]] = ()

    channel: Channel = "gradient"
    simulated: int = 2
    heads: int = 2
    reading: Literal["inputs", "entries", "both"] | None = None
    classifiers: tuple[str, ...] = CLASSIFIERS

    def __post_init__(self) -> None:
        checked(self.classifiers, simulated=self.simulated, heads=self.heads)

    @property
    def mode(self) -> str:
        """The channel, which names the attack in results."""
        return self.channel

    @property
    def needs(self) -> Needs:
        """Messages of the channel."""
        return Needs(self.channel)

    @property
    def batches_per_step(self) -> int:
        """Simulated batches of each step."""
        return 2 * self.simulated * self.heads

    def run(self, game: ExchangeGame, rng: np.random.Generator) -> Guesses:
        """Guesses each step of one training; steps of which nothing was seen get even odds."""
        found = simulated(game, self.channel, per_side=self.simulated, heads=self.heads, rng=rng, reading=self.reading)
        odds = np.zeros(len(game.ids))
        odds[found.steps] = log_odds(found.features, found.sides, found.observed, self.classifiers, rng)
        return Guesses(game.ids, np.stack([-odds, odds], -1)[None] / 2)
