"""What chance alone gives: the law of the members that are called if scores have nothing to do with membership.

With one target whose records are their own clusters, all orders of the labels are equally probable. Then the number of
members above the non-member of rank f + 1 is negative hypergeometric, whatever the scores are; ties only lower it, so
the p-value stays valid and the mean is an upper bound. Given a threshold that no audited label set, and the number of
calls, it is hypergeometric. With several targets, or several records per person, decisions depend on each other. There
labels are exchanged as they could have been drawn, and the threshold is read off again each time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import exp, inf, log1p

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import betaln, logsumexp

from dosimeter.foundation.arrays import Array
from dosimeter.foundation.checks import in_range
from dosimeter.statistics.intervals.cells import clusters
from dosimeter.statistics.intervals.clustered import same_size

DRAWS = 1000
"""Random exchanges of labels."""
AFFORDABLE = 200_000_000
"""Most labels that are drawn for one law; beyond, there are fewer exchanges, `FEWEST` at least."""
FEWEST = 199
FEWEST_OF_MANY = 50
"""Fewest exchanges for a mean over very many calls, which hardly varies."""
_CHUNK = 2_000_000
"""Most labels of exchanged tables that are held in memory at once."""


@dataclass(frozen=True)
class Null:
    """What chance gives beside what was seen.

    Attributes:
        expected: mean of Log-MIA; None if only the p-value is known.
        p: probability of at least as many called members as were seen.
        method: name of the law.
    """

    expected: float | None
    p: float
    method: str

    def corrected(self, value: float) -> float | None:
        """`(L - E[L]) / (1 - E[L])`: 0 is what chance gives on average, 1 is everybody; below chance it is negative.

        It is not cut at 0: cut, its mean without any information would be above 0 (0.17 at 15 + 15 in regime B). None
        where the mean is not known, or where chance alone calls every member.
        """
        if self.expected is None or self.expected >= 1:
            return None
        return (value - self.expected) / (1 - self.expected)


@lru_cache(maxsize=64)
def oracle_mean(n: int, m: int, allowed: int) -> float:
    """Mean of Log-MIA at an oracle's threshold under random labels.

    Args:
        n: members.
        m: non-members.
        allowed: false accusations allowed, fewer than m.

    >>> round(oracle_mean(15, 15, 0), 3), round(oracle_mean(15, 15, 4), 3)
    (0.178, 0.588)
    """
    k = np.arange(n + 1)
    return _mean(oracle_law(n, m, allowed), k, n)


def oracle_law(n: int, m: int, allowed: int) -> Float[Array, " k"]:
    """Probabilities of 0 to n members above the non-member of rank `allowed + 1`.

    `C(k + f, k) C(n + m - f - 1 - k, n - k) / C(n + m, n)`.

    Raises:
        ValueError: a class is empty, or all non-members may be called.
    """
    _check(n, m, allowed)
    k = np.arange(n + 1)
    logs = _choose(k + allowed, k) + _choose(n + m - allowed - 1 - k, n - k) - _choose(n + m, n)
    law: Array = np.exp(logs)
    return law


def oracle_null(tp: int, n: int, m: int, allowed: int) -> Null:
    """The exact law at an oracle's threshold, and the p-value of `tp` members above it.

    At least k members stand above the non-member of rank f + 1 if and only if at most f of the first k + f records are
    non-members, which is a hypergeometric tail of f + 1 terms.

    Args:
        tp: members that were called.
        n: members.
        m: non-members.
        allowed: false accusations allowed, fewer than m.

    Raises:
        ValueError: as `oracle_law`, or more are called than there are.

    >>> round(oracle_null(3, 15, 15, 0).p, 3), round(oracle_null(0, 15, 15, 4).p, 3)
    (0.112, 1.0)
    """
    _check(n, m, allowed)
    in_range("tp", tp, 0, n)
    j = np.arange(max(0, tp + allowed - n), allowed + 1)
    logs = _choose(m, j) + _choose(n, tp + allowed - j) - _choose(n + m, tp + allowed)
    p = 1.0 if tp == 0 else min(1.0, float(exp(logsumexp(logs))))
    return Null(oracle_mean(n, m, allowed), p, "negative hypergeometric, exact")


def called_null(tp: int, fp: int, n: int, m: int) -> Null:
    """The exact law at a threshold that was given, conditional on how many records are called.

    Args:
        tp: members that were called.
        fp: non-members that were called.
        n: members.
        m: non-members.

    Raises:
        ValueError: a class is empty, or more are called than there are.

    >>> round(called_null(4, 0, 10, 10).p, 4)
    0.0433
    """
    _check(n, m, 0)
    in_range("tp", tp, 0, n)
    in_range("fp", fp, 0, m)
    called = tp + fp
    k = np.arange(max(0, called - m), min(called, n) + 1)
    law = np.exp(_choose(n, k) + _choose(m, called - k) - _choose(n + m, called))
    p = min(1.0, float(law[k >= tp].sum()))
    return Null(_mean(law, k, n), p, "hypergeometric given the calls, exact")


def _check(n: int, m: int, allowed: int) -> None:
    """Refuses an empty class, and a budget that allows every non-member."""
    in_range("n", n, 1, inf)
    in_range("m", m, 1, inf)
    in_range("allowed", allowed, 0, m - 1)


def _mean(law: Array, k: Array, n: int) -> float:
    """Mean of Log-MIA under a law of the called members."""
    return float(law @ np.log1p(k)) / log1p(n)


def _choose(a: Int[Array, " *k"] | int, b: Int[Array, " *k"] | int) -> Array:
    """Logarithm of a binomial coefficient; stable for large numbers."""
    top, part = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return np.asarray(-np.log1p(top) - betaln(top - part + 1, part + 1))


def exchangeable(record: Int[Array, " n"], *, drawn: bool) -> bool:
    """Returns whether labels may be exchanged: always where coins drew them, else if clusters are equally large."""
    return drawn or same_size(record)


class Exchange:
    """Labels as they could have been, for laws of several targets or of clusters.

    Where membership was drawn, a coin for each cluster exchanges its labels with those of the complement, under all
    targets at once. Where it was stated, clusters change places; that needs clusters of one size.
    """

    def __init__(
        self, is_member: Bool[Array, "t n"], record: Int[Array, " n"], *, drawn: bool, rng: np.random.Generator
    ) -> None:
        """Prepares the exchanges.

        Args:
            is_member: the truth.
            record: cluster of each record.
            drawn: whether membership was drawn by coins, not stated.
            rng: generator for the seed of coins or permutations, so that each law has its own generator.

        Raises:
            ValueError: membership was stated and clusters have unequally many records.
        """
        if not exchangeable(record, drawn=drawn):
            raise ValueError("record must have clusters of one size where membership was stated, got several sizes")
        self.is_member, self.drawn, self.seed = is_member, drawn, int(rng.integers(2**62))
        index, self.k = clusters(record)
        self.index = np.arange(len(record)) if index is None else index
        order = np.argsort(self.index, kind="stable")
        self.place = np.empty(len(record), np.int64)
        self.place[order] = np.arange(len(record)) % max(1, len(record) // self.k)
        self.rows = None if drawn else order.reshape(self.k, -1)
        self.draws = int(np.clip(AFFORDABLE // is_member.size, FEWEST, DRAWS))

    def oracle_null(self, values: Float[Array, "t n"], allowed: Int[Array, " t"], tp: int) -> Null:
        """The law of the members above each target's non-member of rank `allowed + 1`, summed over targets.

        Only the highest scores matter, so few labels are drawn; if that non-member is lower under some labels, more.

        Args:
            values: scores.
            allowed: false accusations allowed for each target.
            tp: the sum that was seen.
        """
        n, others = values.shape[1], (~self.is_member).sum(1)
        sizes = 8 * (allowed + 1) * n // np.maximum(others, 1) + 64
        while True:
            tops = [_Top(row, min(n, int(size))) for row, size in zip(values, sizes, strict=True)]
            found = self._oracle_sums(tops, allowed.tolist(), n)
            if found is not None:
                return self._null(found, tp)
            sizes = 16 * sizes

    def _oracle_sums(self, tops: Sequence[_Top], allowed: Sequence[int], n: int) -> Int[Array, " b"] | None:
        """Sums over targets for all drawn labels; None if the scores that were sorted are too few."""
        columns, sums = [top.columns for top in tops], []
        used = np.unique(self.index[np.concatenate(columns)])
        for turn in self._turns(used, self.draws):
            found = np.zeros(len(turn), np.int64)
            for t, (top, most) in enumerate(zip(tops, allowed, strict=True)):
                others = np.cumsum(~self._labels(turn, used, t, top.columns), axis=1)
                short = others[:, -1] <= most
                if short.any() and len(top.columns) < n:
                    return None
                # Coins may leave fewer non-members than may be called; then every member is above.
                found += np.where(short, n - others[:, -1], _count(others, top.first, most))
            sums.append(found)
        return np.concatenate(sums)

    def called_null(self, hits: Bool[Array, "t n"], tp: int) -> Null:
        """The law of the called members if the calls are given.

        Args:
            hits: who is called.
            tp: called members that were seen.
        """
        columns = [np.flatnonzero(row) for row in hits]
        used, sums = np.unique(self.index[np.flatnonzero(hits.any(0))]), []
        draws = int(np.clip(AFFORDABLE // 10 // max(1, len(used) * len(hits)), FEWEST_OF_MANY, self.draws))
        for turn in self._turns(used, draws):
            each = [self._labels(turn, used, t, own).sum(1) for t, own in enumerate(columns)]
            sums.append(np.sum(each, axis=0))
        return self._null(np.concatenate(sums), tp)

    def _turns(self, used: Int[Array, " u"], draws: int) -> Iterator[Array]:
        """Chunks of coins of some clusters, or of clusters whose labels they get `[b u]`."""
        step, rng = max(1, _CHUNK // max(1, len(used))), np.random.default_rng(self.seed)
        for first in range(0, draws, step):
            some = min(step, draws - first)
            if self.drawn:
                yield rng.integers(0, 2, (some, len(used)), np.uint8).astype(bool)
            else:
                yield np.array([rng.choice(self.k, len(used), replace=False) for _ in range(some)])

    def _labels(self, turn: Array, used: Array, target: int, columns: Int[Array, " w"]) -> Bool[Array, "b w"]:
        """Exchanged labels of some records under one target."""
        own, turned = self.is_member[target], turn[:, np.searchsorted(used, self.index[columns])]
        if self.rows is None:
            return np.asarray(own[columns] ^ turned)
        return np.asarray(own[self.rows[turned, self.place[columns]]])

    def _null(self, sums: Array, tp: int) -> Null:
        """The law of drawn sums; what was seen counts as one draw, so that no p-value is 0."""
        n = int(self.is_member.sum())
        expected = float(np.log1p(np.minimum(sums, n)).mean()) / log1p(n)
        method = f"{'exchange with the complement' if self.drawn else 'permutation'}, {len(sums):,} draws"
        return Null(expected, (1 + int((sums >= tp).sum())) / (1 + len(sums)), method)


class _Top:
    """The highest scores of a target, in falling order, with the first position of each score's ties."""

    def __init__(self, row: Float[Array, " n"], size: int) -> None:
        """Sorts as many scores as are needed."""
        self.columns = np.argsort(-row, kind="stable")[:size]
        ordered = row[self.columns]
        new = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
        self.first = np.repeat(new, np.diff(np.append(new, len(ordered))))


def _count(others: Int[Array, "b w"], first: Int[Array, " w"], most: int) -> Int[Array, " b"]:
    """Members before the ties of the non-member of rank `most + 1`."""
    start = first[np.argmax(others > most, axis=1)]
    before = np.where(start > 0, np.take_along_axis(others, np.maximum(start - 1, 0)[:, None], 1)[:, 0], 0)
    return np.asarray(start - before)
