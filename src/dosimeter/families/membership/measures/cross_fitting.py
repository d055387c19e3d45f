"""Cross-fitting: every record is measured, with thresholds and a choice of attack from halves without it.

If one half of a table sets thresholds and chooses the headline, and the other half is measured, half of the records are
spent, and another seed gives another verdict. Here `r` random halvings, by persons, are used in both directions. A
record gets the median of the `r` thresholds that the halves without it set, so its own bit has no part in its calls.

If all halves choose the same attack, it is the headline. If they differ, none of them can be: one that was chosen on
the measured records looks stronger than it is. The headline is then the choice itself, as an attack of its own: in each
halving the half without a record chooses an attack, and the record's score is the share of that half's non-members
whose score it exceeds; the mean over halvings. Scores of two attacks are so on one scale, that of false positives.
Axes as in `games`: `t` targets, `n` records.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import floor, inf, sqrt
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float, Int

from dosimeter.families.membership.measures.calibration import Source, halve, tail
from dosimeter.foundation.arrays import Array
from dosimeter.statistics.certify import EXACT
from dosimeter.statistics.intervals.cells import ranks

HALVINGS = 41
"""Number of random halvings, odd so that a median is one of the thresholds. More change less with the seed."""
FEW_HALVINGS, MANY_SCORES = 5, 1_000_000
"""Number of halvings of a table with more scores than `MANY_SCORES` under one attack: large halves hardly differ."""
_CHUNK = 500_000
"""Scores whose values under all halvings are held in memory at once."""
HALVES = "halves that set thresholds"
"""Purpose of the draw of halves, the same at every door, so that a table of a model's scores gives its numbers."""


@dataclass(frozen=True)
class CrossFit:
    """Thresholds, and the choice of the headline, if no record is set apart.

    Attributes:
        is_member: the truth `[t n]`.
        record: cluster of each record `[n]`.
        scores: per attack `[t n]`.
        halves: which records are in the first half of each halving `[r n]`, from `halvings`.
    """

    is_member: Bool[Array, "t n"]
    record: Int[Array, " n"]
    scores: Mapping[str, Float[Array, "t n"]]
    halves: Bool[Array, "r n"]

    source: ClassVar[Source] = "split"

    def thresholds(self, attack: str, fpr: float) -> Float[Array, "t n"]:
        """Thresholds: for each record the median over the halves without it, from all targets' non-members."""
        return self.thresholds_of(self.scores[attack], fpr, self.is_member)

    def thresholds_of(
        self, values: Float[Array, "t n"], fpr: float, is_member: Bool[Array, "t n"]
    ) -> Float[Array, "t n"]:
        """Thresholds as `thresholds`, for any scores and bits.

        Args:
            values: scores.
            fpr: nominal false positive rate.
            is_member: the bits that set thresholds.
        """
        cuts, found = self._cuts(values, fpr, is_member), np.empty(values.shape[1])
        for part in self._parts():  # records in the first half are judged by the second
            found[part] = _middle(np.where(self.halves[:, part], cuts[:, 1:], cuts[:, :1]))
        return np.broadcast_to(found, values.shape)

    def tails(self, attack: str, values: Float[Array, "t n"]) -> Float[Array, "t n"]:
        """P-value of each score, the median over halvings of `tail` among the half without it."""
        del attack  # the scores that are measured are those that calibrate
        found = np.empty(values.shape)
        known = [[np.sort(values[:, own][~self.is_member[:, own]]) for own in (half, ~half)] for half in self.halves]
        for part in self._parts():
            each = [
                np.where(half[part], tail(values[:, part], second), tail(values[:, part], first))
                for half, (first, second) in zip(self.halves, known, strict=True)
            ]
            found[:, part] = _middle(np.stack(each))
        return found

    def choices(self, attacks: Sequence[str], fpr: float) -> list[tuple[str, str]]:
        """Attacks that the two halves of each halving choose: those that separate members best.

        That is the one with the largest z-value, of a rank test or of TPR - FPR at the half's own threshold; of equals
        that with the larger one of the rank test.

        Args:
            attacks: that may be chosen; of equals the first.
            fpr: of the threshold.
        """
        if len(attacks) == 1:
            return [(attacks[0], attacks[0])] * len(self.halves)
        found = []
        strengths = {attack: self._strengths(attack, fpr) for attack in attacks}
        for number in range(len(self.halves)):
            first, second = (max(attacks, key=lambda a: tuple(strengths[a][number, s])) for s in (0, 1))
            found.append((first, second))
        return found

    def choice_scores(self, choices: Sequence[tuple[str, str]]) -> Float[Array, "t n"]:
        """Scores of the choice as an attack: minus the mean `tail` over halvings, under the other half's choice.

        Args:
            choices: from `choices`.
        """
        total = np.zeros(self.is_member.shape)
        for half, (first, second) in zip(self.halves, choices, strict=True):
            total += self._half_tails(half, (self.scores[second], self.scores[first]))
        return -total / len(self.halves)

    def with_scores(self, name: str, values: Float[Array, "t n"]) -> CrossFit:
        """A copy with the scores of one more attack."""
        return CrossFit(self.is_member, self.record, {**self.scores, name: values}, self.halves)

    def _parts(self) -> Iterator[slice]:
        """Slices of the records, small enough that all halvings fit in memory."""
        targets, n = self.is_member.shape
        step = max(1, _CHUNK // targets)
        return (slice(start, start + step) for start in range(0, n, step))

    def _half_tails(
        self, half: Bool[Array, " n"], scores: tuple[Float[Array, "t n"], Float[Array, "t n"]]
    ) -> Float[Array, "t n"]:
        """Tails of both halves' records, each by its own scores among the other half's non-members."""
        found = np.empty(self.is_member.shape)
        for own, values in zip((half, ~half), scores, strict=True):
            found[:, own] = tail(values[:, own], np.sort(values[:, ~own][~self.is_member[:, ~own]]))
        return found

    def _strengths(self, attack: str, fpr: float) -> Float[Array, "r 2 2"]:
        """Larger z-value of two statistics of each half's members, and the z-value of the rank test.

        Values are rounded, so that equal strengths stay equal whatever the order of summation.
        """
        values, place = self.scores[attack], ranks(self.scores[attack])  # ranks among all records, which read no bit
        cuts, found = self._cuts(values, fpr, self.is_member), np.empty((len(self.halves), 2, 2))
        for number, half in enumerate(self.halves):
            for side, own in enumerate((half, ~half)):
                bits, calls = self.is_member[:, own], (values[:, own] > cuts[number, side]).astype(np.float64)
                ranked = _z(place[:, own], bits)
                found[number, side] = max(ranked, _z(calls, bits)), ranked
        return np.round(found, 9)

    def _cuts(self, values: Float[Array, "t n"], fpr: float, is_member: Bool[Array, "t n"]) -> Float[Array, "r 2"]:
        """Thresholds that both halves of each halving set, as by `shadow_threshold`, with one sort for all."""
        order = np.argsort(-values, axis=None)
        ordered, nonmember, column = values.ravel()[order], ~is_member.ravel()[order], order % values.shape[1]
        found = np.full((len(self.halves), 2), inf)
        for number, half in enumerate(self.halves):
            first = half[column]
            for side, own in enumerate((nonmember & first, nonmember & ~first)):
                upto = np.cumsum(own)
                # N + 1 ranks, as in `shadow_threshold`.
                above = floor(fpr * (upto[-1] + 1) + EXACT)
                if above:
                    found[number, side] = ordered[np.searchsorted(upto, above)]
        return found


def halvings(
    record: Int[Array, " n"], is_member: Bool[Array, "t n"], rng: np.random.Generator, *, count: int | None = None
) -> Bool[Array, "r n"]:
    """Random halves by persons, both with members and non-members in the same proportion.

    Halves of which one lacks a class, as few persons may give, are left out.

    Args:
        record: cluster of each record.
        is_member: the truth.
        rng: generator for the draws.
        count: how many are drawn; `usual_count` unless given.

    Returns:
        Which records are in the first half of each halving; no row if no draw had both classes in both halves.
    """
    found = []
    for _ in range(count or usual_count(is_member.size)):
        half = np.zeros(len(record), bool)
        half[halve(record, is_member, rng)[0]] = True
        bits = [is_member[:, own] for own in (half, ~half)]
        if all(one.any() and not one.all() for one in bits):
            found.append(half)
    return np.array(found, bool).reshape(len(found), len(record))


def usual_count(scores: int) -> int:
    """Number of halvings for so many scores under one attack.

    >>> usual_count(700), usual_count(2_000_000)
    (41, 5)
    """
    return HALVINGS if scores <= MANY_SCORES else FEW_HALVINGS


def shares(choices: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Number of halves in which each attack was chosen, most frequent first.

    >>> shares([("loss", "lira"), ("lira", "lira")])
    {'lira': 3, 'loss': 1}
    """
    return dict(Counter(one for pair in choices for one in pair).most_common())


def _middle(values: Float[Array, r * a]) -> Float[Array, " *a"]:
    """The median along the first axis; for an even number the upper of the middle two."""
    middle = len(values) // 2
    return np.asarray(np.partition(values, middle, axis=0)[middle])


def _z(cells: Float[Array, "t k"], is_member: Bool[Array, "t k"]) -> float:
    """z-value of the members' mean against the non-members', under permutation of the bits."""
    members, spread = int(is_member.sum()), float(cells.std())
    if not spread:
        return 0.0
    gap = float(cells[is_member].mean() - cells[~is_member].mean())
    return gap / (spread * sqrt(1 / members + 1 / (cells.size - members)))
