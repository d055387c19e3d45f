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
from math import inf
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
_ROUNDING = 1e-12
"""Share of a mean square below which a variance is rounding, and 0."""
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

    def outside(self, attack: str, fpr: float) -> float:
        """The threshold of records that are in no half: the median over all halves."""
        return float(_middle(self._cuts(self.scores[attack], fpr, self.is_member).ravel()))

    def calls_of(self, values: Float[Array, "t n"], fpr: float, is_member: Bool[Array, "t n"]) -> Bool[Array, "t n"]:
        """Calls at the thresholds of `thresholds_of`; it looks only at scores that some half calls, so it is quick."""
        cuts, calls = self._cuts(values, fpr, is_member), np.zeros(values.size, bool)
        some = np.flatnonzero(values > cuts.min())
        column = some % values.shape[1]
        step = max(1, _CHUNK // len(cuts))
        for start in range(0, len(some), step):
            part = slice(start, start + step)
            own = np.where(self.halves[:, column[part]], cuts[:, 1:], cuts[:, :1])
            calls[some[part]] = (values.ravel()[some[part]] > own).sum(axis=0) > len(cuts) // 2
        return calls.reshape(values.shape)

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
        for attack in shares(choices):
            # Records in the first half are judged by the choice of the second.
            chosen = np.array([[one == attack for one in reversed(pair)] for pair in choices])
            some = chosen.any(1)
            total += self._sum_of_tails(self.scores[attack], self.halves[some], chosen[some])
        return -total / len(self.halves)

    def choice_scores_outside(
        self, choices: Sequence[tuple[str, str]], scores: Mapping[str, Float[Array, "t c"]]
    ) -> Float[Array, "t c"]:
        """Scores of the choice for records that are in no half: minus the mean tail among both halves of all halvings.

        Args:
            choices: from `choices`.
            scores: of these records, under each attack that was chosen.
        """
        found = []
        for half, pair in zip(self.halves, choices, strict=True):
            for own, attack in zip((half, ~half), pair, strict=True):
                known = self.scores[attack][:, own][~self.is_member[:, own]]
                found.append(tail(scores[attack], np.sort(known)))
        return np.asarray(-np.mean(found, axis=0))

    def with_scores(self, name: str, values: Float[Array, "t n"]) -> CrossFit:
        """A copy with the scores of one more attack."""
        return CrossFit(self.is_member, self.record, {**self.scores, name: values}, self.halves)

    def _parts(self) -> Iterator[slice]:
        """Slices of the records, small enough that all halvings fit in memory."""
        targets, n = self.is_member.shape
        step = max(1, _CHUNK // targets)
        return (slice(start, start + step) for start in range(0, n, step))

    def _sum_of_tails(
        self, values: Float[Array, "t n"], halves: Bool[Array, "r n"], counted: Bool[Array, "r 2"]
    ) -> Float[Array, "t n"]:
        """Sum over halvings of the scores' tails among the other half's non-members.

        Args:
            values: scores.
            halves: which records are in the first half.
            counted: whether a halving counts for records in its first half, and for those in its second.
        """
        order = np.argsort(-values, axis=None)
        ordered, column = -values.ravel()[order], order % values.shape[1]
        nonmember, found = ~self.is_member.ravel()[order], np.zeros(values.size)
        last = np.searchsorted(ordered, ordered, side="right") - 1  # equal scores have reached each other
        upto, step = np.cumsum(nonmember), max(1, _CHUNK // values.size)
        for start in range(0, len(halves), step):
            first = halves[start : start + step, column]
            own = (first & nonmember).cumsum(axis=1)
            reached = np.where(first, upto[last] - own[:, last], own[:, last])
            many = np.where(first, upto[-1] - own[:, -1:], own[:, -1:])
            counts = np.where(first, counted[start : start + step, :1], counted[start : start + step, 1:])
            found[order] += (counts * (1 + reached) / (1 + many)).sum(axis=0)
        return found.reshape(values.shape)

    def _strengths(self, attack: str, fpr: float) -> Float[Array, "r 2 2"]:
        """Larger z-value of two statistics of each half's members, and the z-value of the rank test.

        Values are rounded, so that equal strengths stay equal whatever the order of summation.
        """
        values, bits = self.scores[attack], self.is_member
        place = ranks(values)  # ranks among all records, which read no bit
        place -= place.mean()
        cuts, found = self._cuts(values, fpr, bits), np.empty((len(self.halves), 2, 2))
        some = np.flatnonzero(values > cuts.min())
        high, named = values.ravel()[some], bits.ravel()[some]
        column = some % values.shape[1]
        for side, own in enumerate((self.halves, ~self.halves)):
            weight = own.astype(np.float64)
            size, members = len(bits) * weight.sum(1), weight @ bits.sum(0)
            ranked = _z(size, members, *(weight @ one.sum(0) for one in (place, place**2, place * bits)))
            calls = own[:, column] & (high > cuts[:, side, None])
            called = calls.sum(1)
            found[:, side, 0] = np.maximum(ranked, _z(size, members, called, called, (calls & named).sum(1)))
            found[:, side, 1] = ranked
        return np.round(found, 9)

    def _cuts(self, values: Float[Array, "t n"], fpr: float, is_member: Bool[Array, "t n"]) -> Float[Array, "r 2"]:
        """Thresholds that both halves of each halving set, as by `shadow_threshold`, with one sort for all."""
        order = np.argsort(-values, axis=None)
        # Members set no threshold, so their places are left out before any half is looked at.
        order = order[~is_member.ravel()[order]]
        ordered, column = values.ravel()[order], order % values.shape[1]
        counts, found = np.bincount(column, minlength=values.shape[1]), np.full((len(self.halves), 2), inf)
        for side, own in enumerate((self.halves, ~self.halves)):
            # N + 1 ranks, as in `shadow_threshold`.
            above = np.floor(fpr * (own @ counts + 1) + EXACT).astype(np.int64)
            near = own[:, column[: 4 * above.max() + 50]].cumsum(axis=1)
            places = (near >= above[:, None]).argmax(axis=1)
            for number in np.flatnonzero(near[:, -1] < above):  # the place lies further down
                places[number] = np.flatnonzero(own[number, column])[above[number] - 1]
            found[above > 0, side] = ordered[places[above > 0]]
        return found


def halvings(
    record: Int[Array, " n"],
    is_member: Bool[Array, "t n"],
    rng: np.random.Generator,
    *,
    count: int | None = None,
    drawn: bool = False,
) -> Bool[Array, "r n"]:
    """Random halves by persons, both with members and non-members in the same proportion.

    Halves of which one lacks a class, as few persons may give, are left out.

    Args:
        record: cluster of each record.
        is_member: the truth.
        rng: generator for the draws.
        count: how many are drawn; `usual_count` unless given.
        drawn: coins drew the membership. Then halves do not look at it, so that they would be the same had the coins
            fallen otherwise, and an exchange of bits is an exact test.

    Returns:
        Which records are in the first half of each halving; no row if no draw had both classes in both halves.
    """
    found = []
    for _ in range(count or usual_count(is_member.size)):
        half = np.zeros(len(record), bool)
        half[halve(record, np.zeros_like(is_member) if drawn else is_member, rng)[0]] = True
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


def _z(
    size: Float[Array, " r"], members: Float[Array, " r"], total: Array, squares: Array, inside: Array
) -> Float[Array, " r"]:
    """z-value of the members' mean against the non-members', under permutation of the bits, in each of some halves.

    Args:
        size: number of cells.
        members: how many of them are members'.
        total: sum of the values of all cells.
        squares: sum of their squares.
        inside: sum of the values of members' cells.
    """
    spread = squares / size - (total / size) ** 2
    known = (spread > _ROUNDING * squares / size) & (members > 0) & (members < size)
    spread, members = np.where(known, spread, 1.0), np.where(known, members, size / 2)
    gap = inside / members - (total - inside) / (size - members)
    return np.asarray(np.where(known, gap / np.sqrt(spread * (1 / members + 1 / (size - members))), 0.0))
