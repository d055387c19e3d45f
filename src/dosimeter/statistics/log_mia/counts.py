"""Log-MIA: the logarithm of the members recognised within a budget of false accusations, as a share of its maximum.

The definition is that of the public code of Jiménez-López, Rodríguez-Barroso, Luzón, Del Ser and Herrera, "Membership
Inference Attacks Fueled by Few-Shot Learning to Detect Privacy Leakage and Address Data Integrity", Machine Learning
and Knowledge Extraction 2025, https://doi.org/10.3390/make7020043, where it is "our metric" with a case A and a case B:

    L = ln(1 + TP) / ln(1 + n)

TP is the largest number of n members that a threshold calls while it calls at most f non-members: none in regime A, and
about the logarithm of the number of records in regime B. The threshold is read off the judged labels, so it is an
oracle's. A score is called if it is strictly above the threshold: ties count against the attack. L depends on n, so two
values may be compared only at the same n and m. Axes: `t` targets, `n` records.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, expm1, inf, log, log1p

import numpy as np
from jaxtyping import Bool, Float, Int

from dosimeter.foundation.arrays import Array
from dosimeter.foundation.checks import in_range


@dataclass(frozen=True)
class Calls:
    """Decisions "member", pooled over targets.

    Attributes:
        tp: members that are called.
        fp: non-members that are called.
        n: decisions on members.
        m: decisions on non-members.
    """

    tp: int
    fp: int
    n: int
    m: int

    @property
    def value(self) -> float:
        """Log-MIA."""
        return log_mia(self.tp, self.n)


def log_mia(tp: float | int, n: int) -> float:
    """`ln(1 + tp) / ln(1 + n)`, between 0 (nobody is recognised) and 1 (all are).

    Args:
        tp: members recognised; need not be whole, so that the ends of an interval can be carried through.
        n: members.

    Raises:
        ValueError: no member, or a number out of range.

    >>> [round(log_mia(tp, 15), 3) for tp in (0, 1, 3, 15)]
    [0.0, 0.25, 0.5, 1.0]
    """
    in_range("n", n, 1, inf)
    in_range("tp", tp, 0, n)
    return log1p(tp) / log1p(n)


def tpr_of(value: float, n: int) -> float:
    """The true positive rate that a Log-MIA stands for among so many members.

    >>> round(tpr_of(0.5, 15), 3), round(tpr_of(0.5, 25_000), 4)
    (0.2, 0.0063)
    """
    in_range("n", n, 1, inf)
    in_range("value", value, 0, 1)
    return expm1(value * log1p(n)) / n


def budget(n: int, m: int, *, as_released: bool = False) -> int:
    """False accusations that regime B allows.

    The released code takes `ln(n + m)`, rounded up. With many more members than non-members that would allow most of
    the non-members, so here it is `ln(2 m)`, rounded up: the same number where n = m.

    Args:
        n: members.
        m: non-members.
        as_released: take the released code's.

    Raises:
        ValueError: a class is empty.

    >>> budget(15, 15), budget(1000, 1000), budget(10**6, 20), budget(10**6, 20, as_released=True)
    (4, 8, 4, 14)
    """
    in_range("n", n, 1, inf)
    in_range("m", m, 1, inf)
    return ceil(log(n + m if as_released else 2 * m))


def oracle_thresholds(
    values: Float[Array, "t n"], is_member: Bool[Array, "t n"], allowed: Int[Array, " t"]
) -> Float[Array, " t"]:
    """For each target the score of its non-member of rank `allowed + 1` from above: at most `allowed` are above it.

    Args:
        values: scores, infinite ones allowed, NaN not.
        is_member: the truth.
        allowed: false accusations allowed for each target.

    Raises:
        ValueError: NaN, or a target has no more non-members than are allowed to be called.
    """
    if np.isnan(values).any():
        raise ValueError(f"scores must have no NaN, got {int(np.isnan(values).sum())}; let missing evidence be -inf")
    found = []
    for row, bits, most in zip(values, is_member, allowed.tolist(), strict=True):
        others = row[~bits]
        if most >= len(others):
            raise ValueError(f"non-members must be more than the {most} that may be called, got {len(others)}")
        place = len(others) - 1 - most
        found.append(float(np.partition(others, place)[place]))
    return np.array(found)


def calls_of(hits: Bool[Array, "t n"], is_member: Bool[Array, "t n"]) -> Calls:
    """Counts of decisions, pooled over targets: rates of several targets are never averaged as logarithms."""
    n = int(is_member.sum())
    return Calls(int((hits & is_member).sum()), int((hits & ~is_member).sum()), n, is_member.size - n)
