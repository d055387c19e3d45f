"""A reader of an attack's log-scores over several values: one temperature, and one weight of the prior beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from dosimeter.foundation.arrays import Array
from dosimeter.statistics.dose.bits import LEAST

_SHARPEST, _FLATTEST = 1e4, 1e-3
"""Largest and smallest factor of log-scores, in units of one over their usual spread within a record."""
_GRID = 25
"""Points of the search for a factor, which is repeated around the best."""
_HALVED = (12, 12, 12, 30)
"""Halvings of the range of weights in each search; a rough weight is enough to say where to look next."""
_HALF = 0.5
"""Records by which the weight's likelihood is extended on either side, so that few hits do not make a sure reader."""
_BEATS = 1e-9
"""Bits by which a reader must beat the prior on its fitting part."""


@dataclass(frozen=True)
class GuessReader:
    """A fitted reader: `weight * softmax(factor * log-scores) + (1 - weight) * prior`.

    Attributes:
        factor: one over the temperature.
        weight: of the attack, in [0, 1]; 0 is the prior itself.
        prior: probability of each value `[v]`.
    """

    factor: float
    weight: float
    prior: Float[Array, " v"]

    def probability(self, guesses: Float[Array, "*a v"]) -> Float[Array, "*a v"]:
        """The probability of each value, in [`LEAST`, 1 - `LEAST`].

        Args:
            guesses: log-scores; -inf excludes a value, and a record with nothing else has no evidence.

        Raises:
            ValueError: NaN or +inf.
        """
        check_guesses(guesses)
        mixed = self.weight * _softmax(self.factor * centred(guesses), self.prior) + (1 - self.weight) * self.prior
        return np.asarray(np.clip(mixed, LEAST, 1 - LEAST))


def fit_guesses(
    guesses: Float[Array, "*a v"],
    values: Int[Array, " *a"],
    prior: Float[Array, " v"],
    share: Float[Array, " *a"],
) -> GuessReader:
    """Fit a reader on guesses of known values; the prior itself, if the fitted reader does not beat it there.

    Args:
        guesses: log-scores.
        values: the true value of each record, a position among the guesses.
        prior: probability of each value.
        share: weight of each record; sums to 1.

    Raises:
        ValueError: NaN or +inf.
    """
    check_guesses(guesses)
    rows, truth, weight = centred(guesses).reshape(-1, len(prior)), values.ravel(), share.ravel()
    spread = _usual_spread(rows)
    if not spread:
        return GuessReader(1.0, 0.0, prior)
    low, high = np.log(_FLATTEST / spread), np.log(_SHARPEST / spread)
    # Values before records: sums over few values run along long rows then, at a fraction of the time.
    columns, best = np.ascontiguousarray(rows.T), (-np.inf, 0.0, 0.0)
    for halved in _HALVED:
        grid = np.linspace(low, high, _GRID)
        best = max(_weighed(columns, truth, weight, prior, grid, halved))
        step = float(grid[1] - grid[0])
        low, high = best[1] - step, best[1] + step
    reader = GuessReader(float(np.exp(best[1])), best[2], prior)
    # of the log-scores as they are, since a record without evidence has no centred ones
    given = np.take_along_axis(reader.probability(guesses).reshape(rows.shape), truth[:, None], axis=1)[:, 0]
    beaten = float(weight @ -np.log2(given)) < float(weight @ -np.log2(prior[truth])) - _BEATS
    return reader if beaten else GuessReader(1.0, 0.0, prior)


def check_guesses(guesses: Float[Array, "*a v"]) -> None:
    """Refuses NaN and +inf; -inf excludes a value.

    Raises:
        ValueError: NaN or +inf.
    """
    bad = int((np.isnan(guesses) | np.isposinf(guesses)).sum())
    if bad:
        raise ValueError(f"guesses must have no NaN and no +inf, got {bad}; let a value that is excluded be -inf")


def centred(guesses: Float[Array, "*a v"]) -> Float[Array, "*a v"]:
    """Log-scores minus the largest of their record; NaN where a record has nothing but -inf."""
    top = guesses.max(axis=-1, keepdims=True)
    return np.asarray(guesses - np.where(np.isneginf(top), np.nan, top))


def _softmax(scaled: Array, prior: Array) -> Array:
    """Probabilities from centred log-scores; the prior for a record without evidence."""
    raw = np.exp(scaled)
    total = raw.sum(axis=-1, keepdims=True)
    return np.where(np.isnan(total), prior, raw / total)


def _usual_spread(rows: Array) -> float:
    """Median over records of the mean distance of values from the best; 0 if no record prefers a value."""
    told = np.where(np.isfinite(rows), -rows, np.nan)
    held = np.isfinite(told).sum(1)
    means = np.divide(np.nansum(told, axis=1), held, out=np.zeros(len(rows)), where=held > 0)
    if (means > 0).any():
        return float(np.median(means[means > 0]))
    return 1.0 if np.isneginf(rows).any() else 0.0


def _weighed(
    columns: Array, truth: Array, share: Array, prior: Array, log_factors: Array, halved: int
) -> list[tuple[float, float, float]]:
    """Best log likelihood of each factor over the weights of the prior; with the factor and the weight.

    The likelihood is concave in the weight. With 30 halvings its slope is 0 to half of the precision of floats.
    """
    base, n = prior[truth], len(truth)
    more = _of_truth(columns, truth, base, np.exp(log_factors)) - base
    low, high = np.zeros(len(more)), np.ones(len(more))
    ratio = np.empty_like(more)
    for _ in range(halved):
        w = (low + high) / 2
        np.multiply(w[:, None], more, out=ratio)
        ratio += base
        np.divide(more, ratio, out=ratio)
        rises = n * (ratio @ share) + _HALF / w - _HALF / (1 - w) > 0
        low, high = np.where(rises, w, low), np.where(rises, high, w)
    w = (low + high) / 2
    told = n * (np.log(base + w[:, None] * more) @ share) + _HALF * (np.log(w) + np.log1p(-w))
    return list(zip(told.tolist(), log_factors.tolist(), w.tolist(), strict=True))


def _of_truth(columns: Array, truth: Array, base: Array, factors: Array) -> Array:
    """Probability of the true value by each factor `[f n]`, as `_softmax` has it; that of the prior without evidence.

    One factor at a time in one buffer: all at once would take the memory of the guesses as often as there are factors.
    """
    own, scaled = columns[truth, np.arange(columns.shape[1])], np.empty_like(columns)
    total = np.empty((len(factors), columns.shape[1]))
    for factor, one in zip(factors.tolist(), total, strict=True):
        np.multiply(factor, columns, out=scaled)
        np.exp(scaled, out=scaled).sum(axis=0, out=one)
    return np.where(np.isnan(total), base, np.exp(factors[:, None] * own) / total)
