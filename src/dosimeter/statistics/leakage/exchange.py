"""Exact tests of what evidence tells: attributes exchanged between persons, and two attacks exchanged with each other.

If guesses do not depend on an attribute, the attributes of persons with equally many records may change places (Good,
"Permutation, Parametric, and Bootstrap Tests of Hypotheses", 2005). If one attack tells no more than another, the ranks
that both give to a person's records may change places (Venkatraman and Begg, Biometrika 1996).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from scipy.special import bdtrc

from dosimeter.foundation.arrays import Array
from dosimeter.statistics.intervals.cells import centred_ranks
from dosimeter.statistics.leakage.attributes import judged_values

DRAWS = 9_999
"""Random exchanges; the smallest p-value is one over one more."""
_CELLS = 4_000_000
"""Numbers of one block of exchanges."""
_SLACK = 1e-9
"""Difference of sums, as a share of their size, that rounding explains."""


def exchange_attributes(
    guesses: Float[Array, "t n v"],
    truth: Int[Array, " n"],
    record: Int[Array, " n"],
    *,
    rng: np.random.Generator,
    draws: int = DRAWS,
    within: Int[Array, " n"] | None = None,
) -> float:
    """p-value of so high an AUC if guesses tell nothing of the attribute, one-sided.

    Persons of equally many records exchange their attributes, record by record in order.

    Args:
        guesses: log-scores of each value.
        truth: the true value of each record, a position among the guesses.
        record: cluster of each record, such as its person.
        rng: generator of the exchanges.
        draws: number of exchanges.
        within: part of each record, of which a fixed number has each value, such as the training: attributes then
            change places within parts alone. All records of a person are of one part.

    Raises:
        ValueError: NaN, or a value that no record has.
    """
    gains = _gains(guesses, truth)
    order, columns = np.arange(len(truth)), np.arange(len(truth))
    own = float(gains[columns, truth].sum())
    parts = np.zeros(len(truth), np.int64) if within is None else within
    blocks = [block for part in np.unique(parts) for block in _blocks(record, np.flatnonzero(parts == part))]
    above = 0
    for start in range(0, draws, step := max(1, _CELLS // len(truth))):
        count = min(step, draws - start)
        moved = np.tile(order, (count, 1))
        for block in blocks:  # rows of one block are persons of equally many records
            drawn = rng.permuted(np.tile(np.arange(len(block)), (count, 1)), axis=1)
            moved[:, block.ravel()] = block[drawn].reshape(count, -1)
        sums = gains[columns, truth[moved]].sum(1)
        above += int((sums >= own - _SLACK * max(1.0, abs(own))).sum())
    return (1 + above) / (draws + 1)


def attributes_at_chance(
    guesses: Float[Array, "t n v"],
    truth: Int[Array, " n"],
    record: Int[Array, " n"],
    *,
    rng: np.random.Generator,
    draws: int = DRAWS,
    within: Int[Array, " n"] | None = None,
) -> float:
    """p-value of an AUC so far from one half, on either side, if guesses tell nothing of the attribute.

    Args:
        guesses: as in `exchange_attributes`.
        truth: as there.
        record: as there.
        rng: generator of the exchanges.
        draws: number of exchanges for each side.
        within: as there.

    Raises:
        ValueError: as there.
    """
    sides = (
        exchange_attributes(sign * guesses, truth, record, rng=rng, draws=draws, within=within) for sign in (1.0, -1.0)
    )
    return min(1.0, 2 * min(sides))


def exchange_attacks(
    first: Float[Array, "t n v"],
    second: Float[Array, "t n v"],
    truth: Int[Array, " n"],
    record: Int[Array, " n"],
    *,
    rng: np.random.Generator,
    draws: int = DRAWS,
) -> float:
    """p-value of so much higher an AUC of the first guesses, if both tell as much, one-sided.

    Args:
        first: log-scores of each value by one attack.
        second: by the other.
        truth: as in `exchange_attributes`.
        record: as in `exchange_attributes`.
        rng: generator of the exchanges.
        draws: number of exchanges.
    """
    columns = np.arange(len(truth))
    apart = (_gains(first, truth) - _gains(second, truth))[columns, truth]
    person = np.unique(record, return_inverse=True)[1]
    sums = np.bincount(person, apart)
    own, above = float(sums.sum()), 0
    for start in range(0, draws, step := max(1, _CELLS // len(sums))):
        signs = rng.integers(2, size=(min(step, draws - start), len(sums))) * 2.0 - 1
        above += int((signs @ sums >= own - _SLACK * max(1.0, abs(own))).sum())
    return (1 + above) / (draws + 1)


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


def _blocks(record: Array, some: Int[Array, " m"]) -> list[Int[Array, "p k"]]:
    """For each number of records that persons have among some rows, their rows, one person a row."""
    order = some[np.argsort(record[some], kind="stable")]
    people = np.split(order, np.flatnonzero(np.diff(record[order])) + 1)
    sizes = sorted({len(one) for one in people})
    return [np.stack([one for one in people if len(one) == size]) for size in sizes]
