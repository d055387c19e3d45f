"""One table of all cuts: costs, accuracy, leakage and the radius; the Pareto set, and a cut that is recommended.

A leak is told in one unit for all secrets: of two people, how often an attack tells which is which. For an attribute
that is its AUC, for the input the mean place in the lineup.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool
from scipy.stats import spearmanr

from dosimeter.families.split.measures.measured import LEVEL, Measured, Told
from dosimeter.families.split.measures.shown import Decisions
from dosimeter.foundation.arrays import Array
from dosimeter.statistics.identification import place_of, placed
from dosimeter.statistics.intervals.crossed import Interval
from dosimeter.statistics.leakage.attributes import auc_of
from dosimeter.statistics.pareto import pareto
from dosimeter.statistics.utility import accuracy

FEWEST = 5
"""Fewest persons of the lineup in each half."""
WORSE = 0.01
"""Accuracy that a recommended cut may lack to the best one."""
FEWEST_CUTS = 3
"""Fewest cuts of which it is said whether the radius orders them as the leaks do."""


@dataclass(frozen=True)
class Leak:
    """What the strongest attack on one secret tells at one cut.

    Attributes:
        attack: its id.
        found: of two people, how often it tells which is which.
    """

    attack: str
    found: Interval


@dataclass(frozen=True)
class Cuts:
    """Leaks at all cuts.

    Attributes:
        found: numbers of the run.
        tests: what is shown.
    """

    found: Measured
    tests: Decisions

    @cached_property
    def secrets(self) -> list[Told | None]:
        """What is sought: None for the input, then the attributes."""
        inputs = [None] if self.found.telling("input") else []
        return [*inputs, *(self.found.attributes if self.found.telling("attribute") else ())]

    def leak(self, attack: str, told: Told | None, source: int, some: Bool[Array, " n"]) -> Interval:
        """What one attack tells of some victims.

        Args:
            attack: its id.
            told: the attribute; None for the input.
            source: number of the cut.
            some: whether each victim counts; whole persons.
        """
        if told is None:
            rows = some[self.found.left.truth["lineup"]]
            return place_of(placed(self.found.lineup(attack, source)[:, rows][:, :, rows]), level=LEVEL)
        guesses = self.found.guesses(attack, told, source)[:, some]
        return auc_of(guesses, told.truth[some], told.unit[some], level=LEVEL)

    def strongest(self, told: Told | None, source: int, some: Bool[Array, " n"]) -> Leak:
        """The attack that tells most of some victims, and what it tells; arguments as of `leak`."""
        names = self.found.telling("input" if told is None else "attribute")
        leaks = [Leak(one, self.leak(one, told, source, some)) for one in names]
        return max(leaks, key=lambda one: one.found.value)

    def right(self, source: int) -> Bool[Array, "t n"] | None:
        """Whether each answer for a victim is right, behind one cut; None where victims have other classes."""
        truth = self.found.left.truth
        return truth.get(f"correct-{source}", truth.get("correct"))

    def accuracy(self, source: int, some: Bool[Array, " n"]) -> Interval | None:
        """Share of right answers for some victims."""
        right = self.right(source)
        if right is None:
            return None
        own = right[:, some]
        rng = self.found.rng("accuracy")
        one = accuracy(own, np.ones_like(own), record=self.found.person[some], rng=rng, level=LEVEL)
        if one.value is None or one.low is None or one.high is None:
            return None
        return Interval(one.value, one.low, one.high, one.method)

    @property
    def everyone(self) -> Bool[Array, " n"]:
        """All victims."""
        return np.ones(len(self.found.person), bool)

    def table(self) -> list[dict[str, Any]]:
        """All cuts with what each costs, and what it leaks; what is in the Pareto set is marked."""
        radii, rows = self.found.left.truth.get("radius-squared"), []
        shares = self.found.left.truth.get("radius-share")
        for source, cut in enumerate(self.found.left.summary["cuts"]):
            rows.append(
                {
                    **cut,
                    "accuracy": _ends(self.accuracy(source, self.everyone)),
                    "leaks": [self._told(told, source) for told in self.secrets],
                    "radius": None if radii is None or shares is None else {
                        "squared": float(radii[:, source].mean()), "share": _finite(float(shares[:, source].mean())),
                    },
                }
            )  # fmt: skip
        for row, best in zip(rows, pareto(np.array([_costs(one) for one in rows])), strict=True):
            row["pareto"] = bool(best)
        return rows

    def _told(self, told: Told | None, source: int) -> dict[str, Any]:
        """The strongest attack on one secret at one cut, and whether any is shown to tell more than answers do."""
        one, name = self.strongest(told, source, self.everyone), None if told is None else told.name
        own = [test for test in self.tests.all if test.source == source]
        shown = any(test.shown for test in own if (None if test.told is None else test.told.name) == name)
        return {"attribute": name, "attack": one.attack, **(_ends(one.found) or {}), "shown": shown}


def _ends(one: Interval | None) -> dict[str, float] | None:
    """An interval as JSON values."""
    return None if one is None else {"value": one.value, "low": one.low, "high": one.high}


def _finite(value: float) -> float | None:
    """A number, or None where there is none."""
    return value if np.isfinite(value) else None


def _costs(row: Mapping[str, Any]) -> list[float]:
    """What is bad about a cut, number by number; a leak below chance is no better than chance."""
    wrong = 0.0 if row["accuracy"] is None else 1 - row["accuracy"]["value"]
    leaks = [max(0.5, one["value"]) for one in row["leaks"]]
    # What is not known of recorded traffic is the same for all cuts.
    sizes = (row["bytes"]["float32"], row["parameters"] or 0, row["multiply_adds"] or 0)
    return [*map(float, sizes), wrong, *leaks]


def choice(cuts: Cuts, table: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The cut that is recommended: chosen on one half of the persons, with its leaks on the other half.

    Of the cuts within the limits of the threat, and not less accurate than the best of them by more than `WORSE`, the
    one is sought at which the worst secret leaks least. All whose worst leak does not exceed the upper end of that
    one's interval are taken for as good. Of those the cheapest for the device is recommended: fewest multiply-adds,
    then fewest bytes. Where the threat limits the leak, all cuts are as good whose worst leak keeps within that limit
    with the upper end of its interval; whether it does on the other half too is told.

    Args:
        cuts: the leaks.
        table: as `Cuts.table` gives it.
    """
    limits = cuts.found.left.summary["threat"].get("limits") or {}
    base: dict[str, Any] = {
        "cut": None, "reason": "", "limits": dict(limits), "persons": None, "chosen_on": None, "leaks": [],
        "agreement": _agreement(table), "left_out": int(cuts.found.left.summary.get("cuts_left_out", 0)),
        "leak_limit": None,
    }  # fmt: skip
    within = [
        index
        for index, row in enumerate(table)
        if row["bytes"]["float32"] <= limits.get("bytes", np.inf)
        and (row["multiply_adds"] or 0) <= limits.get("multiply_adds", np.inf)
    ]
    if len(table) < 2:
        return {**base, "reason": "one cut was tested, so there is nothing to choose from"}
    if not within:
        return {**base, "reason": "no cut keeps within the limits of the threat"}
    first = halves(cuts.found.person, cuts.found.left.truth["lineup"], cuts.found.rng("choice"))
    if reason := _too_few(cuts, first):
        return {**base, "reason": reason}
    most = limits.get("leak")
    chosen, worst = _chosen(cuts, table, within, first, most)
    if most is not None and worst.high > most:
        least = f"{worst.value:.2f} ({worst.low:.2f} to {worst.high:.2f}) after {table[chosen]['name']}"
        return {**base, "reason": f"no cut was shown to leak at most {most:g}; the least worst leak is {least}"}
    told = [_measured(cuts, secret, chosen, first) for secret in cuts.secrets]
    persons = [int(len(np.unique(cuts.found.person[half]))) for half in (first, ~first)]
    kept = None if most is None else kept_within(told, most)
    return {
        **base, "cut": table[chosen]["name"], "persons": persons, "chosen_on": worst.value, "leaks": told,
        "leak_limit": kept,
    }  # fmt: skip


def kept_within(leaks: Sequence[Mapping[str, Any]], most: float) -> str:
    """Whether leaks keep within a limit, by the rule of policies: each interval has to lie on one side of it."""
    if all(one["high"] <= most for one in leaks):
        return "met"
    return "exceeded" if any(one["low"] > most for one in leaks) else "undecided"


def _agreement(table: Sequence[Mapping[str, Any]]) -> float | None:
    """Rank correlation of the radius's share and the worst leak over the cuts; None without enough of both."""
    pairs = [
        (row["radius"]["share"], max(one["value"] for one in row["leaks"]))
        for row in table
        if row["radius"] is not None and row["radius"]["share"] is not None and row["leaks"]
    ]
    if len(pairs) < FEWEST_CUTS or min(len({one[side] for one in pairs}) for side in (0, 1)) < 2:
        return None
    return float(spearmanr(*zip(*pairs, strict=True)).statistic)


def halves(person: Array, lineup: Array, rng: np.random.Generator) -> Bool[Array, " n"]:
    """Whether each victim belongs to the first half: half of the persons of the lineup, and half of the others.

    Args:
        person: whose each record is `[n]`.
        lineup: rows of the lineup `[m]`.
        rng: generator of the halves.
    """
    listed = np.unique(person[lineup])
    others = np.setdiff1d(np.unique(person), listed)
    taken = [rng.permutation(one)[: len(one) // 2] for one in (listed, others)]
    return np.isin(person, np.concatenate(taken))


def _too_few(cuts: Cuts, first: Bool[Array, " n"]) -> str:
    """Why a half says nothing, or empty."""
    lineup = cuts.found.left.truth["lineup"]
    if min(first[lineup].sum(), (~first)[lineup].sum()) < FEWEST:
        return f"half of the lineup has fewer than {FEWEST} persons"
    for told in cuts.found.attributes:
        if any(len(np.unique(told.truth[half])) < len(told.kept) for half in (first, ~first)):
            return f"in half of the persons a value of {told.name} does not occur"
    return ""


def _chosen(
    cuts: Cuts, table: Sequence[Mapping[str, Any]], within: Sequence[int], first: Bool[Array, " n"], most: float | None
) -> tuple[int, Interval]:
    """The cut that one half of the persons recommends, and its worst leak there; the one that leaks least if none may.

    Arguments as of `choice`; `most` is the limit of the leak.
    """
    right = {one: cuts.accuracy(one, first) for one in within}
    best = max((one.value for one in right.values() if one is not None), default=0.0)
    good = [one for one in within if (own := right[one]) is None or own.value >= best - WORSE]
    worst = {
        one: max((cuts.strongest(told, one, first) for told in cuts.secrets), key=lambda leak: leak.found.value).found
        for one in good
    }
    least = min(good, key=lambda one: worst[one].value)
    if most is None:
        alike = [one for one in good if worst[one].value <= worst[least].high]
    else:
        alike = [one for one in good if worst[one].high <= most] or [least]
    chosen = min(alike, key=lambda one: (table[one]["multiply_adds"] or 0, table[one]["bytes"]["float32"], one))
    return chosen, worst[chosen]


def _measured(cuts: Cuts, told: Told | None, source: int, first: Bool[Array, " n"]) -> dict[str, Any]:
    """The leak of one secret on the other half, by the attack that was strongest on the first."""
    attack = cuts.strongest(told, source, first).attack
    found = cuts.leak(attack, told, source, ~first)
    return {"attribute": None if told is None else told.name, "attack": attack, **(_ends(found) or {})}
