"""Numbers of each attack on each mixture: how well the sides of batches are told, in AUC and in bits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from jaxtyping import Float, Int

from dosimeter.families.directions import says_alike
from dosimeter.families.exchange.metrics import METRICS
from dosimeter.families.exchange.stored import Left
from dosimeter.families.exchange.threat import NAME
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.seeds import generator
from dosimeter.results.rows import DOSE, Condition, Row
from dosimeter.statistics.dose.dose import Dose
from dosimeter.statistics.dose.measure import dose_of_guesses
from dosimeter.statistics.intervals.crossed import Interval
from dosimeter.statistics.leakage.attributes import auc_gain, auc_of

LEVEL = 0.95
"""Confidence level of every row, two-sided; rows are not corrected for the number of attacks and mixtures."""


@dataclass(frozen=True)
class Measured:
    """What a run left, with its numbers.

    The steps of one training are the records of the statistics: under fair coins that chose nothing, each step is
    right by luck and for itself. Several trainings are several targets, whose spread counts too.

    Attributes:
        left: what it left.
    """

    left: Left

    def rng(self, purpose: str) -> np.random.Generator:
        """A generator for one number."""
        return generator(int(self.left.summary["seed"]), f"exchange {purpose}")

    @cached_property
    def mixtures(self) -> list[str]:
        """Names of the mixtures."""
        return [f"{high:g}/{low:g}" for high, low in self.left.summary["threat"]["mixtures"]]

    @cached_property
    def batches(self) -> int:
        """Batches that were guessed, over all runs of one mixture."""
        return int(self.left.truth["coins"][0].size)

    @property
    def _question(self) -> str:
        """What is asked; runs of older versions ask for a property alone."""
        return str(self.left.summary["threat"].get("question", "property"))

    @cached_property
    def steps(self) -> Int[Array, " n"]:
        """Number of each step; of a distribution that of each pair of trainings, which draw on the same records."""
        found = np.arange(self.left.truth["coins"].shape[2])
        return found // 2 if self._question == "distribution" else found

    def coins(self, mixture: int) -> Int[Array, "t n"]:
        """The coin of each step, 1 for the first side."""
        coins: Array = self.left.truth["coins"][mixture]
        return coins.astype(np.int64)

    @property
    def within(self) -> Int[Array, " n"] | None:
        """The part of each coin, over all trainings, where a part has a fixed number of each side; else None.

        Of tasks it is a training, of a distribution a pair of trainings.
        """
        targets, n = self.left.truth["coins"].shape[1:]
        if self._question == "distribution":
            return np.arange(targets * n) // 2
        return np.repeat(np.arange(targets), n) if self._question == "tasks" else None

    @property
    def null_coins(self) -> Int[Array, "t n"]:
        """Coins that chose nothing."""
        return self.left.truth["null_coins"].astype(np.int64)

    def telling(self) -> list[str]:
        """Attacks on messages, of which a finding may be made."""
        rows = (self.left.attack(one) for one in self.left.evidence)
        return [str(one["id"]) for one in rows if one["channel"] is not None and not one.get("reference")]

    def floors(self) -> list[str]:
        """Yardsticks that are told the classes of each batch."""
        return [one for one in self.left.evidence if self.left.attack(one)["reads"] == "labels"]

    def controls(self) -> list[str]:
        """Attacks that see nothing."""
        return [one for one in self.left.evidence if self.left.attack(one)["control"]]

    def guesses(self, attack: str, mixture: int) -> Float[Array, "t n 2"]:
        """Log-scores of both sides."""
        guesses: Array = self.left.evidence[attack]["guesses"][mixture]
        return guesses

    def auc(self, attack: str, mixture: int, level: float = LEVEL) -> Interval:
        """Of a batch of each side, how often an attack tells which is which."""
        return auc_of(self.guesses(attack, mixture), self.coins(mixture), self.steps, level=level)

    def floor(self, mixture: int) -> str | None:
        """The yardstick that tells most; None without any."""
        return max(self.floors(), key=lambda one: self.auc(one, mixture).value, default=None)

    def dose(self, attack: str, mixture: int, level: float = LEVEL) -> Dose:
        """Bits that guesses tell about the coin of a batch, read by halves of the steps."""
        rng = self.rng(f"dose {attack} {mixture}")
        prior = np.array([0.5, 0.5])
        coins = self.coins(mixture)
        return dose_of_guesses(self.guesses(attack, mixture), coins, self.steps, rng=rng, prior=prior, level=level)

    def rows(self) -> list[Row]:
        """All numbers of all attacks."""
        return [
            row
            for attack in self.left.evidence
            for mixture in range(len(self.mixtures))
            for row in self._of_attack(attack, mixture)
        ]

    def at(self, attack: str, mixture: int) -> dict[str, Condition]:
        """Conditions of an attack's rows."""
        channel = self.left.attack(attack)["channel"]
        return {"mixture": self.mixtures[mixture], **({} if channel is None else {"channel": str(channel)})}

    def _of_attack(self, attack: str, mixture: int) -> Iterator[Row]:
        """The numbers of one attack on one mixture."""
        at, floor = self.at(attack, mixture), self.floor(mixture)
        row = partial(self.row, doubt=self.doubt(attack, mixture))
        yield row(attack, "property_auc", self.auc(attack, mixture), at)
        if attack in self.telling() and floor is not None:
            pair = self.guesses(attack, mixture), self.guesses(floor, mixture)
            gain = auc_gain(*pair, self.coins(mixture), self.steps, level=LEVEL)
            yield row(attack, "beyond_labels", gain, at)
        dose = self.dose(attack, mixture)
        if dose.value is not None and dose.low is not None and dose.high is not None:
            yield row(attack, DOSE, Interval(max(0.0, dose.value), dose.low, dose.high, dose.method), at)

    def doubt(self, attack: str, mixture: int) -> str:
        """Why a number of an attack meets no limit: the attack failed. Empty where nothing says so."""
        alike = attack in self.telling() and says_alike(self.guesses(attack, mixture))
        return "the attack said the same of everyone (P8)" if alike else ""

    def row(
        self,
        attack: str,
        metric: str,
        found: Interval,
        conditions: Mapping[str, Condition],
        variant: str = "none",
        doubt: str = "",
    ) -> Row:
        """One number of one attack."""
        return Row(
            threat=NAME, family=NAME, stage=str(self.left.summary["threat"]["at_risk"]), variant=variant,
            attack=attack, metric=metric, unit=METRICS[metric].unit, conditions=conditions, value=found.value,
            low=found.low, high=found.high, level=LEVEL, method=found.method, n={"batches": self.batches},
            n_targets=int(self.left.summary["threat"]["targets"]), doubt=doubt,
        )  # fmt: skip
