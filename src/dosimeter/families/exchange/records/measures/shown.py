"""What is shown: exact tests of whether the right record is picked out among others of its class."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from dosimeter.families.exchange.records.measures.rebuilt import Rebuilt
from dosimeter.statistics.identification import DRAWS, NameTest, exchange_names, would_show

ALPHA = 0.05
"""Probability that anything is shown although messages tell no more than the classes of a batch do."""
FINE = 400
"""Exchanges for each test that is allowed for, at least, so that the smallest p-value can show something."""


@dataclass(frozen=True)
class Decision:
    """One attack.

    Attributes:
        attack: its id.
        recovered: share of the records that is made again.
        picked: share that is picked out.
        named: what exchanging the batches says.
        tests: attacks, which are allowed for.
    """

    attack: str
    recovered: float
    picked: float
    named: NameTest
    tests: int

    @property
    def p(self) -> float:
        """Of so much if messages tell nothing, for both statistics and all attacks."""
        return min(1.0, 2 * self.tests * min(self.named.p_recognised, self.named.p_placed))

    @property
    def shown(self) -> bool:
        """Returns whether messages are shown to tell which records were in a batch."""
        return self.p <= ALPHA

    def to_json(self) -> dict[str, Any]:
        """The test as result.json holds it."""
        return {
            "attack": self.attack, "recovered": self.recovered, "identified": self.picked,
            "p_recognised": self.named.p_recognised, "p_placed": self.named.p_placed, "p": self.p, "shown": self.shown,
        }  # fmt: skip


@dataclass(frozen=True)
class Decisions:
    """All tests of a case.

    Batches share no record and have the same classes at the same places. So if what crosses depends on nothing but the
    classes of a batch, the batches may be exchanged with each other, and classes alone are at chance.

    Attributes:
        found: numbers of the run.
    """

    found: Rebuilt

    @cached_property
    def all(self) -> tuple[Decision, ...]:
        """The tests, in the order of attacks."""
        found, attacks = self.found, self.found.telling()
        tests = len(attacks)
        return tuple(
            Decision(
                one, float(found.recovered(one).mean()), float(found.picked(one).mean()),
                exchange_names(
                    {one: found.lineup(one)}, rng=found.rng(f"test {one}"), level=ALPHA / (2 * tests),
                    draws=max(DRAWS, FINE * tests),
                ),
                tests,
            )
            for one in attacks
        )  # fmt: skip

    @cached_property
    def headline(self) -> Decision:
        """Of the attacks that are shown, or of all, the one that makes most records again, then picks out most."""
        able = [one for one in self.all if one.shown] or self.all
        return max(able, key=lambda one: (one.recovered, one.picked, -one.p))

    @property
    def choice_level(self) -> float:
        """Confidence level of the headline's interval, so that those of all attacks would hold together."""
        return 1 - ALPHA / len(self.all)

    @property
    def limit(self) -> float:
        """Share that an attack must pick out on average to be shown in 9 of 10 audits, as if batches had one record."""
        return would_show(self.found.batches, float(np.minimum(self.headline.named.needed, 2.0)))
