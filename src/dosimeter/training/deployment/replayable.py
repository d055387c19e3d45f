"""Which defenses can be tried on messages that were recorded without them, as far as it is seen without the messages.

A defense may be tried only if the training would have been the same behind it. Nearly all change the shared layers, and
then every later message would have been another one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from dosimeter.training.defending import DefenseRow, with_defenses
from dosimeter.training.recipe import (
    AddsStepNoise,
    BoundsRecords,
    ChangesRecipe,
    Defense,
    GuardsMessages,
    HidesParts,
    Hyperparameters,
    MixesRecords,
)

REMEDY = "try it in an audit of a [[stage]] with the same settings, or record a training with it"
"""What to do in the place of trying a defense on what was recorded."""
FINE = Hyperparameters(epochs=1000)
"""A recipe of so many epochs that the share of a defense that ends it early is seen."""


def unplayable(row: DefenseRow) -> str:
    """Why a defense cannot be tried on recorded messages, whatever these are, as the tail of its place.

    Args:
        row: the defense.

    Returns:
        Empty where the messages decide.

    Raises:
        ConfigError: a defense of the user's raised.
    """
    reason = next((text for is_so, text in _REASONS if is_so(row.defense)), "")
    if not reason and isinstance(row.defense, ChangesRecipe) and not ends_early(row):
        reason = "changes the training from its first step, so that all messages would have been others"
    if not reason and not isinstance(row.defense, HidesParts | GuardsMessages | ChangesRecipe):
        return f"{row.name} does not act where parties train together: remove it"
    return f"{row.name} {reason}: {REMEDY}" if reason else ""


def ends_early(row: DefenseRow) -> bool:
    """Returns whether a defense ends a training sooner and leaves it alone until then, learning rates included."""
    found = with_defenses(FINE, [row])
    until_then = replace(found, epochs=FINE.epochs, share=FINE.share) == FINE
    return until_then and found.share == found.epochs / FINE.epochs < 1


def steps_until(row: DefenseRow, planned: int) -> int:
    """Steps after which a defense that ends a training early ends one of so many."""
    return with_defenses(Hyperparameters(epochs=planned), [row]).epochs


def _moves_layers(one: Defense) -> bool:
    """Returns whether a defense changes messages by which the shared layers move, whatever the record."""
    return isinstance(one, GuardsMessages) and not set(one.messages) <= {"representations"}


_REASONS: tuple[tuple[Callable[[Defense], bool], str], ...] = (
    (_moves_layers, "changes what moves the shared layers, so that every later message would have been another one"),
    (
        lambda one: isinstance(one, AddsStepNoise),
        "adds noise to every step, so that the shared layers and every later message would have been others",
    ),
    (lambda one: isinstance(one, BoundsRecords), "clips the gradient of each record, which no message holds"),
    (lambda one: isinstance(one, MixesRecords), "trains on mixtures of records, which no message holds"),
)
"""Kinds of defenses that cannot be tried, each with why."""
