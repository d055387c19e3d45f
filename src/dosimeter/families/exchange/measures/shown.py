"""What is shown: exact tests of each attack on each mixture against chance, and against the labels of the batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.special import ndtri

from dosimeter.families.exchange.measures.measured import Measured
from dosimeter.foundation.arrays import Array
from dosimeter.statistics.intervals.cells import centred_ranks
from dosimeter.statistics.leakage.exchange import DRAWS, exchange_attacks, exchange_attributes

ALPHA = 0.05
"""Probability that anything is shown although messages tell no more than labels do."""
FINE = 400
"""Exchanges for each test that is allowed for, at least, so that the smallest p-value can show something."""
NO_ROOM = 0.98
"""AUC of the labels alone above which no attack has room to be shown to tell more."""


@dataclass(frozen=True)
class Decision:
    """One attack on one mixture.

    Attributes:
        attack: its id.
        mixture: number of the mixture.
        name: of the mixture.
        effect: AUC.
        floor: AUC of the labels alone; None without such a yardstick.
        p_chance: probability of so much if messages do not depend on the coins.
        p_floor: probability of so much more than from the labels, if those tell as much; None without a yardstick.
        tests: tests that are allowed for.
    """

    attack: str
    mixture: int
    name: str
    effect: float
    floor: float | None
    p_chance: float
    p_floor: float | None
    tests: int

    @property
    def p(self) -> float:
        """The larger one of both, times the number of tests."""
        return min(1.0, self.tests * max(self.p_chance, self.p_floor or 0.0))

    @property
    def above_chance(self) -> bool:
        """Returns whether messages are shown to tell something, be it what the labels tell too."""
        return self.tests * self.p_chance <= ALPHA

    @property
    def shown(self) -> bool:
        """Returns whether messages are shown to tell more than the labels of the batch would."""
        return self.p <= ALPHA

    def to_json(self) -> dict[str, Any]:
        """The test as result.json holds it."""
        return {
            "attack": self.attack, "mixture": self.name, "auc": self.effect, "labels": self.floor,
            "p_chance": self.p_chance, "p_floor": self.p_floor, "p": self.p, "above_chance": self.above_chance,
            "shown": self.shown,
        }  # fmt: skip


def pooled(guesses: Float[Array, "t n 2"]) -> Float[Array, "1 m 2"]:
    """Guesses of all runs as those of one, by their ranks in each run, so that no run counts more than another."""
    ranks = np.stack([centred_ranks(one[None])[0] for one in guesses[..., 1] - guesses[..., 0]]).ravel()
    return np.stack([-ranks, ranks], -1)[None]


@dataclass(frozen=True)
class Decisions:
    """All tests of a case.

    Coins are fair and thrown each for itself, so they may change places if messages do not depend on them, within a
    run and between runs. Of tasks each run takes exactly half, so coins change places within a run alone; of a
    distribution each pair of trainings has one of each world, so they change places within a pair.

    Attributes:
        found: numbers of the run.
    """

    found: Measured

    @cached_property
    def all(self) -> tuple[Decision, ...]:
        """The tests, in the order of attacks and mixtures."""
        return tuple(self._tests())

    def _tests(self) -> Iterator[Decision]:
        """Each attack on messages with each mixture."""
        found, telling = self.found, self.found.telling()
        tests = len(telling) * len(found.mixtures)
        draws = max(DRAWS, FINE * tests)
        tested = [self._of_mixture(mixture, telling, draws) for mixture in range(len(found.mixtures))]
        for place, attack in enumerate(telling):
            for mixture, name in enumerate(found.mixtures):
                (chances, floors), floor = tested[mixture], found.floor(mixture)
                least = None if floor is None else found.auc(floor, mixture).value
                effect = found.auc(attack, mixture).value
                yield Decision(attack, mixture, name, effect, least, chances[place], floors[place], tests)

    def _of_mixture(
        self, mixture: int, attacks: Sequence[str], draws: int
    ) -> tuple[Sequence[float], Sequence[float | None]]:
        """The p-values of all attacks on one mixture, against chance and against the labels."""
        found, coins = self.found, self.found.coins(mixture).ravel()
        own, rows = [pooled(found.guesses(one, mixture)) for one in attacks], np.arange(coins.size)
        rng, floor = found.rng(f"test {mixture}"), found.floor(mixture)
        chances = exchange_attributes(own, coins, rows, rng=rng, draws=draws, within=found.within)
        if floor is None:
            return chances, [None] * len(own)
        other = pooled(found.guesses(floor, mixture))
        pairs = [(one, other) for one in own]
        return chances, exchange_attacks(pairs, coins, rows, rng=found.rng(f"labels {mixture}"), draws=draws)

    @cached_property
    def headline(self) -> Decision:
        """The test with the smallest p-value, then with the largest effect."""
        return min(self.all, key=lambda one: (one.p, -one.effect))

    @property
    def choice_level(self) -> float:
        """Confidence level of the headline's interval, so that those of all tests would hold together."""
        return 1 - ALPHA / len(self.all)

    @property
    def hopeless(self) -> bool:
        """Returns whether the labels alone tell so much, of every mixture, that nothing could tell more."""
        return all(one.floor is not None and one.floor >= NO_ROOM for one in self.all)

    @property
    def needed(self) -> float:
        """The AUC of a mixture that would be above chance in 9 of 10 audits, by the normal law of rank sums."""
        counts = [
            int((self.found.coins(one) == side).sum()) for one in range(len(self.found.mixtures)) for side in (0, 1)
        ]
        spread = np.sqrt((sum(counts[:2]) + 1) / (12 * max(1, counts[0]) * max(1, counts[1])))
        reach = float(ndtri(1 - ALPHA / len(self.all)) + ndtri(0.9))
        return float(min(1.0, 0.5 + reach * spread))
