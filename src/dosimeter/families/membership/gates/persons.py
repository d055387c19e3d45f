"""I9: whether a few persons hold most records of a class, so that its numbers rest on them."""

from __future__ import annotations

import numpy as np

from dosimeter.foundation.arrays import Array
from dosimeter.foundation.gate import Gate
from dosimeter.statistics.evidence import Truth
from dosimeter.statistics.intervals.cells import clusters
from dosimeter.statistics.intervals.clustered import Persons

NAME = "Persons behind the records"
FEW = 10
"""Degrees of freedom below which a class rests on few persons: the t-interval is then 15 % wider than the normal."""


def few_persons(truth: Truth, *, named: bool = True) -> Gate | None:
    """I9 of a stated membership; None if each record is its own person.

    Args:
        truth: about the records, with persons as their clusters.
        named: whether they are persons; else they are different records with their copies.
    """
    index, k = clusters(truth.record)
    if index is None or k == len(index):
        return None
    noun, more = ("persons", "records of the same persons") if named else ("different records", "copies of the same")
    whom = "whom" if named else "which"
    sides = [np.bincount(index, bits.sum(0), k) for bits in (truth.is_member, ~truth.is_member)]
    found = [Persons(side[None]) for side in sides]
    free = [one.freedom(np.ones(1)) for one in found]
    told = [
        f"the {word} are {int((side > 0).sum()):,} {noun}{_heavy(side, whom)} ({degrees:.3g} degrees of freedom)"
        for word, side, degrees in zip(("members", "non-members"), sides, free, strict=True)
    ]
    if min(free) >= FEW:
        return Gate("I9", NAME, "pass", min(free), f"No class rests on few {noun}: {' and '.join(told)}.")
    worst = int(np.argmin(free))
    return Gate(
        "I9", NAME, "warn", free[worst],
        f"{told[worst].capitalize()}: intervals and tests are as wide as so few {noun} make them. More {noun} would "
        f"narrow them; more {more} would not.",
    )  # fmt: skip


def few(truth: Truth) -> bool:
    """Returns whether a class rests on few persons, so that I9 warns."""
    gate = few_persons(truth)
    return gate is not None and gate.status == "warn"


def _heavy(side: Array, whom: str) -> str:
    """Text: how many persons have more records than the mean, and the share of all records that they hold."""
    sizes = side[side > 0]
    large = sizes > sizes.mean()
    if not large.any():
        return ""
    return f", of {whom} {int(large.sum()):,} hold {sizes[large].sum() / sizes.sum():.0%} of the records"
