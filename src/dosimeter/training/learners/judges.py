"""Judges who say which identity a record shows, or nobody; no audited model saw the records by which they know them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from dosimeter.foundation.arrays import Array

MOST_COMPONENTS = 100
"""Most principal components that a judge looks at."""
FEWEST = 2
"""Fewest identities, and fewest records of one, from which it is learned how records of one identity differ."""
FALSE_ACCEPTANCE = 0.05
"""Share of records of somebody else that a judge accepts."""
FEWEST_APART = 2 * FEWEST
"""Fewest identities by which a threshold is learned: some to learn what is similar, others to try it on."""
PARTS = 5
"""Into so many parts identities are divided; each is tried by a judge who learned on the others."""


@dataclass(frozen=True)
class Lineup:
    """A judge who compares a record with real ones of each identity and says how similar it is to each.

    What differs between records of one identity was learned on other identities: along directions in which they differ
    much a difference counts little. It is a Mahalanobis distance within classes, as in Fisher's discriminant analysis.

    Attributes:
        mean: subtracted first `[d]`.
        axes: from records to the space of comparison `[d k]`.
        gallery: each identity's mean place there `[v k]`.
    """

    mean: Float[Array, " d"]
    axes: Float[Array, "d k"]
    gallery: Float[Array, "v k"]

    def similarity(self, records: Float[Array, "n d"]) -> Float[Array, "n v"]:
        """Minus half of the squared distance to each identity: the log likelihood of a normal law, but for a constant.

        Args:
            records: flattened.
        """
        return np.asarray(-0.5 * ((self.places(records)[:, None] - self.gallery) ** 2).sum(-1))

    def places(self, records: Float[Array, "n d"]) -> Float[Array, "n k"]:
        """Places of flattened records in the space of comparison."""
        return np.asarray((records - self.mean) @ self.axes)


@dataclass(frozen=True)
class Classifier:
    """A judge that was trained to tell the identities apart.

    Attributes:
        weight: `[v d]`.
        bias: `[v]`.
    """

    weight: Float[Array, "v d"]
    bias: Float[Array, " v"]

    def similarity(self, records: Float[Array, "n d"]) -> Float[Array, "n v"]:
        """Log-odds of each identity, but for a constant.

        Args:
            records: flattened.
        """
        return np.asarray(records @ self.weight.T + self.bias)


def usable(labels: Int[Array, " n"]) -> bool:
    """Returns whether identities have records enough to learn how records of one identity differ."""
    return bool((np.bincount(labels) >= FEWEST).sum() >= FEWEST)


def fit_lineup(
    others: tuple[Float[Array, "p d"], Int[Array, " p"]], known: tuple[Float[Array, "n d"], Int[Array, " n"]]
) -> Lineup:
    """Fits the first judge.

    Args:
        others: records and identities of other people, on whom the comparison is learned.
        known: records and identities, from 0 on, of those who are to be recognised.

    Raises:
        ValueError: the others do not show how records of one identity differ.
    """
    from sklearn.covariance import ledoit_wolf

    records, labels = others
    if not usable(labels):
        raise ValueError(f"others must be {FEWEST} identities or more with {FEWEST} records each")
    mean, basis = _components(records)
    seen = (records - mean) @ basis
    counts = np.bincount(labels)
    inside = counts[labels] >= FEWEST
    means = np.stack([np.bincount(labels, one, len(counts)) for one in seen.T], 1) / np.maximum(counts, 1)[:, None]
    covariance, _ = ledoit_wolf((seen - means[labels])[inside], assume_centered=True)
    values, vectors = np.linalg.eigh(covariance)
    axes = basis @ (vectors / np.sqrt(np.maximum(values, values[-1] * 1e-9)))
    places = (known[0] - mean) @ axes
    gallery = np.stack([places[known[1] == one].mean(0) for one in range(int(known[1].max()) + 1)])
    return Lineup(mean, axes, gallery)


def fit_classifier(records: Float[Array, "n d"], labels: Int[Array, " n"]) -> Classifier:
    """Fits the second judge: linear discriminant analysis with shrinkage on principal components.

    Args:
        records: of the identities to be recognised.
        labels: their identities, from 0 on.
    """
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    mean, basis = _components(records)
    found = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit((records - mean) @ basis, labels)
    weight, bias = found.coef_, found.intercept_
    if len(weight) == 1:  # of two identities it keeps the difference only
        weight, bias = np.stack([-weight[0], weight[0]]) / 2, np.array([-bias[0], bias[0]]) / 2
    weight = weight @ basis.T
    return Classifier(weight, bias - weight @ mean)


def _components(records: Array) -> tuple[Array, Array]:
    """Mean `[d]` and principal axes `[d k]` of records."""
    mean = records.mean(0)
    _, sizes, axes = np.linalg.svd(records - mean, full_matrices=False)
    kept = sizes > sizes[0] * 1e-6
    return mean, axes[kept][:MOST_COMPONENTS].T


@runtime_checkable
class Compares(Protocol):
    """A judge."""

    def similarity(self, records: Float[Array, "n d"]) -> Float[Array, "n v"]:
        """Similarity of flattened records to each identity."""


@runtime_checkable
class Sees(Compares, Protocol):
    """A judge that compares places of records."""

    def places(self, records: Float[Array, "n d"]) -> Float[Array, "n k"]:
        """Places of flattened records in the space of comparison."""


def nearest(
    places: Float[Array, "n k"], real: Float[Array, "m k"], labels: Int[Array, " m"], identities: int
) -> Float[Array, "n v"]:
    """Distance of each record to the nearest real one of each identity; infinite where it has none.

    Args:
        places: of records.
        real: places of the real ones.
        labels: their identities.
        identities: how many there are.
    """
    from scipy.spatial.distance import cdist

    found = np.full((len(places), identities), np.inf)
    for one in np.unique(labels):
        found[:, one] = cdist(places, real[labels == one]).min(1)
    return found


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
