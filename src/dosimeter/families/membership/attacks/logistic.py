"""Logistic regression for attacks that learn from shadows: few features, exact solution, no random numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from dosimeter.foundation.arrays import Array

_STEPS = 100
_ENOUGH = 1e-12
_MANY, _PART = 50_000, 17
"""Rows from which on the search starts at the solution for each 17th of them: whole passes are then half as many. A
prime, as orders of rows often repeat after 2, 4, 8."""


@dataclass(frozen=True)
class Classifier:
    """Log-odds of membership, linear in standardised features.

    Attributes:
        low: least value of each feature in training `[d]`; queries below are raised to it.
        high: greatest value; queries above are lowered to it.
        centre: mean of each feature in training.
        scale: standard deviation of each feature in training, 1 if it is 0.
        coefficients: coefficients of the standardised features, then the intercept `[d + 1]`.
    """

    low: Float[Array, " d"]
    high: Float[Array, " d"]
    centre: Float[Array, " d"]
    scale: Float[Array, " d"]
    coefficients: Float[Array, " e"]

    def decide(self, features: Float[Array, "*shape d"]) -> Float[Array, "*shape"]:
        """Log-odds of membership of each row of features."""
        standard = (np.clip(features, self.low, self.high) - self.centre) / self.scale
        result: Array = (standard * self.coefficients[:-1]).sum(axis=-1) + self.coefficients[-1]
        return result


def fit(
    features: Float[Array, "r d"],
    is_member: Bool[Array, " r"],
    weight: Float[Array, " r"] | None = None,
    *,
    clip: bool = True,
) -> Classifier:
    """Minimises the log-loss plus half the squared length of the standardised coefficients, without the intercept.

    Args:
        features: one row per example.
        is_member: the label of each example.
        weight: how often each row occurs; once unless given.
        clip: whether queries are kept within the range of training; without, they are extrapolated.
    """
    weight = np.ones(len(features)) if weight is None else weight
    centre = np.average(features, axis=0, weights=weight)
    scale = np.sqrt(np.average((features - centre) ** 2, axis=0, weights=weight))
    scale = np.where(scale > 0, scale, 1.0)
    design = np.column_stack([(features - centre) / scale, np.ones(len(features))])
    bounds = np.full((2, features.shape[1]), [[-np.inf], [np.inf]])
    if clip:
        bounds = np.stack([features.min(axis=0), features.max(axis=0)])
    y, start = is_member.astype(np.float64), np.zeros(design.shape[1])
    if len(design) >= _MANY:
        start = _newton(design[::_PART], y[::_PART], weight[::_PART], start)
    return Classifier(bounds[0], bounds[1], centre, scale, _newton(design, y, weight, start))


def _newton(
    design: Float[Array, "r e"], y: Float[Array, " r"], weight: Float[Array, " r"], start: Float[Array, " e"]
) -> Float[Array, " e"]:
    """Newton's method; a step that would increase the loss is halved. It starts at 0 if that is better than `start`."""
    penalty = np.append(np.ones(design.shape[1] - 1), 0.0)
    columns = np.ascontiguousarray(design.T)

    def loss(at: Array) -> tuple[float, Array]:
        odds = at @ columns
        small = np.exp(-np.abs(odds))  # at most 1, so neither the loss nor the chance overflows
        value = float(weight @ (np.maximum(odds, 0.0) + np.log1p(small) - y * odds) + penalty @ at**2 / 2)
        return value, np.where(odds > 0, 1.0, small) / (1 + small)

    # A part of the rows may hold one class alone, whose solution is so far out that no curvature leads back.
    beta = min((np.zeros(len(start)), start), key=lambda at: loss(at)[0]) if start.any() else start
    before, chance = loss(beta)
    for _ in range(_STEPS):
        slope = columns @ (weight * (chance - y)) + penalty * beta
        curvature = (columns * (weight * chance * (1 - chance))) @ columns.T + np.diag(penalty)
        # A class that is always or never met leaves no curvature in the intercept; the least length decides then.
        step = np.linalg.lstsq(curvature, slope, rcond=None)[0]
        after = loss(beta - step)
        while after[0] > before * (1 + _ENOUGH) and np.abs(step).max() > _ENOUGH:
            step /= 2
            after = loss(beta - step)
        beta, (before, chance) = beta - step, after
        if np.abs(step).max() <= _ENOUGH * (1 + np.abs(beta).max()):
            break
    return beta
