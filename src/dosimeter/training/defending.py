"""Applies a stage's defenses to its recipe, and selects the defenses that act on answers."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from dosimeter.foundation.checks import in_range
from dosimeter.foundation.errors import ConfigError
from dosimeter.foundation.wording import describe, one_line
from dosimeter.training.recipe import (
    AddsStepNoise,
    BoundsRecords,
    ChangesAnswers,
    ChangesLoss,
    ChangesRecipe,
    ChargesCut,
    ChargesHidden,
    ChoosesMethods,
    Defense,
    FightsAdversaries,
    FitsCut,
    GuardsMessages,
    HidesFeatures,
    HidesParts,
    Hyperparameters,
    MixesRecords,
    PutsBottleneck,
    Release,
    SubModels,
    settings_of,
)

METHODS = (
    "recipe",
    "bottleneck",
    "hide",
    "loss",
    "penalty",
    "charge_cut",
    "adversaries",
    "bound",
    "divide",
    "release",
    "send",
    "fitted",
    "protect",
    "deviation",
    "mix",
    "sum_bits",
)
"""Methods that a defense can have; each defense has at least one."""
HIDDEN = PutsBottleneck | ChargesHidden | ChargesCut | FightsAdversaries
"""Defenses that need hidden layers that are trained."""
ACTING = ChangesLoss | HidesFeatures | BoundsRecords | SubModels | AddsStepNoise | HIDDEN
"""Defenses that act during the training of one organisation."""


AMONG_PARTIES = GuardsMessages | AddsStepNoise | MixesRecords | HidesParts
"""Defenses that act where organisations train together, and nowhere else, or in another way."""
JOINT = AMONG_PARTIES | BoundsRecords
"""Defenses that act during the training of a joint stage."""


@dataclass(frozen=True)
class DefenseRow:
    """One defense of a stage, or one `[[defense]]` row.

    Attributes:
        id: id of the variant, and of its folder: the defense's name and what is set unless given.
        name: key of the registry, or `package.module:Class`.
        defense: the defense with its settings.
    """

    id: str
    name: str
    defense: Defense

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of the defense by name."""
        return settings_of(self.defense)

    @property
    def paper(self) -> str:
        """Paper that the defense comes from."""
        return self.defense.paper

    @property
    def place(self) -> str:
        """Place where the defense acts."""
        return self.defense.place


def with_defenses(hp: Hyperparameters, rows: Sequence[DefenseRow], *, joint: bool = False) -> Hyperparameters:
    """Hyperparameters of a stage with its defenses: some change the values, others act during training.

    Args:
        hp: without defenses.
        rows: its defenses.
        joint: several parties train the stage together.

    Raises:
        ConfigError: a defense raised, gave no recipe that can be trained, or cannot act with the recipe.
    """
    for row in rows:
        if isinstance(row.defense, ChangesRecipe):
            hp = _change(row, row.defense, hp)
    for row in rows:
        # A change of the recipe by another defense, which the checks of the file have not seen, may come between.
        if isinstance(row.defense, AddsStepNoise) and isinstance(row.defense, ChoosesMethods):
            reason = row.defense.unfit("", hp)
            if reason:
                raise ConfigError(f"defense {row.id!r}: {row.name} {reason}")
    acting = [row.defense for row in rows if isinstance(row.defense, JOINT if joint else ACTING)]
    return replace(hp, defenses=(*hp.defenses, *acting))


def _change(row: DefenseRow, defense: ChangesRecipe, hp: Hyperparameters) -> Hyperparameters:
    """Hyperparameters after a defense's change, checked."""
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
    """Defenses that change the model's answers."""
    return tuple(row.defense for row in rows if isinstance(row.defense, ChangesAnswers))


def sending(rows: Sequence[DefenseRow]) -> tuple[Release | FitsCut, ...]:
    """Defenses that change what a device sends over the cut, in order."""
    return tuple(row.defense for row in rows if isinstance(row.defense, Release | FitsCut))
