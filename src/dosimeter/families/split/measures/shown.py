"""What is shown: exact tests of each attack at each cut against chance, and against what the answers alone tell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from dosimeter.families.split.measures.measured import Measured, Told
from dosimeter.statistics.identification import exchange_names, placed, would_show
from dosimeter.statistics.leakage.attributes import auc_of
from dosimeter.statistics.leakage.exchange import DRAWS, exchange_attacks, exchange_attributes, sign_test

ALPHA = 0.05
"""Probability that anything is shown although features tell no more than answers do."""
FINE = 400
"""Exchanges for each test that is allowed for, at least, so that the smallest p-value can show something."""


@dataclass(frozen=True)
class Decision:
    """One attack at one cut, after one secret.

    Attributes:
        attack: its id.
        source: number of the cut.
        cut: name of the cut.
        told: the attribute; None if the input is sought.
        effect: mean place in the lineup, or AUC.
        p_chance: probability of so much if features tell nothing.
        p_floor: probability of so much more than from the answers, if they tell as much; the largest one over all
            attacks on the answers of that cut, None if there is none.
        tests: tests of its kind, which are allowed for.
        level: at which all of its kind together are small.
    """

    attack: str
    source: int
    cut: str
    told: Told | None
    effect: float
    p_chance: float
    p_floor: float | None
    tests: int
    level: float

    @property
    def p(self) -> float:
        """The larger one of both, times the number of tests."""
        return min(1.0, self.tests * max(self.p_chance, self.p_floor or 0.0))

    @property
    def above_chance(self) -> bool:
        """Returns whether features are shown to tell something, be it what the answers tell too."""
        return self.tests * self.p_chance <= self.level

    @property
    def shown(self) -> bool:
        """Returns whether features are shown to tell more than answers do."""
        return self.p <= self.level

    def to_json(self) -> dict[str, Any]:
        """The test as result.json holds it."""
        return {
            "attack": self.attack, "cut": self.cut, "attribute": None if self.told is None else self.told.name,
            "p_chance": self.p_chance, "p_floor": self.p_floor, "p": self.p, "above_chance": self.above_chance,
            "shown": self.shown,
        }  # fmt: skip


@dataclass(frozen=True)
class Decisions:
    """All tests of a run.

    Attributes:
        found: its numbers.
    """

    found: Measured

    @cached_property
    def level(self) -> float:
        """Level of each kind: half of the whole where inputs and attributes are sought."""
        kinds = bool(self.found.telling("input")) + bool(self._of_attributes)
        return ALPHA / max(1, kinds)

    @cached_property
    def _of_attributes(self) -> list[str]:
        """Attacks on attributes that read features; none without attributes."""
        return self.found.telling("attribute") if self.found.attributes else []

    @cached_property
    def all(self) -> tuple[Decision, ...]:
        """Tests of inputs, then of attributes."""
        return (*self._inputs(), *self._attributes())

    def _inputs(self) -> Iterator[Decision]:
        """Whether the true record is told from others of the lineup."""
        found, attacks = self.found, self.found.telling("input")
        tests = len(attacks) * len(found.cuts)
        for attack in attacks:
            for source, cut in enumerate(found.cuts):
                own = found.lineup(attack, source)
                rng = found.rng(f"test {attack} {source}")
                named = exchange_names({attack: own}, rng=rng, draws=max(DRAWS, FINE * tests))
                floors = found.floors("input", source)
                p_chance = min(1.0, 2 * min(named.p_recognised, named.p_placed))
                p_floor = max((self._nearer((attack, source), floor) for floor in floors), default=None)
                effect = float(placed(own).mean())
                yield Decision(attack, source, cut, None, effect, p_chance, p_floor, tests, self.level)

    def _nearer(self, own: tuple[str, int], floor: tuple[str, int]) -> float:
        """p-value of one attack coming nearer to the inputs than a floor does, or placing them better."""
        found = self.found
        nearer = found.by_person(*floor), found.by_person(*own)
        better = placed(found.lineup(*own)), placed(found.lineup(*floor))
        return min(1.0, 2 * min(sign_test(*nearer), sign_test(*better)))

    def _attributes(self) -> Iterator[Decision]:
        """Whether attributes are told."""
        found = self.found
        tests = len(self._of_attributes) * len(found.cuts) * len(found.attributes)
        asked = [(attack, source) for attack in self._of_attributes for source in range(len(found.cuts))]
        tested = {told.index: self._of_attribute(told, asked, max(DRAWS, FINE * tests)) for told in found.attributes}
        for attack in self._of_attributes:
            for told in found.attributes:
                for source, cut in enumerate(found.cuts):
                    effect = auc_of(found.guesses(attack, told, source), told.truth, told.unit).value
                    both = tested[told.index][attack, source]
                    yield Decision(attack, source, cut, told, effect, *both, tests, self.level)

    def _of_attribute(
        self, told: Told, asked: Sequence[tuple[str, int]], draws: int
    ) -> dict[tuple[str, int], tuple[float, float | None]]:
        """The p-values of each attack at each cut after one attribute, against chance and against all floors."""
        found, truth = self.found, (told.truth, self.found.person)
        own = [found.guesses(attack, told, source) for attack, source in asked]
        chance = exchange_attributes(own, *truth, rng=found.rng(f"test {told.name}"), draws=draws)
        floors = [
            (place, found.guesses(one, told, where))
            for place, (_, source) in enumerate(asked)
            for one, where in found.floors("attribute", source)
        ]
        pairs = [(own[place], other) for place, other in floors]
        ps = exchange_attacks(pairs, *truth, rng=found.rng(f"floors {told.name}"), draws=draws)
        largest = [
            max((p for (at, _), p in zip(floors, ps, strict=True) if at == place), default=None)
            for place in range(len(asked))
        ]
        return dict(zip(asked, zip(chance, largest, strict=True), strict=True))

    def hopeless(self, told: Told | None) -> bool:
        """Returns whether no attack on a secret, however successful, could be shown to tell it with so few people."""
        if told is None:
            caught = self.caught()
            return caught is not None and caught["limit"] >= 1
        tests = len(self._of_attributes) * len(self.found.cuts) * len(self.found.attributes)
        perfect = np.eye(len(told.kept))[told.truth][None]
        rng, draws = self.found.rng(f"needed {told.name}"), max(DRAWS, FINE * tests)
        (p,) = exchange_attributes([perfect], told.truth, self.found.person, rng=rng, draws=draws)
        return tests * p > self.level

    def best(self, told: Told | None) -> Decision | None:
        """The test of one secret with the smallest p-value, then with the largest effect; None without any."""
        mine = [one for one in self.all if (one.told is None) == (told is None)]
        mine = [one for one in mine if told is None or (one.told is not None and one.told.index == told.index)]
        return min(mine, key=lambda one: (one.p, -one.effect), default=None)

    @cached_property
    def headline(self) -> Decision:
        """The first secret that is shown, the input before attributes; without any, the first one."""
        bests = [self.best(None), *(self.best(told) for told in self.found.attributes)]
        there = [one for one in bests if one is not None]
        return next((one for one in there if one.shown), there[0])

    @property
    def choice_level(self) -> float:
        """Confidence level of the headline's interval, so that those of all tests would hold together."""
        return 1 - ALPHA / len(self.all)

    def caught(self) -> dict[str, float] | None:
        """Share of a lineup that an attack must name to be shown at all, and how often it must do so in 9 of 10 audits.

        None where inputs are not sought.
        """
        first = self.best(None)
        if first is None:
            return None
        m = len(self.found.left.truth["lineup"])
        own = self.found.lineup(first.attack, first.source)
        rng = self.found.rng("needed")
        level = self.level / (2 * first.tests)
        needed = exchange_names({first.attack: own}, rng=rng, level=level, draws=max(DRAWS, FINE * first.tests)).needed
        return {"needed": float(np.minimum(needed, 1.0)), "limit": would_show(m, needed)}
