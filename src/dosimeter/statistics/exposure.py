"""Exposure of each record and each person: how often it is named when it was used, with simultaneous intervals.

The exposure of a unit is the probability, over trainings that use it, that it is named. It is 0 if the unit is named as
often when it was not used, because then the naming reveals nothing. Trainings are the draws, the unit is given:
`m` models in `b` independent blocks (a complementary pair, or one model), `n` records, `u` units. A shown exposure
needs two rejections, of "named no more often than this" and of "named no more often than when unused": an
intersection-union test (Berger, Technometrics 1982), each part at the full level. Bonferroni over units and sides makes
all intervals hold together.

Models count as independent trainings. Scores of one half of the models may use the other half as shadows. So a list
that is measured on one half must be ranked by scores that used no model of this half.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import betaincinv, ndtri

from dosimeter.foundation.arrays import Array
from dosimeter.foundation.checks import in_range, same_length

_CELLS = 4_000_000
"""Most numbers of gamblers' wealths that are held in memory at once."""
_STEPS = 30
"""Number of bisections for the end of an interval: a precision of 1e-9 of its range."""


@dataclass(frozen=True)
class Exposure:
    """Measured exposure of each unit.

    Attributes:
        named: how often it was named in trainings that used it `[u]`; NaN if none did.
        unused: how often in trainings that did not use it `[u]`; NaN if all did.
        low: lower ends of the exposure `[u]`; 0 where it is not shown to be named more often when used.
        high: upper ends `[u]`; 1 if no training used it.
        trainings: blocks in which it was used `[u]`.
        level: at which all intervals hold together.
    """

    named: Float[Array, " u"]
    unused: Float[Array, " u"]
    low: Float[Array, " u"]
    high: Float[Array, " u"]
    trainings: Int[Array, " u"]
    level: float


def records(hits: Bool[Array, "m n"], member: Bool[Array, "m n"], *, level: float = 0.95) -> Exposure:
    """Exposure of every record: exact ends of Clopper and Pearson, exact test of Fisher.

    Args:
        hits: whether a model's scores name the record.
        member: whether the model was trained on it.
        level: at which all intervals hold together, two-sided.

    Raises:
        ValueError: shapes differ, there is no model or record, or the level is out of range.

    >>> found = records(np.array([[True], [True], [False], [False]]), np.array([[True], [True], [False], [False]]))
    >>> found.named, found.unused, found.low, found.high
    (array([1.]), array([0.]), array([0.]), array([1.]))
    """
    tail = _tail(hits, member, level, int(member.any(0).sum()))
    used, others = member.sum(0), (~member).sum(0)
    called, wrong = (hits & member).sum(0), (hits & ~member).sum(0)
    low, high = _binomial_ends(called, used, tail)
    # Intersection-union: an exposure above 0 is shown only if use is also shown to raise the calls.
    low[_fisher(called, used, wrong, others) > tail] = 0.0
    return Exposure(_share(called, used), _share(wrong, others), low, high, used, level)


def persons(
    hits: Bool[Array, "m n"],
    member: Bool[Array, "m n"],
    *,
    person: Int[Array, " n"],
    block: Int[Array, " m"],
    level: float = 0.95,
) -> Exposure:
    """Exposure of every person: mean over trainings of the share of the person's used records that are named.

    A person's records may depend on each other in any way. The ends come from `mean_bounds`, over blocks; for a person
    with one record they are exact. If models use a part of a person's records, the test exchanges each record's bits
    within complementary pairs (exact sign test of the discordant decisions). If they use all or none, it is Fisher's
    test of whether any of the records is named.

    Args:
        hits: whether a model's scores name the record.
        member: whether the model was trained on it.
        person: whose record it is, 0 to u - 1.
        block: of each model; models of one block are a complementary pair, or the block is one model.
        level: at which all intervals hold together, two-sided.

    Raises:
        ValueError: shapes differ, there is no model or record, or the level is out of range.
    """
    same_length(member=member, block=block)
    same_length(member=member.T, person=person)
    units = int(person.max(initial=0)) + 1
    size = np.bincount(person, minlength=units)
    used, idle = (_per_block(cells, person, block, units) for cells in (member, ~member))
    tail = _tail(hits, member, level, int((used.sum(0) > 0).sum()))
    called, wrong = (_per_block(hits & cells, person, block, units) for cells in (member, ~member))
    shares, shares_idle = _share(called, used), _share(wrong, idle)
    low, high = mean_bounds(shares, tail=tail)
    single = size == 1
    low[single], high[single] = _binomial_ends(called[:, single].sum(0), used[:, single].sum(0), tail)
    low[_no_more_often(hits, member, person, block, units) > tail] = 0.0
    trainings = (used > 0).sum(0)
    return Exposure(_mean(shares), _mean(shares_idle), low, high, trainings, level)


def mean_bounds(shares: Float[Array, "b u"], *, tail: float) -> tuple[Float[Array, " u"], Float[Array, " u"]]:
    """Ends for the mean of independent shares in [0, 1], for any distributions, each with error `tail`.

    Method: betting. A gambler bets on each draw that the mean is not m. If it is m, their wealth reaches 1 / tail with
    probability at most `tail` (Waudby-Smith and Ramdas, JRSS B 2024, §4), so all m with less wealth form the interval.
    The wealth is averaged over the staked share c by the arcsine law (the universal portfolio of Cover and Ordentlich,
    1996); the stakes are the Gauss-Chebyshev nodes of this law.

    Args:
        shares: one for each block and unit; NaN where there is none.
        tail: error probability of each end.

    >>> [end.round(3).tolist() for end in mean_bounds(np.full((20, 1), 0.5), tail=0.025)]
    [[0.39], [0.61]]
    """
    in_range("tail", tail, 0, 1, open_low=True, open_high=True)
    blocks, units = shares.shape
    nodes = np.arange(1, blocks // 2 + 2)
    stakes = (1 + np.cos((2 * nodes - 1) * np.pi / (2 * len(nodes)))) / 2
    step = max(1, _CELLS // max(1, blocks * len(stakes)))
    parts = [shares[:, first : first + step] for first in range(0, units, step)]
    low = [_least_mean(part, stakes, tail) for part in parts]
    high = [1 - _least_mean(1 - part, stakes, tail) for part in parts]
    empty = np.zeros(0)
    return np.concatenate([empty, *low]), np.concatenate([empty, *high])


def _least_mean(shares: Array, stakes: Array, tail: float) -> Array:
    """The least means that are not rejected, by bisection: the wealth falls as the mean grows."""
    # The order of shares does not matter and many units have equal ones: each distinct column is solved once.
    distinct, back = np.unique(np.sort(np.nan_to_num(shares, nan=-1.0), axis=0), axis=1, return_inverse=True)
    known = distinct >= 0
    low, high = np.zeros(distinct.shape[1]), np.ones(distinct.shape[1])
    for _ in range(_STEPS):
        mean = (low + high) / 2
        gain = np.where(known, distinct / mean - 1, 0.0)
        # In logarithms, because the product over many draws overflows.
        wealth = np.logaddexp.reduce(np.log1p(stakes[:, None, None] * gain).sum(1), axis=0) - log(len(stakes))
        rejected = wealth >= -log(tail)
        low, high = np.where(rejected, mean, low), np.where(rejected, high, mean)
    ends: Array = np.where((distinct > 0).any(0), low, 0.0)[back.reshape(-1)]
    return ends


def _binomial_ends(called: Array, trials: Array, tail: float) -> tuple[Array, Array]:
    """Ends of Clopper and Pearson; 0 and 1 if there is no trial."""
    some, all_ = called > 0, called >= trials
    low, high = np.zeros(len(called)), np.ones(len(called))
    low[some] = betaincinv(called[some], (trials - called + 1)[some], tail)
    high[~all_] = betaincinv((called + 1)[~all_], (trials - called)[~all_], 1 - tail)
    return low, high


def _fisher(called: Array, used: Array, wrong: Array, others: Array) -> Array:
    """One-sided p-values of Fisher's exact test, each table computed once."""
    from scipy.stats import hypergeom

    tables, back = np.unique(np.stack([called, used, wrong, others]), axis=1, return_inverse=True)
    x, n, y, m = tables
    p: Array = hypergeom.sf(x - 1, n + m, x + y, n)[back.reshape(-1)]
    return p


def _no_more_often(hits: Array, member: Array, person: Array, block: Array, units: int) -> Array:
    """P-values of "named no more often than when unused" of every person."""
    from scipy.stats import binom

    size = np.bincount(person, minlength=units)
    each = np.arange(len(member))
    used, named, wrong = (_per_block(x, person, each, units) for x in (member, hits & member, hits & ~member))
    whole = ((used == 0) | (used == size)).all(0)
    anyone = (named + wrong) > 0
    inside = used > 0
    fisher = _fisher((anyone & inside).sum(0), inside.sum(0), (anyone & ~inside).sum(0), (~inside).sum(0))
    order = np.argsort(block, kind="stable")
    first = np.flatnonzero(np.diff(block[order]) == 0)
    pairs = np.stack([order[first], order[first + 1]])
    opposed = member[pairs[0]] != member[pairs[1]]
    differ = opposed & (hits[pairs[0]] != hits[pairs[1]])
    right = differ & (hits[pairs[0]] == member[pairs[0]])
    for_, all_ = (np.bincount(person, cells.sum(0), units).astype(np.int64) for cells in (right, differ))
    p: Array = np.where(whole, fisher, binom.sf(for_ - 1, all_, 0.5))
    return p


@dataclass(frozen=True)
class Ranks:
    """Records or persons, ordered by how exposed they look in one half of the models.

    Attributes:
        order: units, the most exposed first `[u]`; units that cannot be ranked are left out.
        gap: the statistic they are ranked by `[u]`, NaN where it cannot be computed.
    """

    order: Int[Array, " r"]
    gap: Float[Array, " u"]


def rank(
    scores: Float[Array, "m n"],
    member: Bool[Array, "m n"],
    *,
    unit: Int[Array, " n"],
) -> Ranks:
    """Ranks units by the mean normal score of their records in models that used them, minus that in the others.

    Args:
        scores: scores under the models of one half, by an adversary who used no model of the other half.
        member: of the same models.
        unit: each record's unit, 0 to u - 1.
    """
    from scipy.stats import rankdata

    normal = ndtri(rankdata(scores).reshape(scores.shape) / (scores.size + 1))
    units = int(unit.max(initial=0)) + 1
    inside, outside = (
        _share(np.bincount(unit, (normal * bits).sum(0), units), np.bincount(unit, bits.sum(0), units))
        for bits in (member, ~member)
    )
    gap = inside - outside
    order = np.argsort(-gap, kind="stable")
    return Ranks(order[~np.isnan(gap[order])], gap)


def pool_persons(scores: Float[Array, "m n"], person: Int[Array, " n"]) -> Float[Array, "m u"]:
    """One score for each person: the mean normal score of their records, from ranks within the model.

    >>> pool_persons(np.array([[5.0, -np.inf, 7.0, 6.0]]), np.array([0, 0, 1, 1])).round(2).tolist()
    [[-0.55, 0.55]]
    """
    from scipy.stats import rankdata

    units = int(person.max(initial=0)) + 1
    normal = ndtri(rankdata(scores, axis=1) / (scores.shape[1] + 1))
    sums: Array = np.stack([np.bincount(person, row, units) for row in normal])
    means: Array = np.divide(sums, np.bincount(person, minlength=units))
    return means


def overlap(first: Ranks, second: Ranks, size: int) -> tuple[float, float]:
    """Jaccard index of the tops of two rankings, and its expectation for independent rankings.

    >>> gap = np.array([3.0, 2.0, 1.0, 0.0])
    >>> overlap(Ranks(np.arange(4), gap), Ranks(np.array([0, 2, 1, 3]), gap), 2)
    (0.3333333333333333, 0.3333333333333333)
    """
    both = len(np.intersect1d(first.order[:size], second.order[:size]))
    units = min(len(first.order), len(second.order))
    return both / (2 * size - both), size / (2 * units - size)


def agreement(first: Ranks, second: Ranks) -> float | None:
    """Spearman's rank correlation of two rankings; None for fewer than three units or if all of one are tied."""
    from scipy.stats import rankdata

    both = ~np.isnan(first.gap) & ~np.isnan(second.gap)
    if both.sum() < 3:
        return None
    x, y = (rankdata(one.gap[both]) for one in (first, second))
    if not x.std() or not y.std():
        return None
    return float(np.corrcoef(x, y)[0, 1])


def _tail(hits: Array, member: Array, level: float, units: int) -> float:
    """Error probability of one end of one unit, after a check of the arguments."""
    in_range("level", level, 0, 1, open_low=True, open_high=True)
    if hits.shape != member.shape or not member.size:
        raise ValueError(f"hits and member must have equal shapes with cells, got {hits.shape} and {member.shape}")
    # Bonferroni over the units and both ends.
    return (1 - level) / (2 * max(1, units))


def _per_block(cells: Array, person: Array, block: Array, units: int) -> Int[Array, "b u"]:
    """Counts of cells by block of models and person."""
    rows = np.unique(block, return_inverse=True)[1].reshape(-1)
    flat = (rows[:, None] * units + person).ravel()
    blocks = int(rows.max()) + 1
    return np.bincount(flat, cells.ravel(), blocks * units).reshape(blocks, units).astype(np.int64)


def _share(part: Array, whole: Array) -> Array:
    """Ratios; NaN for 0 / 0."""
    ratios: Array = np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=np.asarray(whole) > 0)
    return ratios


def _mean(shares: Array) -> Array:
    """Means over the blocks that have a value."""
    known = ~np.isnan(shares)
    return _share(np.where(known, shares, 0.0).sum(0), known.sum(0))
