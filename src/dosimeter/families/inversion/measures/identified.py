"""Numbers of each attack: who is recognised, by which judge, and how that compares with other attacks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from dosimeter.families.inversion.metrics import METRICS, TOPS
from dosimeter.families.inversion.stored import Left
from dosimeter.families.inversion.threat import NAME
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.seeds import generator
from dosimeter.results.rows import DOSE, Condition, Row
from dosimeter.statistics.dose.dose import Dose
from dosimeter.statistics.dose.measure import dose_of_guesses
from dosimeter.statistics.identification import NameTest, exchange_names, place_of, placed, rate_of, recognised
from dosimeter.statistics.intervals.crossed import Interval
from dosimeter.statistics.paired import accuracy_difference

LEVEL = 0.95
"""Confidence level of every row, two-sided; rows are not corrected for the number of attacks."""


@dataclass(frozen=True)
class Measured:
    """What a run left, with its numbers.

    Attributes:
        left: what it left.
    """

    left: Left

    def rng(self, purpose: str) -> np.random.Generator:
        """A generator for one number."""
        return generator(int(self.left.summary["seed"]), f"inversion {purpose}")

    @cached_property
    def identities(self) -> int:
        """Number of identities."""
        return int(self.left.summary["data"]["identities"])

    @cached_property
    def attackers(self) -> tuple[str, ...]:
        """Attacks that are no controls, in order."""
        return tuple(one for one in self.left.evidence if one not in self.left.controls)

    @cached_property
    def test(self) -> NameTest:
        """What exchanging names says of all attackers together."""
        return exchange_names({one: self.left.lineup(one) for one in self.attackers}, rng=self.rng("names"))

    @cached_property
    def headline(self) -> str:
        """The attacker by which most identities are recognised, then that with the best mean place, then the first.

        The test allows for the choice among all attackers, and the headline's own interval for their number.
        """
        return max(self.attackers, key=lambda one: (self.hits(one).mean(), placed(self.left.lineup(one)).mean()))

    @cached_property
    def choice_level(self) -> float:
        """Confidence level of the headline's interval, so that those of all attackers would hold together."""
        return 1 - (1 - LEVEL) / len(self.attackers)

    @cached_property
    def headline_rate(self) -> Interval:
        """Share of identities that the headline attack makes recognisable, at the level of a choice."""
        return rate_of(self.hits(self.headline), rng=self.rng("headline"), level=self.choice_level)

    @cached_property
    def headline_dose(self) -> Dose:
        """The dose of the headline attack, at the level of a choice."""
        return self._dose(self.headline, self.choice_level)

    def hits(self, attack: str, top: int = 1) -> Array:
        """Whether the lineup names each identity `[t n]`."""
        return recognised(self.left.lineup(attack), top)

    def rows(self) -> list[Row]:
        """All numbers of all attacks."""
        return [row for attack in self.left.evidence for row in self._rows_of(attack)]

    def _rows_of(self, attack: str) -> list[Row]:
        """The numbers of one attack."""
        judges = {"recognised": self.left.lineup(attack), "classified": self.left.classifier(attack)}
        tops = [top for top in TOPS if top < self.identities]
        found = [
            self._row(attack, metric, rate_of(recognised(similarity, top), rng=self.rng(f"{metric} {attack}")), top=top)
            for metric, similarity in judges.items()
            for top in tops
        ]
        found.append(self._row(attack, "placed", place_of(placed(judges["recognised"]), level=LEVEL)))
        dose = self._dose(attack, LEVEL)
        if dose.value is None or dose.low is None or dose.high is None:
            return found
        ends = Interval(max(0.0, dose.value), dose.low, dose.high, dose.method)
        return [*found, self._row(attack, DOSE, ends)]

    def _dose(self, attack: str, level: float) -> Dose:
        """Bits that what an attack made tells about which identity it shows, read by halves of the identities."""
        similarity = self.left.lineup(attack)
        truth = np.tile(np.arange(self.identities), (len(similarity), 1))
        rng = self.rng(f"dose {attack}")
        return dose_of_guesses(similarity, truth, np.arange(self.identities), rng=rng, level=level)

    def _row(self, attack: str, metric: str, found: Interval, **conditions: Condition) -> Row:
        """One number of one attack."""
        return Row(
            threat=NAME, family=NAME, stage=str(self.left.summary["threat"]["at_risk"]), variant="none", attack=attack,
            metric=metric, unit=METRICS[metric].unit, conditions=conditions, value=found.value, low=found.low,
            high=found.high, level=LEVEL, method=found.method, n={"identities": self.identities},
            n_targets=len(self.left.lineup(attack)),
        )  # fmt: skip

    def beside(self) -> list[dict[str, Any]]:
        """Share that the headline attack makes recognisable beyond each other attack, paired by identity."""
        first, everyone = self.hits(self.headline), np.ones_like(self.hits(self.headline))
        found = []
        for attack in self.left.evidence:
            if attack != self.headline:
                gain = accuracy_difference(
                    first, self.hits(attack), everyone, record=np.arange(self.identities), level=LEVEL
                )
                found.append({"attack": attack, "gain": gain.value, "low": gain.low, "high": gain.high})
        return found
