"""Checks of an exchange audit: of the null audit, of controls, of the yardstick, and of what the transfer is worth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dosimeter.families.directions import Said, directions, level_of, says_alike
from dosimeter.families.exchange.measures.measured import LEVEL, Measured
from dosimeter.families.exchange.measures.shown import Decision, pooled
from dosimeter.families.exchange.sentences.first_page import GAIN
from dosimeter.foundation.gate import Gate
from dosimeter.results.findings import FALSE_ALARM, Null, controls_gate, exchanges_for, null_decision, null_row
from dosimeter.statistics.intervals.crossed import Interval
from dosimeter.statistics.leakage.attributes import auc_of
from dosimeter.statistics.leakage.exchange import attributes_at_chance
from dosimeter.statistics.paired import accuracy_difference


def null_audit(found: Measured) -> tuple[Null, ...]:
    """Every attack on trainings in which no coin chose a batch, judged by coins all the same."""
    rows, attacks, coins = [], list(found.left.evidence), found.null_coins
    guesses = [found.left.evidence[one]["null_guesses"] for one in attacks]
    chances = attributes_at_chance(
        [pooled(own) for own in guesses], coins.ravel(), np.arange(coins.size), rng=found.rng("null"),
        within=found.within, draws=exchanges_for(len(attacks)),
    )  # fmt: skip
    for attack, own, p in zip(attacks, guesses, chances, strict=True):
        shown = auc_of(own, coins, found.steps, level=1 - FALSE_ALARM / len(attacks))
        rows.append(null_row(attack, p, shown, "property_auc", len(attacks)))
    return tuple(rows)


def null_gate(rows: tuple[Null, ...]) -> Gate:
    """N1: the decision on the null audit."""
    return null_decision(rows, "where no coin chose a batch")


def controls(found: Measured) -> Gate:
    """N2: controls, which see nothing, must be at chance."""
    ids = found.controls()
    wrong, tests = [], len(ids) * len(found.mixtures)
    for mixture, name in enumerate(found.mixtures if ids else ()):
        coins, own = found.coins(mixture).ravel(), [pooled(found.guesses(one, mixture)) for one in ids]
        chances = attributes_at_chance(
            own, coins, np.arange(coins.size), rng=found.rng(f"control {mixture}"), within=found.within,
            draws=exchanges_for(tests),
        )  # fmt: skip
        wrong += [f"{one} ({name})" for one, p in zip(ids, chances, strict=True) if p <= FALSE_ALARM / tests]
    return controls_gate(ids, wrong, "gives the coins away")


def directed(found: Measured, tests: Sequence[Decision]) -> tuple[Gate, ...]:
    """P8 and P16: whether attacks say something, and in the right direction.

    Args:
        found: numbers of the run.
        tests: of each attack on each mixture.
    """
    level = level_of(len(tests))
    said = [
        Said(
            one.attack if len(found.mixtures) == 1 else f"{one.attack} ({one.name})",
            says_alike(found.guesses(one.attack, one.mixture)),
            found.auc(one.attack, one.mixture, level).high,
        )
        for one in tests
    ]
    return directions(said, shown=any(one.shown for one in tests))


def gain_of(found: Measured) -> Interval | None:
    """Accuracy of the joint model minus that without the exchange, paired by record; None without test records."""
    joint, alone = (found.left.truth.get(name) for name in ("joint", "alone"))
    if joint is None or alone is None:
        return None
    record = np.arange(joint.shape[1])
    change = accuracy_difference(joint, alone, np.ones_like(joint), record=record, level=LEVEL)
    return Interval(change.value, change.low, change.high, change.method)


def worth_it(found: Measured) -> Gate:
    """E1: whether the exchange makes the receiver's model better. What is worth nothing needs no judgement of risk."""
    gain, name = gain_of(found), GAIN
    if gain is None:
        return Gate(
            "E1", name, "warn", None,
            "The stage has no test records, so whether the exchange makes a better model is not known."
            if found.left.summary["threat"].get("recorded") is None
            else "What the joint training is worth was not recorded: weigh the leak against the gain yourself.",
        )  # fmt: skip
    points = 100 * gain.value
    if gain.value <= 0:
        return Gate(
            "E1", name, "fail", gain.value,
            f"The joint model is {abs(points):.1f} points less accurate than one without the exchange, or as accurate: "
            "as it is trained here, nothing is gained that the messages could be weighed against. Train it better, or "
            "do not exchange.",
        )  # fmt: skip
    if gain.low <= 0:
        return Gate(
            "E1", name, "warn", gain.value,
            f"The joint model is {points:.1f} points more accurate than one without the exchange, which luck may "
            "explain.",
        )  # fmt: skip
    return Gate(
        "E1", name, "pass", gain.value, f"The joint model is {points:.1f} points more accurate than one without the "
        "exchange.",
    )  # fmt: skip


def tied(found: Measured) -> Gate:
    """E2: whether the classes of a batch tell the property already."""
    floor = max((found.auc(one, at) for one in found.floors() for at in range(len(found.mixtures))), default=None,
                key=lambda one: one.value)  # fmt: skip
    if floor is None:
        return Gate("E2", "Labels", "warn", None, "What the classes of a batch tell was not measured.")
    if floor.low > 0.5:
        return Gate(
            "E2", "Labels", "warn", floor.value,
            f"The classes of a batch tell its side with AUC {floor.value:.3f} by themselves: the property goes with "
            "the task, and attacks are judged by what they tell beyond that.",
        )  # fmt: skip
    return Gate("E2", "Labels", "pass", floor.value, "The classes of a batch are not shown to tell its side.")
