"""Two losses compared layer by layer, by the Fisher information of each, with intervals over records or groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped

from dosimeter.foundation.arrays import Array
from dosimeter.foundation.seeds import generator
from dosimeter.training.sensitivity.fisher import Aggregate, Fisher

DRAWS = 1000
LEVEL = 0.95
AGGREGATES: tuple[Aggregate, ...] = ("mean", "sum")


@dataclass(frozen=True)
class Band:
    """Estimates with the ends of their intervals, one for each layer or one alone (`[]`)."""

    value: Float[np.ndarray, "*l"]
    low: Float[np.ndarray, "*l"]
    high: Float[np.ndarray, "*l"]


@dataclass(frozen=True)
class Profile:
    """How the information of one loss lies over the layers.

    Attributes:
        shares: share of each layer in the whole.
        centre: centre of mass Σ l F_l / Σ F_l; layers count from 0.
        early: share of the first quarter of the layers, rounded up.
    """

    shares: Band
    centre: Band
    early: Band


@dataclass(frozen=True)
class LayerContrast:
    """Where a second loss has its information, against a first one.

    Attributes:
        layers: names in the order in which they run.
        parameters: number of weights of each.
        first: by aggregate the profile of the first loss, such as that of the task.
        second: by aggregate that of the second, such as that of an attack.
        log_ratio: natural logarithm of second over first of each layer; the same for all aggregates. Its level depends
            on the scale of the losses; only its course over the layers tells something.
        slope: of the log-ratio by the number of the layer, least squares; below 0 if the second lies earlier.
        units: number of records or groups that were drawn of each loss.
    """

    layers: tuple[str, ...]
    parameters: Float[np.ndarray, " l"]
    first: Mapping[Aggregate, Profile]
    second: Mapping[Aggregate, Profile]
    log_ratio: Band
    slope: Band
    units: tuple[int, int]


def contrast(
    first: Fisher,
    second: Fisher,
    *,
    groups: tuple[Shaped[np.ndarray, " n"] | None, Shaped[np.ndarray, " m"] | None] = (None, None),
    seed: int = 0,
    draws: int = DRAWS,
) -> LayerContrast:
    """Compares two losses layer by layer.

    Intervals are percentile bootstrap intervals at 95 %. Each loss' records are drawn with replacement, or whole groups
    of them, and both losses independently of each other. They are about other records for the same model, and say
    nothing of other trainings.

    Args:
        first: of the first loss.
        second: of the second, on the same layers.
        groups: of each loss the group of each record, such as the class that a reconstruction is of; None for records
            that are drawn one by one.
        seed: of the draws.
        draws: number of bootstrap samples.

    Raises:
        ValueError: other layers, fewer than two layers or two groups, or a layer without information of one loss, in
            the records or in a bootstrap sample.
    """
    if first.layers != second.layers or len(first.layers) < 2:
        raise ValueError(f"both losses must have the same two layers or more, got {first.layers} and {second.layers}")
    for name, one in (("first", first), ("second", second)):
        empty = [layer for layer, value in zip(one.layers, one.of_layers("sum"), strict=True) if not value > 0]
        if empty or not np.isfinite(one.each).all():
            raise ValueError(
                f"the {name} loss must have finite slopes that are not all 0 in each layer, got none in "
                f"{', '.join(empty) or 'some'}: leave the layer out, or use a loss that does not vanish"
            )
    drawn = [
        _resampled(one, group, generator(seed, "Fisher bootstrap", index), draws)
        for index, (one, group) in enumerate(zip((first, second), groups, strict=True))
    ]
    for name, (sample, many) in zip(("first", "second"), drawn, strict=True):
        if not (sample > 0).all():
            raise ValueError(
                f"the {name} loss must have slopes in each layer for many of its {many} records or groups, got so few "
                "that some bootstrap samples have none: use more records, or a loss that does not vanish"
            )
    own = [one.of_layers("sum") for one in (first, second)]
    ratios = [np.log(b) - np.log(a) for a, b in (own, [sample for sample, _ in drawn])]
    return LayerContrast(
        layers=first.layers,
        parameters=first.parameters.astype(float),
        first={name: _profile(first, own[0], drawn[0][0], name) for name in AGGREGATES},
        second={name: _profile(second, own[1], drawn[1][0], name) for name in AGGREGATES},
        log_ratio=_band(*ratios),
        slope=_band(*(_slope(one) for one in ratios)),
        units=(drawn[0][1], drawn[1][1]),
    )


def _resampled(
    one: Fisher, groups: Array | None, rng: np.random.Generator, draws: int
) -> tuple[Float[np.ndarray, "draws l"], int]:
    """Mean squared gradients of each layer in bootstrap samples, and the number of units that are drawn."""
    names, unit = np.unique(np.arange(len(one.each)) if groups is None else groups, return_inverse=True)
    if len(unit) != len(one.each) or len(names) < 2:
        raise ValueError(f"groups must be two or more and name one for each record, got {len(names)} of {len(unit)}")
    sums = np.zeros((len(names), len(one.layers)))
    np.add.at(sums, unit, one.each)
    counts = np.bincount(unit, minlength=len(names))
    weights = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=draws)
    return (weights @ sums) / (weights @ counts)[:, None], len(names)


def _profile(one: Fisher, own: Array, drawn: Array, aggregate: Aggregate) -> Profile:
    """Shares, centre and early share of one loss."""
    scale = one.parameters if aggregate == "mean" else np.ones(len(own))
    parts = [values / values.sum(-1, keepdims=True) for values in (own / scale, drawn / scale)]
    early, places = -(-len(own) // 4), np.arange(len(own))
    return Profile(
        _band(*parts), _band(*(part @ places for part in parts)), _band(*(part[..., :early].sum(-1) for part in parts))
    )


def _slope(log_ratio: Float[np.ndarray, "*draws l"]) -> Float[np.ndarray, "*draws"]:
    """Least-squares slope over the number of the layer."""
    places = np.arange(log_ratio.shape[-1]) - (log_ratio.shape[-1] - 1) / 2
    return np.asarray(log_ratio @ places / (places @ places))


def _band(value: Array | np.float64, drawn: Array) -> Band:
    """An estimate with the percentiles of its bootstrap samples."""
    tails = [(1 - LEVEL) / 2, 1 - (1 - LEVEL) / 2]
    low, high = np.quantile(drawn, tails, axis=0)
    return Band(np.asarray(value), np.asarray(low), np.asarray(high))
