"""Which variant to take: chosen on one half of the identities, and measured on the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dosimeter.families.inversion.measures.identified import LEVEL, Measured
from dosimeter.families.inversion.measures.utility import HELD_OUT, splits_of
from dosimeter.families.inversion.metrics import METRICS
from dosimeter.families.inversion.threat import NAME
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.seeds import generator
from dosimeter.results.rows import Row
from dosimeter.statistics.intervals.crossed import Interval
from dosimeter.statistics.paired import accuracy_difference

MOST_COST = 0.05
"""Accuracy that a variant may cost on the half on which it is chosen."""
FEWEST = 10
"""Fewest identities, of which each half has five."""


@dataclass(frozen=True)
class _Half:
    """Some identities, as one variant shows them.

    Attributes:
        found: what the variant left.
        identities: which ones.
    """

    found: Measured
    identities: Array

    def hits(self, attack: str) -> Array:
        """Whether each of them is recognised in what an attack made `[t n]`."""
        return self.found.hits(attack)[:, self.identities]

    @property
    def strongest(self) -> str:
        """The attack by which most of them are recognised, the first among equals."""
        return max(self.found.attackers, key=lambda one: self.hits(one).mean())

    @property
    def answers(self) -> Array:
        """Whether the answers about their held-out records are right `[t r]`."""
        right, counted = splits_of(self.found.left)[HELD_OUT]
        rows = np.flatnonzero(np.isin(self.found.left.truth["labels"], self.identities) & counted.all(0))
        return np.asarray(right[:, rows])


def recommended(cases: Mapping[str, Measured]) -> Iterator[Row]:
    """What the recommended variant changes, on identities that had no part in its choice; none if none is better.

    Of the variants that cost at most `MOST_COST` of accuracy on one half of the identities, the one is chosen by whose
    strongest attack there the fewest are recognised, if these are fewer than without it. The other half is then looked
    at once: the change of what is recognised, by the attacks that were strongest on the first half, and of accuracy.

    Args:
        cases: by id of the variant, "none" first.
    """
    plain = cases["none"]
    n, seed = plain.identities, int(plain.left.summary["seed"])
    if n < FEWEST:
        return
    order = generator(seed, "inversion recommendation").permutation(n)
    first, second = np.sort(order[: n // 2]), np.sort(order[n // 2 :])
    chosen = _chosen({name: _Half(one, first) for name, one in cases.items()})
    if chosen == "none":
        return
    attacks = {name: _Half(cases[name], first).strongest for name in ("none", chosen)}
    before, after = _Half(plain, second), _Half(cases[chosen], second)
    leak = _difference(after.hits(attacks[chosen]), before.hits(attacks["none"]))
    told = f"chosen among {len(cases) - 1} on the other {len(first)} identities"
    yield _row(plain, chosen, attacks[chosen], "chosen_change", leak, {"identities": len(second)}, told)
    right, was = after.answers, before.answers
    count = {"identities": len(second), "records": right.shape[1]}
    yield _row(plain, chosen, attacks[chosen], "chosen_cost", _difference(right, was), count, told)


def _chosen(halves: Mapping[str, _Half]) -> str:
    """The variant with the least leak among those that cost little; "none" if no one leaks less."""
    least = float(halves["none"].answers.mean()) - MOST_COST
    able = [name for name, one in halves.items() if name == "none" or one.answers.mean() >= least]

    def rank(name: str) -> tuple[float, bool, float]:
        one = halves[name]
        return float(one.hits(one.strongest).mean()), name != "none", -float(one.answers.mean())

    return min(able, key=rank)


def _difference(after: Array, before: Array) -> Interval:
    """A paired difference of shares."""
    return accuracy_difference(
        after, before, np.ones_like(after), record=np.arange(after.shape[1]), level=LEVEL
    )  # fmt: skip


def _row(
    plain: Measured, variant: str, attack: str, metric: str, found: Interval, n: Mapping[str, int], told: str
) -> Row:
    """One of the two numbers."""
    numbers: dict[str, Any] = {name: getattr(found, name) for name in ("value", "low", "high", "method")}
    return Row(
        threat=NAME, family=NAME, stage=str(plain.left.summary["threat"]["at_risk"]), variant=variant, attack=attack,
        metric=metric, unit=METRICS[metric].unit, n=n, level=LEVEL, reason=told,
        n_targets=len(plain.left.truth["correct"]), **numbers,
    )  # fmt: skip
