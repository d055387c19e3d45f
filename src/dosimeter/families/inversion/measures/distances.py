"""How near what was made lies to real records: of each identity, and as a set of pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from dosimeter.families.inversion.measures.identified import LEVEL, Measured
from dosimeter.families.inversion.metrics import METRICS
from dosimeter.families.inversion.threat import NAME
from dosimeter.foundation.arrays import Array
from dosimeter.results.rows import Row
from dosimeter.statistics.intervals.crossed import Interval
from dosimeter.statistics.leakage.picture_sets import KernelSums, kernel_distance, mean_distance

SET = "kid_lite0"
"""Metric of the distance of sets."""


def distance_rows(found: Measured) -> Iterator[Row]:
    """Distances of what each attack made for an identity, and of all that it made as a set where the audit asks for it.

    Args:
        found: what a run left.
    """
    for attack in found.left.evidence:
        for metric, distances in found.left.distances(attack).items():
            own = np.diagonal(distances, axis1=1, axis2=2)
            yield _row(found, attack, metric, mean_distance(own, level=LEVEL))
        if (sums := _sums(found, attack)) is not None:
            yield _row(found, attack, SET, kernel_distance(sums, level=LEVEL))


def yardsticks(found: Measured) -> dict[str, Any]:
    """What the distances are to be compared with; empty where an older run does not tell.

    Of real records that nobody learned the mean distance to their own identity and to other ones; of each attack that
    to its own identity if names were exchanged at random, which is the mean over all; and of sets the distance of such
    real records, and of the public ones, from those that the models learned.

    Args:
        found: what a run left.
    """
    told: dict[str, Any] = {}
    for metric, (own, other) in _real(found.left.truth).items():
        exchanged = {one: found.left.distances(one) for one in found.left.evidence}
        told[metric] = {
            "real": float(np.mean(own)), "other": float(np.mean(other)),
            "exchanged": {one: float(np.mean(each[metric])) for one, each in exchanged.items()},
        }  # fmt: skip
    if "kid_real" in found.left.truth:
        told[SET] = {"real": float(found.left.truth["kid_real"]), "other": float(found.left.truth["kid_other"])}
    return told


def _real(truth: Mapping[str, Array]) -> dict[str, tuple[Array, Array]]:
    """By metric, distances of the lineup's test records to their own identity and to all others."""
    if "own_nearest" not in truth:
        return {}
    places = (np.sqrt(-2 * np.minimum(truth[f"{whose}_similarity"], 0.0)) for whose in ("own", "other"))
    own, other = places
    return {
        "knn_distance": (truth["own_nearest"], truth["other_nearest"]), "feature_distance": (own, other),
    }  # fmt: skip


def _sums(found: Measured, attack: str) -> KernelSums | None:
    """Kernels of what an attack made; None unless the audit asks for them."""
    arrays, truth = found.left.evidence[attack], found.left.truth
    if "kid_made" not in arrays:
        return None
    return KernelSums(arrays["kid_made"], arrays["kid_cross"], truth["kid_sums"], truth["kid_counts"])


def _row(found: Measured, attack: str, metric: str, interval: Interval) -> Row:
    """One number of one attack."""
    return Row(
        threat=NAME, family=NAME, stage=str(found.left.summary["threat"]["at_risk"]), variant="none", attack=attack,
        metric=metric, unit=METRICS[metric].unit, value=interval.value, low=interval.low, high=interval.high,
        level=LEVEL, method=interval.method, n={"identities": found.identities},
        n_targets=len(found.left.lineup(attack)),
    )  # fmt: skip
