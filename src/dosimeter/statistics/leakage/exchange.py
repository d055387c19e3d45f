"""Exact tests of what evidence tells: attributes exchanged between persons, and two attacks exchanged with each other.

If guesses do not depend on an attribute, the attributes of persons with equally many records may change places (Good,
"Permutation, Parametric, and Bootstrap Tests of Hypotheses", 2005). If one attack tells no more than another, the ranks
that both give to a person's records may change places (Venkatraman and Begg, Biometrika 1996). A p-value that is not
small is known from few exchanges, so each test ends once enough of them were as extreme (Besag and Clifford,
"Sequential Monte Carlo p-values", Biometrika 1991).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import bdtrc

from dosimeter.foundation.arrays import Array
from dosimeter.statistics.intervals.cells import centred_ranks
from dosimeter.statistics.leakage.attributes import judged_values

DRAWS = 9_999
"""Random exchanges, at most; the smallest p-value is one over one more."""
ENOUGH = 200
"""Exchanges that are as extreme, after which a test ends: the p-value is then known to 7 %."""
_CELLS = 1_000_000
"""Numbers of one block of exchanges."""
_SLACK = 1e-9
"""Difference of sums, as a share of their size, that rounding explains."""


def exchange_attributes(
    guesses: Sequence[Float[Array, "t n v"]],
    truth: Int[Array, " n"],
    record: Int[Array, " n"],
    *,
    rng: np.random.Generator,
    draws: int = DRAWS,
    enough: int = ENOUGH,
    within: Int[Array, " n"] | None = None,
) -> tuple[float, ...]:
    """p-value of so high an AUC if guesses tell nothing of the attribute, one-sided, of each attack.

    Persons of equally many records exchange their attributes, record by record in order. All attacks are tested by the
    same exchanges, which are most of the work.

    Args:
        guesses: of each attack, log-scores of each value.
        truth: the true value of each record, a position among the guesses.
        record: cluster of each record, such as its person.
        rng: generator of the exchanges.
        draws: number of exchanges, at most.
        enough: exchanges with so high an AUC, after which a test ends.
        within: part of each record, of which a fixed number has each value, such as the training: attributes then
            change places within parts alone. All records of a person are of one part.

    Raises:
        ValueError: NaN, or a value that no record has.
    """
    if not guesses:
        return ()
    gains, own = _all_gains(guesses, truth)
    sums = _exchanged(gains, truth, _blocks(record, within), rng, draws)
    return _sequential((some >= own - _slack(own) for some in sums), draws, enough)


def attributes_at_chance(
    guesses: Sequence[Float[Array, "t n v"]],
    truth: Int[Array, " n"],
    record: Int[Array, " n"],
    *,
    rng: np.random.Generator,
    draws: int = DRAWS,
    enough: int = ENOUGH,
    within: Int[Array, " n"] | None = None,
) -> tuple[float, ...]:
    """p-value of an AUC so far from one half, on either side, if guesses tell nothing of the attribute, of each attack.

    Args:
        guesses: as in `exchange_attributes`.
        truth: as there.
        record: as there.
        rng: generator of the exchanges.
        draws: as there.
        enough: as there, on each side.
        within: as there.

    Raises:
        ValueError: as there.
    """
    if not guesses:
        return ()
    gains, own = _all_gains(guesses, truth)
    sums, slack = _exchanged(gains, truth, _blocks(record, within), rng, draws), _slack(own)
    sides = (np.concatenate([some >= own - slack, some <= own + slack], 1) for some in sums)
    ps = np.array(_sequential(sides, draws, enough)).reshape(2, -1)
    return tuple(np.minimum(1.0, 2 * ps.min(0)).tolist())


def exchange_attacks(
    pairs: Sequence[tuple[Float[Array, "t n v"], Float[Array, "t n v"]]],
    truth: Int[Array, " n"],
    record: Int[Array, " n"],
    *,
    rng: np.random.Generator,
    draws: int = DRAWS,
    enough: int = ENOUGH,
) -> tuple[float, ...]:
    """p-value of so much higher an AUC of the first guesses, if both tell as much, one-sided, of each pair.

    Args:
        pairs: log-scores of each value by one attack, and by the other.
        truth: as in `exchange_attributes`.
        record: as in `exchange_attributes`.
        rng: generator of the exchanges.
        draws: number of exchanges, at most.
        enough: exchanges with so large a difference, after which a test ends.
    """
    if not pairs:
        return ()
    columns, person = np.arange(len(truth)), np.unique(record, return_inverse=True)[1]
    apart = [(_gains(one, truth) - _gains(other, truth))[columns, truth] for one, other in pairs]
    sums = np.stack([np.bincount(person, one) for one in apart], 1)
    people, own = len(sums), sums.sum(0)
    bits = (
        np.unpackbits(rng.integers(256, size=(count, -(-people // 8)), dtype=np.uint8), axis=1, count=people)
        for count in _counts(draws, people)
    )
    return _sequential((2 * (some @ sums) - own >= own - _slack(own) for some in bits), draws, enough)


def sign_test(first: Float[Array, "t n"], second: Float[Array, "t n"]) -> float:
    """p-value of the first numbers being so often the larger ones, if neither side is; ties are left out.

    Args:
        first: of each target and unit; the mean over targets counts.
        second: in the same way.

    >>> sign_test(np.array([[1.0, 1.0, 1.0]]), np.zeros((1, 3)))
    0.125
    """
    apart = first.mean(0) - second.mean(0)
    won, lost = int((apart > _SLACK).sum()), int((apart < -_SLACK).sum())
    return float(bdtrc(won - 1, won + lost, 0.5)) if won else 1.0


def _gains(guesses: Array, truth: Array) -> Float[Array, "n v"]:
    """What each record would add to the sum of AUCs if it had each value, but for constants; mean over targets.

    The AUC of a value is its records' mean rank, so with the counts of values fixed sums of ranks order it.
    """
    values, counts = guesses.shape[-1], np.bincount(truth, minlength=guesses.shape[-1])
    if np.isnan(guesses).any() or len(counts) != values or not counts.all():
        raise ValueError(
            f"guesses must be numbers and each of {values} values must occur, got counts {counts.tolist()}"
        )
    found = np.zeros(guesses.shape[1:])
    for value in judged_values(values):
        ranks = centred_ranks(guesses[..., value]).mean(0)
        found[:, value] = ranks / (counts[value] * (len(truth) - counts[value]))
    return found


def _all_gains(guesses: Sequence[Array], truth: Array) -> tuple[Float[Array, "n v a"], Float[Array, " a"]]:
    """The gains of all attacks, and the sum of each as the attribute is."""
    gains = np.stack([_gains(one, truth) for one in guesses], -1)
    return gains, gains[np.arange(len(truth)), truth].sum(0)


def _exchanged(
    gains: Float[Array, "n v a"], truth: Array, blocks: list[Array], rng: np.random.Generator, draws: int
) -> Iterator[Float[Array, "c a"]]:
    """Sums of gains with the attribute exchanged, some exchanges at a time."""
    labels = truth.astype(np.min_scalar_type(gains.shape[1]))
    for count in _counts(draws, len(truth)):
        moved = np.empty((count, len(truth)), labels.dtype)
        for block in blocks:  # rows of one block are persons of equally many records
            if block.shape[1] == 1:
                drawn = rng.permuted(np.tile(labels[block[:, 0]], (count, 1)), axis=1)
            else:
                people = rng.permuted(np.tile(np.arange(len(block)), (count, 1)), axis=1)
                drawn = labels[block][people].reshape(count, -1)
            moved[:, block.ravel()] = drawn
        yield np.sum([(moved == value) @ gains[:, value] for value in judged_values(gains.shape[1])], axis=0)


def _sequential(extreme: Iterator[Bool[Array, "c a"]], draws: int, enough: int) -> tuple[float, ...]:
    """p-values from exchanges, some at a time, until enough of them were as extreme in every test.

    Args:
        extreme: of each exchange and test, whether the exchange is as extreme as what was seen.
        draws: number of exchanges, if none ends early.
        enough: exchanges that are as extreme, after which a test ends.
    """
    counts, ends, done = np.zeros(1, np.int64), np.zeros(1, np.int64), 0
    for some in extreme:
        running = counts + some.cumsum(0)
        first = done + 1 + (running >= enough).argmax(0)
        counts, done = running[-1], done + len(some)
        ends = np.where((ends == 0) & (counts >= enough), first, ends)
        if ends.all():
            break
    ps = np.where(ends > 0, enough / np.maximum(1, ends), (1 + counts) / (draws + 1))
    return tuple(np.atleast_1d(ps).tolist())


def _counts(draws: int, width: int) -> Iterator[int]:
    """Numbers of exchanges of so many records that are drawn at once."""
    step = max(1, _CELLS // width)
    return (min(step, draws - start) for start in range(0, draws, step))


def _slack(own: Float[Array, " a"]) -> Float[Array, " a"]:
    """Difference from each sum that rounding explains."""
    return _SLACK * np.maximum(1.0, np.abs(own))


def _blocks(record: Array, within: Array | None) -> list[Int[Array, "p k"]]:
    """For each part and number of records that persons have in it, their rows, one person a row."""
    parts, found = np.zeros(len(record), np.int64) if within is None else within, list[Array]()
    for part in np.unique(parts):
        some = np.flatnonzero(parts == part)
        order = some[np.argsort(record[some], kind="stable")]
        people = np.split(order, np.flatnonzero(np.diff(record[order])) + 1)
        sizes = sorted({len(one) for one in people})
        found += [np.stack([one for one in people if len(one) == size]) for size in sizes]
    return found
