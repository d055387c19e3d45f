"""How well a judge tells from evidence which of N identities it is about: rates, a test, and what a test would miss.

A judge gives each reconstruction a similarity to every identity, so the evidence is a matrix with one row for each
identity that was attacked and one column for each that it may be taken for. Identities are the unit: the pictures of
one person, and the models that were trained on them, are no further persons.

Nothing but the model ties a row to a column. So if it tells nothing, the names of the rows may be exchanged at will.
The randomisation test does just that (Good, "Permutation, Parametric, and Bootstrap Tests of Hypotheses", 2005).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import betaincinv

from dosimeter.foundation.arrays import Array
from dosimeter.foundation.checks import in_range
from dosimeter.statistics.intervals.crossed import Interval, clopper_pearson, half_width, rate_interval
from dosimeter.statistics.intervals.margins import margins_of, ratio_of

DRAWS = 9_999
"""Random exchanges of names; the smallest p-value is one over one more."""
_CELLS = 4_000_000
"""Numbers of one block of exchanges."""
_SLACK = 1e-9
"""Difference of sums that rounding explains."""


def recognised(similarity: Float[Array, "t n v"], top: int = 1) -> Bool[Array, "t n"]:
    """Whether each identity is among the `top` that its reconstruction is most similar to; ties count against that.

    Args:
        similarity: of each reconstruction to each identity; row i was made for identity i.
        top: how many names the judge may give.

    Raises:
        ValueError: NaN, more rows than columns, or `top` out of range.

    >>> recognised(np.array([[[2.0, 1.0], [2.0, 1.0]]])).tolist()
    [[True, False]]
    """
    own = _own(similarity, top)
    return np.asarray((similarity >= own[..., None]).sum(-1) <= top)


def placed(similarity: Float[Array, "t n v"]) -> Float[Array, "t n"]:
    """Share of the other identities that each reconstruction is less similar to than to its own; ties count half.

    Args:
        similarity: as in `recognised`.

    Raises:
        ValueError: NaN, more rows than columns, or one column.

    >>> placed(np.array([[[2.0, 1.0, 0.0], [2.0, 1.0, 0.0]]])).tolist()
    [[1.0, 0.5]]
    """
    own = _own(similarity, 1)[..., None]
    below, equal = (similarity < own).sum(-1), (similarity == own).sum(-1) - 1
    return np.asarray((below + equal / 2) / (similarity.shape[-1] - 1))


def _own(similarity: Array, top: int) -> Array:
    """Similarity of each reconstruction to the identity it was made for, checked."""
    n, v = similarity.shape[1:]
    if similarity.ndim != 3 or n > v or v < 2 or not similarity.shape[0] * n or np.isnan(similarity).any():
        raise ValueError(
            "similarity must be numbers [t n v] with a column for each row, and two columns at least, got "
            f"{similarity.shape}" + (" with NaN" if np.isnan(similarity).any() else "")
        )
    in_range("top", top, 1, v)
    own: Array = similarity[:, np.arange(n), np.arange(n)]
    return own


def rate_of(hits: Bool[Array, "t n"], *, rng: np.random.Generator, level: float = 0.95) -> Interval:
    """Share of identities that are recognised, pooled over targets, with the interval of all rates.

    Args:
        hits: as from `recognised`.
        rng: generator for the bootstrap, used from 8 targets on.
        level: two-sided confidence level.

    >>> rate_of(np.array([[True, True, False, True]]), rng=np.random.default_rng(0)).value
    0.75
    """
    everyone = np.ones(hits.shape, bool)
    return rate_interval(hits, everyone, record=np.arange(hits.shape[1]), rng=rng, level=level)


def place_of(places: Float[Array, "t n"], *, level: float = 0.95) -> Interval:
    """Mean place over identities and targets, with its interval; unseen identities may have any place.

    Args:
        places: as from `placed`.
        level: two-sided confidence level.

    >>> place_of(np.full((1, 10), 0.5)).value
    0.5
    """
    ratio = ratio_of(places, np.ones(places.shape), np.arange(places.shape[1]))
    margins = margins_of([(1.0, ratio)])
    half, method = half_width(margins, level, None)
    unseen = clopper_pearson(0, margins.distinct, level=level)[1]
    low, high = min(ratio.value - half, (1 - unseen) * ratio.value), (1 - unseen) * ratio.value + unseen
    return Interval(ratio.value, max(0.0, low), min(1.0, max(ratio.value + half, high)), f"mean place, {method}")


@dataclass(frozen=True)
class NameTest:
    """What exchanging names says of some attacks together.

    Attributes:
        p_recognised: probability that the most successful of them recognises so many, if names mean nothing.
        p_placed: the same of the best mean place.
        needed: least share of identities that would have made the first of them at most `level`; above 1 if none would.
        level: at which each of both is small.
    """

    p_recognised: float
    p_placed: float
    needed: float
    level: float

    @property
    def shown(self) -> bool:
        """Returns whether one of both is small; without a leak, that is so in at most twice `level` of audits."""
        return min(self.p_recognised, self.p_placed) <= self.level


def exchange_names(
    similarity: Mapping[str, Float[Array, "t n v"]],
    *,
    rng: np.random.Generator,
    level: float = 0.025,
    draws: int = DRAWS,
) -> NameTest:
    """Exchanges the names of identities at random, the same way for all attacks and targets.

    So it allows for the number of attacks, and for a judge that takes everything for the same few identities.

    Args:
        similarity: by attack, as in `recognised`, with as many columns as rows.
        rng: generator of the exchanges.
        level: of each of the two statistics.
        draws: number of exchanges.

    Raises:
        ValueError: none, or shapes that differ.
    """
    shapes = {one.shape for one in similarity.values()}
    if len(shapes) != 1 or len({*next(iter(shapes))[1:]}) != 1:
        raise ValueError(f"similarity must be given for one attack or more, of one shape [t n n], got {shapes}")
    n = next(iter(shapes))[1]
    for one in similarity.values():
        _own(one, 1)
    hits, places = (np.stack(kind) for kind in zip(*map(_if_named, similarity.values()), strict=True))
    seen, order = [], np.arange(n)
    for start in range(0, draws, block := max(1, _CELLS // (n * len(hits)))):
        names = rng.permuted(np.tile(order, (min(block, draws - start), 1)), axis=1)
        seen.append(np.stack([found[:, order, names].sum(-1).max(0) for found in (hits, places)]))
    drawn = np.concatenate(seen, axis=1)
    own = [float(found[:, order, order].sum(-1).max()) for found in (hits, places)]
    p_hits, p_places = (
        (1 + int((law >= value - _SLACK).sum())) / (draws + 1) for law, value in zip(drawn, own, strict=True)
    )
    return NameTest(p_hits, p_places, _needed(drawn[0], draws, level) / n, level)


def names_at_chance(similarity: Float[Array, "t n n"], *, rng: np.random.Generator, draws: int = DRAWS) -> float:
    """p-value of one attack being so far from chance, on either side, if names mean nothing.

    Who names the right identity too seldom knows it as well. Three statistics are tried, with Bonferroni's correction:
    how many are recognised, and the mean place above and below chance.

    Args:
        similarity: as in `recognised`, with as many columns as rows.
        rng: generator of the exchanges.
        draws: number of exchanges for each side.

    Raises:
        ValueError: NaN, or another shape.
    """
    above, below = (exchange_names({"": sign * similarity}, rng=rng, draws=draws) for sign in (1.0, -1.0))
    return min(1.0, 3 * min(above.p_recognised, above.p_placed, below.p_placed))


def _if_named(similarity: Array) -> tuple[Array, Array]:
    """Mean over targets of whether row i would be recognised, and of its place, if it were named j; both `[n n]`."""
    ordered, n = np.sort(similarity, axis=-1), similarity.shape[-1]
    below, up_to = np.empty(similarity.shape), np.empty(similarity.shape)
    for at in np.ndindex(similarity.shape[:2]):
        below[at] = np.searchsorted(ordered[at], similarity[at], side="left")
        up_to[at] = np.searchsorted(ordered[at], similarity[at], side="right")
    return (n - below <= 1).mean(0), ((below + (up_to - below - 1) / 2) / (n - 1)).mean(0)


def _needed(law: Float[Array, " d"], draws: int, level: float) -> float:
    """Least number of recognised identities whose p-value under a law of random exchanges is at most the level."""
    for count in np.append(np.unique(law), np.floor(law.max()) + 1):
        if (1 + int((law >= count - _SLACK).sum())) / (draws + 1) <= level:
            return float(count)
    return float("inf")


def would_show(identities: int, needed: float, power: float = 0.9) -> float:
    """The least share of identities that an attack must recognise on average for a share `needed` in 9 audits of 10.

    Args:
        identities: number of identities.
        needed: share of them that shows a leak, as in `NameTest`.
        power: how often.

    Returns:
        The share, the least rate of a binomial law of so many identities; 1 if none is enough.

    >>> 0.3 < would_show(20, 0.2) < 0.36, would_show(5, 1.2)
    (True, 1.0)
    """
    in_range("power", power, 0, 1, open_low=True, open_high=True)
    if needed > 1:
        return 1.0
    count = ceil(needed * identities - _SLACK)
    return float(betaincinv(count, identities - count + 1, power)) if count else 0.0
