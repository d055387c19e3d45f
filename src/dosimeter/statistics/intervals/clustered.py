"""Variance of sums over persons of unequal size, and its degrees of freedom: the basis for one trained model.

Records of one person are not independent. If few persons hold most records, few totals decide the variance, and the
linearised one is too small. The jackknife (CR3; MacKinnon, Nielsen and Webb, Journal of Econometrics 2023) takes each
person's leverage into account, and the degrees of freedom of Bell and McCaffrey (Survey Methodology 2002) say how many
independent totals the variance is worth. Where all persons have the same size, both are those of a mean of k totals.

A *side* is what one mean is taken over: the members, or the non-members. Axes: `s` sides, `k` persons (record clusters;
a record may be its own). Everything takes O(k) time: the matrices below are sums of a diagonal and few vectors.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from dosimeter.foundation.arrays import Array
from dosimeter.statistics.intervals.cells import clusters


class Spread(NamedTuple):
    """Spread of a statistic between persons.

    Attributes:
        variance: variance of the statistic; infinite if a side has one person only.
        freedom: degrees of freedom of this variance, at least 1.
        sides: variance of each side's mean `[s]`.
    """

    variance: float
    freedom: float
    sides: Float[Array, " s"]


@dataclass(frozen=True)
class Persons:
    """Number of records of each person on each side.

    Attributes:
        counts: records `[s k]`, 0 for a person without any; each side has some.
    """

    counts: Float[Array, "s k"] | Int[Array, "s k"]

    @cached_property
    def share(self) -> Float[Array, "s k"]:
        """Share of each person in a side's records: the person's leverage on the side's mean."""
        shares: Array = self.counts / self.counts.sum(1, keepdims=True)
        return shares

    @cached_property
    def stretch(self) -> Float[Array, "s k"]:
        """Factor of a person's contribution to a mean, so that the sum of squares is the jackknife variance.

        Without the person the mean moves by `1 / (1 - h)` times the contribution; `(k - 1) / k` is the factor of the
        jackknife. It is 0 for the only person of a side, without whom there is no mean; `spread` handles that case.
        """
        rest = 1 - self.share
        persons = (self.counts > 0).sum(1, keepdims=True)
        factor: Array = np.divide(np.sqrt((persons - 1) / persons), rest, out=np.zeros_like(rest), where=rest > 0)
        return factor

    @cached_property
    def alone(self) -> bool:
        """Returns whether a side has one person only, so that the spread between persons is unknown."""
        return bool((self.share == 1).any())

    def effective(self, records: Float[Array, " s"] | None = None, spread: Spread | None = None) -> Float[Array, " s"]:
        """Number of persons of equal size that each side is worth.

        It is at most the number of persons. It is at least the number if all records of a person move together (Kish
        1965). In between it is the number of independent records whose mean has the observed variance.

        Args:
            records: variance of what single records add to the side's mean, times their number; None if unknown.
            spread: of the means.
        """
        low = self.counts.sum(1) ** 2 / (self.counts**2).sum(1)
        if records is None or spread is None:
            return np.asarray(low)
        found = np.divide(records, spread.sides, out=np.zeros_like(low), where=spread.sides > 0)
        return np.asarray(np.clip(found, low, (self.counts > 0).sum(1)))

    @cached_property
    def overlap(self) -> Float[Array, "s s"]:
        """`tr(M_i M_j) / (tr M_i tr M_j)`, where M is the covariance of a side's jackknifed totals.

        In the working model all records of a person move together, and persons are alike: totals before the mean is
        taken off have standard deviations like the shares h. Then `M = D (I - 1 h') (I - h 1') D` with
        `D = diag(h / (1 - h))`, so `M_ij = d_i d_j ([i = j] + c - h_i - h_j)` with `c = h' h`. Of two sides with no
        person in common the product is 0; on the diagonal it is the inverse of a side's degrees of freedom.
        """
        h, d = self.share, self.share * self.stretch
        c = (h**2).sum(1)
        traces = (d**2 * (1 + c[:, None] - 2 * h)).sum(1)
        found = np.array([[_trace(h[i], h[j], d[i] * d[j], c[i], c[j]) for j in range(len(h))] for i in range(len(h))])
        overlaps: Array = found / np.outer(traces, traces)
        return overlaps

    def freedom(self, variances: Float[Array, " s"]) -> float:
        """Degrees of freedom of a sum of the sides' variances (Satterthwaite, Biometrics Bulletin 1946)."""
        total = float(variances.sum())
        if self.alone or total == 0:
            return 1.0
        return max(1.0, total**2 / float(variances @ self.overlap @ variances))

    def spread(self, totals: Float[Array, "s k"]) -> Spread:
        """The variance of a sum of the sides' means, sides that share persons included.

        Args:
            totals: contribution of each person to the statistic on each side, to first order; sums to 0 on each side.
        """
        if self.alone:
            return Spread(np.inf, 1.0, np.full(len(totals), np.inf))
        jackknifed = totals * self.stretch
        sides: Array = (jackknifed**2).sum(1)
        return Spread(float((jackknifed.sum(0) ** 2).sum()), self.freedom(sides), sides)


def _trace(h: Array, g: Array, weight: Array, c: float, e: float) -> float:
    """`sum_ij w_i w_j ([i = j] + c - h_i - h_j) ([i = j] + e - g_i - g_j)`, multiplied out."""
    own = float((weight**2 * (1 + c + e - 2 * h - 2 * g)).sum())
    total, by_h, by_g, by_both = (float((weight * one).sum()) for one in (np.ones_like(h), h, g, h * g))
    cross = c * e * total**2 - 2 * total * (c * by_g + e * by_h) + 2 * (total * by_both + by_h * by_g)
    return own + cross


def same_size(record: Int[Array, " n"]) -> bool:
    """Returns whether all persons have equally many records.

    >>> same_size(np.array([4, 4, 2, 2])), same_size(np.array([4, 4, 2]))
    (True, False)
    """
    index, k = clusters(record)
    return index is None or k == len(index) or len(np.unique(np.bincount(index))) == 1
