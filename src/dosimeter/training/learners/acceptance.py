"""From which similarity on a judge accepts a record as one of an identity, learned on other people."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from dosimeter.foundation.arrays import Array
from dosimeter.training.learners.judges import FEWEST, fit_lineup

FALSE_ACCEPTANCE = 0.05
"""Share of records of somebody else that a judge accepts."""
FEWEST_APART = 2 * FEWEST
"""Fewest identities by which a threshold is learned: some to learn what is similar, others to try it on."""
PARTS = 5
"""Into so many parts identities are divided; each is tried by a judge who learned on the others."""


@runtime_checkable
class Compares(Protocol):
    """A judge."""

    def similarity(self, records: Float[Array, "n d"]) -> Float[Array, "n v"]:
        """Similarity of flattened records to each identity."""


def linear(records: Array, labels: Array, known: Array, named: Array) -> Compares:
    """The linear lineup."""
    return fit_lineup((records, labels), (known, named))


def parts_of(labels: Int[Array, " p"], rng: np.random.Generator, parts: int = PARTS) -> list[Int[Array, " m"]]:
    """Identities with two records or more, divided at random; every part has two of them and leaves two.

    Args:
        labels: identities of records.
        rng: divides.
        parts: at most.

    Returns:
        The identities of each part; empty where there are too few.
    """
    able = np.flatnonzero(np.bincount(labels) >= FEWEST)
    if len(able) < FEWEST_APART:
        return []
    shuffled = rng.permutation(able)
    return [np.sort(one) for one in np.array_split(shuffled, min(parts, len(able) // 2))]


def impostors(
    judge: Callable[[Array, Array], Compares], records: Float[Array, "p d"], labels: Int[Array, " p"],
    apart: Int[Array, " m"], shots: int, rng: np.random.Generator,
) -> Float[Array, " i"]:  # fmt: skip
    """Similarities of records to identities that are not theirs, among people on whom the judge did not learn.

    Args:
        judge: makes a judge that knows the given records and labels, from 0 on.
        records: of other people, flattened.
        labels: their identities.
        apart: identities that are compared with each other.
        shots: records by which each identity is known, fewer where it has no more.
        rng: draws them.
    """
    known, named, asked, truth = [], [], [], []
    for place, one in enumerate(apart):
        own = rng.permutation(np.flatnonzero(labels == one))
        own, left = own[: min(shots, len(own) - 1)], own[min(shots, len(own) - 1) :]
        known.append(own)
        named.append(np.full(len(own), place))
        asked.append(left)
        truth.append(np.full(len(left), place))
    similarity = judge(records[np.concatenate(known)], np.concatenate(named)).similarity(records[np.concatenate(asked)])
    others = np.concatenate(truth)[:, None] != np.arange(len(apart))
    return np.asarray(similarity[others])


def threshold(similarities: Float[Array, " i"], rate: float = FALSE_ACCEPTANCE) -> float:
    """The least similarity above which at most a share `rate` of impostors lies; NaN without any.

    >>> threshold(np.arange(100.0))
    95.0
    """
    if not len(similarities):
        return float("nan")
    return float(np.quantile(similarities, 1 - rate, method="higher"))


def accepts_from(records: Float[Array, "p d"], labels: Int[Array, " p"], shots: int, rng: np.random.Generator) -> float:
    """The threshold of the linear lineup: each part of the others is tried by a lineup that learned on the rest.

    Args:
        records: of other people, flattened.
        labels: their identities.
        shots: records by which an identity is known.
        rng: divides the identities and draws records.

    Returns:
        The threshold; NaN where there are fewer than four identities with two records.
    """
    found = [np.empty(0)]
    for apart in parts_of(labels, rng):
        rest = ~np.isin(labels, apart)
        renamed = np.unique(labels[rest], return_inverse=True)[1].reshape(-1)
        found.append(impostors(partial(linear, records[rest], renamed), records, labels, apart, shots, rng))
    return threshold(np.concatenate(found))
