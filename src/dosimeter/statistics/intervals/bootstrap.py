"""The two-way bootstrap of targets and records."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8, UInt64

from dosimeter.foundation.arrays import Array
from dosimeter.statistics.intervals.margins import Terms

_CHUNK = 4_000_000
"""Most record weights whose bits are held in memory at once."""
_BLOCK = 2048
"""Records whose weights are numbers at one time, a multiple of 8: few enough for the cache of a processor."""


def bootstrap_variance(terms: Terms, draws: int, rng: np.random.Generator) -> float:
    """Variance of a signed sum of ratios under products of target and record weights, never of size `draws x t x k`.

    Targets get multinomial weights; records get 0 or 2 by a fair coin (Owen and Eckles, Annals of Applied Statistics
    2012: mean and variance 1 as Poisson weights, thirty times faster, and a steadier variance).
    """
    rows, k = terms[0][1].num.shape
    by_target = rng.multinomial(rows, np.full(rows, 1 / rows), size=draws)
    sums = _Sums(terms)
    step = max(1, _CHUNK // k)
    replicates = np.zeros(draws)
    for first in range(0, draws, step):
        w = by_target[first : first + step]
        coins = np.frombuffer(rng.bytes(len(w) * (-(-k // 8))), np.uint8).reshape(len(w), -1)
        drawn = np.einsum("bt,sbt->sb", w, sums.under(coins))
        with np.errstate(invalid="ignore", divide="ignore"):
            for (sign, _), num, den in zip(terms, drawn[0::2], drawn[1::2], strict=True):
                replicates[first : first + step] += sign * num / den
    # A draw that leaves no decision has no ratio; it happens with a handful of records only.
    return float(np.nanvar(np.where(np.isfinite(replicates), replicates, np.nan)))


class _Sums:
    """Sums over the records that coins choose: of each ratio its centred numerators and its denominators.

    Cells of a rate are 0 or 1. Their bits and those of the coins are counted, in a quarter of the time of a product.
    """

    def __init__(self, terms: Terms) -> None:
        self.values = [ratio.value for _, ratio in terms]
        self.rows = len(terms[0][1].num)
        cells = [part for _, ratio in terms for part in (ratio.num, ratio.den)]
        self.bits = [_bits(part) for part in cells]
        for place, value in enumerate(self.values):
            if self.bits[2 * place] is None or self.bits[2 * place + 1] is None:
                self.bits[2 * place] = None
                cells[2 * place] = cells[2 * place] - value * cells[2 * place + 1]
        numbers = [part for part, bits in zip(cells, self.bits, strict=True) if bits is None]
        # Centred numerators lose nothing in single precision, which halves the time of the one large product.
        self.matrix = np.ascontiguousarray(np.concatenate(numbers).T, dtype=np.float32) if numbers else None

    def under(self, coins: UInt8[Array, "b w"]) -> Float[Array, "s b t"]:
        """Numerators and denominators of the ratios, in turn, under the coins of some draws."""
        found, words = np.empty((len(self.bits), len(coins), self.rows)), _words(coins)
        for place, bits in enumerate(self.bits):
            if bits is not None:
                found[place] = _counts(words, bits)
        if self.matrix is not None:
            lacking = [place for place, bits in enumerate(self.bits) if bits is None]
            found[lacking] = _products(coins, self.matrix).reshape(len(coins), -1, self.rows).swapaxes(0, 1)
        for place, value in enumerate(self.values):
            if self.bits[2 * place] is not None:
                found[2 * place] -= value * found[2 * place + 1]
        return found


def _bits(cells: Float[Array, "t k"]) -> UInt64[Array, "t v"] | None:
    """Cells as bits, if each is 0 or 1; NumPy counts bits from its release 2 on."""
    if not hasattr(np, "bitwise_count") or not ((cells == 0) | (cells == 1)).all():
        return None
    return _words(np.packbits(cells.astype(bool), axis=1))


def _words(packed: UInt8[Array, "b w"]) -> UInt64[Array, "b v"]:
    """Rows of bytes in whole words, with zeros behind them."""
    whole = np.zeros((len(packed), -(-packed.shape[1] // 8) * 8), np.uint8)
    whole[:, : packed.shape[1]] = packed
    return whole.view(np.uint64)


def _counts(coins: UInt64[Array, "b v"], cells: UInt64[Array, "t v"]) -> Float[Array, "b t"]:
    """How many cells of each target the coins of each draw choose."""
    both, ones = np.empty_like(coins), np.empty(coins.shape, np.uint8)
    found = np.empty((len(coins), len(cells)))
    for target, row in enumerate(cells):
        np.bitwise_and(coins, row, out=both)
        found[:, target] = np.bitwise_count(both, out=ones).sum(1, dtype=np.uint32)
    return found


def _products(coins: UInt8[Array, "b w"], matrix: Float[Array, "k c"]) -> Float[Array, "b c"]:
    """Sums of the rows that coins choose, block by block, so that no weight leaves the cache before it is used."""
    k, found = len(matrix), np.zeros((len(coins), matrix.shape[1]), np.float32)
    for first in range(0, k, _BLOCK):
        rows = matrix[first : first + _BLOCK]
        weights = np.unpackbits(coins[:, first // 8 : (first + _BLOCK) // 8], axis=1, count=len(rows))
        found += weights.astype(np.float32) @ rows
    return found
