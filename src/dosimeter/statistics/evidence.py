"""Evidence, which an attack returns, and the truth, which no attack receives.

Axes: `t` targets, `n` records or other subjects, `v` values that a secret may have, `k` reconstructions of one subject.
"""

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


@dataclass(frozen=True)
class Guesses:
    """Evidence of an attack on a secret with several values, such as an attribute or an identity.

    Attributes:
        ids: record ids `[n]`.
        values: log-score of each value, for each target and record `[t n v]`, float64; -inf excludes a value.
        candidates: the values among which each record's secret is sought `[n v]`; None if they are the same for all.
    """

    ids: Array
    values: Float[Array, "t n v"]
    candidates: Int[Array, "n v"] | None = None


@dataclass(frozen=True)
class Reconstructions:
    """Evidence of an attack that makes records, such as a picture for each identity that a model knows.

    Attributes:
        ids: what each was made for `[n]`.
        values: for each target and id some records `[t n k ...]`, the one that the adversary trusts most first.
    """

    ids: Array
    values: Float[Array, "t n k ..."]
