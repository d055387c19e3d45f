"""Checks of a training that ran elsewhere: whether batches came in random order, and what of its record is used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Int

from dosimeter.families.exchange.measures.measured import Measured
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.gate import Gate

FALSE_ALARM = 0.01
"""Probability that the check of the order fails although the order is random."""
ODD = 0.05
"""p-value above which counts are not shown to be of the steps; of undefended trainings it is 0.001."""
DRAWS = 9_999
"""Random orders that the seen one is compared with."""
NOT_ASKED = {
    "id": "N1",
    "reason": "null audit: a recorded training has no second one in which nothing chose the batches; where each "
    "attack is at chance is shown by audits of trainings that run here",
}
"""The check that a recorded training leaves out."""


def recorded_of(found: Measured) -> Mapping[str, Any] | None:
    """What was recorded, in numbers; None of a training that ran here."""
    told: Mapping[str, Any] | None = found.left.summary["threat"].get("recorded")
    return told


def order_p(sides: Int[Array, " n"], rng: np.random.Generator) -> float:
    """p-value of an order in which the sides of batches change so rarely, or so often, or drift so far.

    Two statistics of the order, both compared with random ones: the number of runs (Wald and Wolfowitz, "On a Test
    Whether Two Samples are from the Same Population", 1940) and the mean place of one side. The smaller p-value counts
    twice.

    Args:
        sides: of each batch in its order, 0 or 1.
        rng: generator of the orders.

    >>> order_p(np.arange(60) // 30, np.random.default_rng(0)) < 0.001
    True
    >>> order_p(np.random.default_rng(1).integers(2, size=60), np.random.default_rng(0)) > 0.05
    True
    """
    orders = np.concatenate([sides[None], rng.permuted(np.tile(sides, (DRAWS, 1)), axis=1)])
    runs = (np.diff(orders, axis=1) != 0).sum(1).astype(float)
    places = orders @ np.arange(len(sides), dtype=float)
    smallest = 1.0
    for one in (runs, places):
        away = np.abs(one - one[1:].mean())
        smallest = min(smallest, float((away >= away[0] - 1e-9).mean()))
    return min(1.0, 2 * smallest)


def order_gate(found: Measured) -> Gate:
    """E3: whether the sides of batches came in random order, which the tests of what leaks take for granted."""
    p = order_p(found.coins(0)[0], found.rng("order"))
    if p <= FALSE_ALARM:
        return Gate(
            "E3", "Order of batches", "fail", p,
            "Batches of one side do not come in random order, and what changes with time may be taken for the property:"
            " draw batches by a coin, or shuffle the records before each epoch.",
        )  # fmt: skip
    return Gate("E3", "Order of batches", "pass", p, "The sides of batches come in an order that may be random.")


def counted_gate(found: Measured, *, shown: bool) -> tuple[Gate, ...]:
    """E6: whether what the victim wrote down goes with what it sent; none where that is not known.

    Args:
        found: numbers of the run.
        shown: whether a leak is shown, which counts of other steps would only hide.
    """
    if "counted_p" not in found.left.truth:
        return ()
    p, name = float(found.left.truth["counted_p"]), "Counts of each step"
    if p <= ODD:
        return (Gate("E6", name, "pass", p, "What the victim wrote down of its batches goes with what it sent."),)
    return (
        Gate(
            "E6", name, "warn" if shown else "fail", p,
            "What the victim wrote down of its batches is not shown to have anything to do with what it sent, step by "
            "step. Either messages tell nothing of the classes of a batch, as behind much noise, or the counts are of "
            "other steps, and no guess can be right: write the counts of the batch of each step.",
        ),
    )  # fmt: skip


def record_gate(found: Measured) -> Gate:
    """E4: how much of the record is used."""
    told = recorded_of(found)
    assert told is not None
    steps = int(found.left.summary["threat"]["steps"])
    left, share = told["left_out"], steps / told["planned"]
    seen = f"{steps:,} of {told['planned']:,} steps were recorded whole, and {told['judged']:,} of them are judged."
    if left:
        return Gate("E4", "Record", "warn", share, f"{seen} Left out: {'; '.join(left)}.")
    return Gate("E4", "Record", "pass", share, seen)
