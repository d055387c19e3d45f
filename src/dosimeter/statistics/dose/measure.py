"""The dose of an attack's evidence: of scores about two-valued secrets, and of guesses among several values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from dosimeter.foundation.arrays import Array
from dosimeter.foundation.checks import in_range, same_length
from dosimeter.statistics.dose.bits import fit_bits
from dosimeter.statistics.dose.dose import Dose, checked_prior, entropy
from dosimeter.statistics.dose.guesses import check_guesses, fit_guesses
from dosimeter.statistics.dose.halves import halvings, usual_count
from dosimeter.statistics.dose.terms import interval_of, terms_of
from dosimeter.statistics.rates import check_no_nan

Reader = Callable[[Array], Array]
"""From evidence `[a]` or `[a v]` to the probability of each value `[a v]`."""
REHEARSED, HALVED = "read by rehearsals", "read by halves of the records"


@dataclass(frozen=True)
class Known:
    """Evidence about known secrets, from rehearsals or auxiliary records, on which readers are fitted.

    Attributes:
        evidence: per block the scores `[...]`, or the guesses `[... v]`.
        secrets: per block the bits, or the values, of the leading axes of the evidence.
        block: which block reads each target `[t]`; None if there is one for all.
    """

    evidence: Sequence[Float[Array, " ..."]]
    secrets: Sequence[Bool[Array, " ..."] | Int[Array, " ..."]]
    block: Int[Array, " t"] | None = None

    def __post_init__(self) -> None:
        if not self.evidence or len(self.evidence) != len(self.secrets):
            raise ValueError(
                "known evidence must have one block or more, each with its secrets, "
                f"got {len(self.evidence)} and {len(self.secrets)}"
            )

    def blocks(self, targets: int) -> list[int]:
        """The block of each target.

        Raises:
            ValueError: not one block for each target.
        """
        found = [0] * targets if self.block is None else [int(one) for one in self.block]
        if len(found) != targets or min(found) < 0 or max(found) >= len(self.evidence):
            raise ValueError(
                f"block must name one of {len(self.evidence)} blocks for each of {targets} targets, got {found}"
            )
        return found


def dose_of_bits(
    scores: Float[Array, "t n"],
    bits: Bool[Array, "t n"],
    record: Int[Array, " n"],
    *,
    rng: np.random.Generator,
    known: Known | None = None,
    prior: float = 0.5,
    level: float = 0.95,
) -> Dose:
    """Dose of scores about a two-valued secret, such as membership, in bits per record.

    Args:
        scores: evidence, infinite scores allowed; a reader sees ranks only.
        bits: the secrets.
        record: cluster of each record: a person's records are not independent.
        rng: generator for halves, and for the bootstrap from 8 targets on.
        known: scores with known bits; without any, halves of the clusters read each other.
        prior: probability of "yes" for the adversary; members count with this weight however many there are.
        level: two-sided confidence level.

    Returns:
        The dose; without a number if no halves of the clusters have both classes.

    Raises:
        ValueError: shapes do not fit, NaN, one class is empty, or a number is out of range.

    >>> scores = np.r_[np.arange(40.0), np.arange(25.0, 65.0)][None]
    >>> found = dose_of_bits(scores, np.arange(80)[None] >= 40, np.arange(80), rng=np.random.default_rng(0))
    >>> found.low > 0.1, found.high < found.ceiling == 1.0
    (True, True)
    """
    _check_bits(scores, bits, record, prior, level)
    check_no_nan(scores)

    def fit(evidence: Array, secrets: Array) -> Reader:
        reader = fit_bits(evidence, secrets, prior)
        return lambda asked: _both(reader.probability(asked))

    return _dose_of_bits(_Question(scores, bits, record), known, fit, (prior, level, rng))


def _check_bits(scores: Array, bits: Array, record: Array, prior: float, level: float) -> None:
    """Refuses a prior that is none, evidence that does not fit, and secrets of one class."""
    in_range("prior", prior, 0, 1, open_low=True, open_high=True)
    _check(scores, bits.shape, record, level)
    yes = int(bits.sum())
    if yes in (0, bits.size):
        raise ValueError(f"bits must have both classes, got {yes} of {bits.size} that are true")


def _dose_of_bits(
    asked: _Question,
    known: Known | None,
    fit: Callable[[Array, Array], Reader],
    how: tuple[float, float, np.random.Generator],
) -> Dose:
    """The dose about bits; `how` holds prior, level and generator."""
    (prior, level, rng), bits = how, asked.secrets

    def usable(secrets: Array) -> bool:
        return bool(secrets.any() and not secrets.all())

    found = _read(asked, known, fit, usable, rng)
    sides, law = [(prior, bits), (1 - prior, ~bits)], np.array([1 - prior, prior])
    return _dose(found, bits.astype(np.int64), (sides, law, known is None), asked.record, level, rng)


def dose_of_choice(
    scores: Float[Array, "a t n"],
    bits: Bool[Array, "t n"],
    record: Int[Array, " n"],
    *,
    rng: np.random.Generator,
    prior: float = 0.5,
    level: float = 0.95,
) -> Dose:
    """Dose of several attacks, of which halves of the clusters choose one for each other: the one they read best.

    So no choice rests on a record that is judged by it. Arguments and errors are those of `dose_of_bits`, but that
    `scores` has one more axis, of attacks.
    """
    _check_bits(scores[0], bits, record, prior, level)
    check_no_nan(scores)

    def fit(evidence: Array, secrets: Array) -> Reader:
        readers = [fit_bits(evidence[..., number], secrets, prior) for number in range(len(scores))]
        best = min(range(len(scores)), key=lambda number: readers[number].loss)
        return lambda asked: _both(readers[best].probability(asked[..., best]))

    return _dose_of_bits(_Question(np.moveaxis(scores, 0, -1), bits, record), None, fit, (prior, level, rng))


def dose_of_guesses(
    guesses: Float[Array, "t n v"],
    values: Int[Array, "t n"],
    record: Int[Array, " n"],
    *,
    rng: np.random.Generator,
    known: Known | None = None,
    prior: Float[Array, " v"] | None = None,
    level: float = 0.95,
) -> Dose:
    """Dose of an attack's log-scores over several values of a secret, such as identities, in bits per record.

    Args:
        guesses: log-scores of all values; -inf excludes one.
        values: the true value of each, a position among the guesses.
        record: cluster of each record; for identities the identity.
        rng: generator for halves, and for the bootstrap from 8 targets on.
        known: guesses of known values; without any, halves of the clusters read each other.
        prior: probability of each value, by which records are weighted; None if values are candidates of equal
            probability without a meaning of their own, and each record counts the same.
        level: two-sided confidence level.

    Returns:
        The dose; without a number if there are fewer than two clusters and nothing is known.

    Raises:
        ValueError: shapes do not fit, NaN or +inf, a value that is not among the guesses, or a prior that is no law.
    """
    _check(guesses[..., 0], values.shape, record, level)
    law = np.full(guesses.shape[-1], 1 / guesses.shape[-1]) if prior is None else checked_prior(prior)
    same_length(prior=law, guesses=np.moveaxis(guesses, -1, 0))
    check_guesses(guesses)
    _check_values(values, len(law))

    def fit(evidence: Array, secrets: Array) -> Reader:
        _check_values(secrets, len(law))
        reader = fit_guesses(evidence, secrets, law, _share(secrets, None if prior is None else law))
        return reader.probability

    found = _read(_Question(guesses, values, record), known, fit, lambda secrets: bool(secrets.size), rng)
    counts = _share(values, None if prior is None else law) * values.size
    return _dose(found, values, ([(1.0, counts)], law, known is None), record, level, rng)


@dataclass(frozen=True)
class _Question:
    """Evidence about secrets under targets, with the clusters of records."""

    evidence: Array
    secrets: Array
    record: Array


def _read(
    asked: _Question,
    known: Known | None,
    fit: Callable[[Array, Array], Reader],
    usable: Callable[[Array], bool],
    rng: np.random.Generator,
) -> Array | None:
    """Probabilities of all values `[t n v]`, by readers that never saw the record; None if no halves are usable."""
    if known is not None:
        readers = [fit(*one) for one in zip(known.evidence, known.secrets, strict=True)]
        blocks = known.blocks(len(asked.secrets))
        return np.stack([readers[block](own) for block, own in zip(blocks, asked.evidence, strict=True)])
    inside = (asked.secrets > 0).mean(0) if asked.secrets.dtype == bool else np.zeros(len(asked.record))
    total, used = np.zeros(1), 0
    for half in halvings(asked.record, inside, rng, usual_count(asked.secrets.size)):
        if not (usable(asked.secrets[:, half]) and usable(asked.secrets[:, ~half])):
            continue
        parts = [(own, fit(asked.evidence[:, ~own], asked.secrets[:, ~own])) for own in (half, ~half)]
        read = [(own, reader(asked.evidence[:, own])) for own, reader in parts]
        both = np.empty((*asked.secrets.shape, read[0][1].shape[-1]))
        for own, probability in read:
            both[:, own] = probability
        total, used = total + both, used + 1
    return total / used if used else None


def _dose(
    probability: Array | None,
    values: Array,
    judged: tuple[Sequence[tuple[float, Array]], Array, bool],
    record: Array,
    level: float,
    rng: np.random.Generator,
) -> Dose:
    """The dose of a reader's probabilities; `judged` holds the sides, the prior, and whether halves were read."""
    sides, law, halved = judged
    ceiling, how = entropy(law), HALVED if halved else REHEARSED
    if probability is None:
        n = len(np.unique(record))
        reason = f"{n} clusters of records are too few for halves that know every value"
        return Dose(None, None, None, ceiling, level, how, n, len(values), None, reason=reason)
    interval, n = interval_of(
        terms_of(probability, values, sides, ceiling), record, ceiling=ceiling, level=level, rng=rng
    )
    value, low, high, method = interval
    return Dose(value, low, high, ceiling, level, f"{method}, {how}", n, len(values), ceiling - value)


def _both(yes: Array) -> Array:
    """Probabilities of "no" and of "yes"."""
    return np.stack([1 - yes, yes], axis=-1)


def _share(values: Array, prior: Array | None) -> Array:
    """Weight of each record, which sums to 1: equal, or so that each value that occurs has its prior."""
    if prior is None:
        return np.full(values.shape, 1 / values.size)
    counts = np.bincount(values.ravel(), minlength=len(prior))
    weight = (prior / np.maximum(counts, 1))[values]
    return np.asarray(weight / weight.sum())


def _check(evidence: Array, shape: tuple[int, ...], record: Array, level: float) -> None:
    """Refuses what does not fit together."""
    in_range("level", level, 0, 1, open_low=True, open_high=True)
    if evidence.shape != shape or evidence.ndim != 2 or not evidence.size:
        raise ValueError(
            f"evidence and secrets must share axes [t n] and not be empty, got {evidence.shape} and {shape}"
        )
    same_length(records=evidence[0], record=record)


def _check_values(values: Array, count: int) -> None:
    """Refuses a value that is not among the guesses."""
    if not values.size or values.min() < 0 or values.max() >= count:
        told = f"{values.min()} to {values.max()}" if values.size else "none"
        raise ValueError(f"values must be in 0 to {count - 1}, the positions of the guesses, got {told}")
