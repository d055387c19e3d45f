"""Evidence, which an attack returns, and the truth, which no attack receives."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool, Float, Int

from dosimeter.foundation.arrays import Array


@dataclass(frozen=True)
class Scores:
    """Evidence of a membership attack: a higher value always means "more likely member".

    Attributes:
        ids: record ids `[n]`.
        values: one score per target and record `[t n]`, float64, no NaN.
    """

    ids: Array
    values: Float[Array, "t n"]


@dataclass(frozen=True)
class Truth:
    """The truth: who was trained on what. No attack ever receives it.

    Attributes:
        ids: record ids `[n]`.
        is_member: `[t n]`.
        record: cluster of each record `[n]`: records of one cluster (a person, near-duplicates) are resampled together.
    """

    ids: Array
    is_member: Bool[Array, "t n"]
    record: Int[Array, " n"]
