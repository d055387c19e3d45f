"""What a stage's defenses change of its recipe, and which of them act on answers."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from dosimeter.foundation.checks import in_range
from dosimeter.foundation.errors import ConfigError
from dosimeter.foundation.wording import describe, one_line
from dosimeter.training.recipe import (
    BoundsRecords,
    ChangesAnswers,
    ChangesLoss,
    ChangesRecipe,
    Defense,
    HidesFeatures,
    Hyperparameters,
    SubModels,
    settings_of,
)

METHODS = ("recipe", "hide", "loss", "bound", "divide", "release")
"""What a defense can do; each has one of them at least."""
ACTING = ChangesLoss | HidesFeatures | BoundsRecords | SubModels
"""Defenses that act while training."""


@dataclass(frozen=True)
class DefenseRow:
    """One defense of a stage, or one `[[defense]]` row.

    Attributes:
        id: of the variant, and of its folder: the defense's name and what is set unless given.
        name: key of the registry, or `package.module:Class`.
        defense: the defense with its settings.
    """

    id: str
    name: str
    defense: Defense

    @property
    def settings(self) -> dict[str, Any]:
        """The settings."""
        return settings_of(self.defense)

    @property
    def paper(self) -> str:
        """Where the defense is from."""
        return self.defense.paper

    @property
    def place(self) -> str:
        """Where it acts."""
        return self.defense.place


def trained_with(hp: Hyperparameters, rows: Sequence[DefenseRow]) -> Hyperparameters:
    """The hyperparameters of a stage with its defenses: changed by some, carrying those that act while training.

    Raises:
        ConfigError: a defense raised, or gave no recipe that can be trained.
    """
    for row in rows:
        if isinstance(row.defense, ChangesRecipe):
            hp = _changed(row, row.defense, hp)
    acting = [row.defense for row in rows if isinstance(row.defense, ACTING)]
    return replace(hp, defenses=(*hp.defenses, *acting))


def _changed(row: DefenseRow, defense: ChangesRecipe, hp: Hyperparameters) -> Hyperparameters:
    """What a defense makes of a recipe, checked."""
    place = f"defense {row.id!r}: `recipe`"
    try:
        found = defense.recipe(hp)
    except (Exception, SystemExit) as error:
        raise ConfigError(f"{place} raised {describe(error)}: correct it") from error
    if not isinstance(found, Hyperparameters):
        raise ConfigError(f"{place} must give Hyperparameters, got {type(found).__name__}: return replace(hp, ...)")
    try:
        for name in ("epochs", "batch_size"):
            in_range(name, operator.index(getattr(found, name)), 1, 10_000_000)
        in_range("lr", found.lr, 0, 1e6, open_low=True)
        in_range("weight_decay", found.weight_decay, 0, 1e6)
        in_range("share", found.share, 0, 1, open_low=True)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{place} gave a recipe that cannot be trained, {one_line(error)}: correct it") from error
    return found


def answering(rows: Sequence[DefenseRow]) -> tuple[ChangesAnswers, ...]:
    """Those that change what the model answers."""
    return tuple(row.defense for row in rows if isinstance(row.defense, ChangesAnswers))
