"""The defenses of a stage and the `[[defense]]` rows: from names and settings to defenses, ours or the user's."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dosimeter._plugin_rows import Kind, build
from dosimeter._resolve import one_line, quoted
from dosimeter._tables import Stage, Threat
from dosimeter.defenses import DEFENSES
from dosimeter.errors import ConfigError
from dosimeter.games import Access
from dosimeter.training import (
    ChangesAnswers,
    ChangesLoss,
    ChangesRecipe,
    Defense,
    HidesFeatures,
    Hyperparameters,
    Teaches,
    settings_of,
)

METHODS = ("recipe", "hide", "loss", "divide", "release")
"""What a defense can do; each has one of them at least."""
FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=-]{0,63}")
"""What an id of a variant looks like, since it names a folder."""
KIND = Kind(
    word="defense",
    known=DEFENSES,
    wanted="a frozen dataclass with a method " + ", ".join(f"`{name}`" for name in METHODS[:-1]) + " or `release`",
    fits=lambda found: any(callable(getattr(found, name, None)) for name in METHODS),
    needs={"paper": str, "place": str, "ladder": tuple},
    protocol="docs/defenses.md",
)


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


def defense_rows(raw: Any, base: Path, place: str) -> tuple[tuple[DefenseRow, ...], list[str]]:
    """Build the defenses of all rows and list what is wrong.

    Args:
        raw: the rows.
        base: folder from which the user's modules are found.
        place: how the rows are called, as in `defense` or `stage[0].defenses`.
    """
    built: list[DefenseRow] = []
    problems: list[str] = []
    for index, row in enumerate(raw if isinstance(raw, tuple) and len(raw) <= 1000 else ()):
        if not isinstance(row, Mapping):
            continue  # the file's own validation tells
        try:
            built.append(_defense(row, base))
        except ConfigError as error:
            problems += [one_line(f"{place}[{index}]{problem}", limit=600) for problem in error.problems]
    return tuple(built), problems


def _defense(row: Mapping[str, Any], base: Path) -> DefenseRow:
    """Build one defense; problems are given as the tail of the row's place."""
    name, own_id, defense = build(row, base, KIND)
    if own_id is None:
        given = [f"{value}" for key, value in row.items() if key != "name"]
        own_id = re.sub(r"[^A-Za-z0-9._=-]+", "-", "-".join([name.rpartition(":")[2], *given]))[:64]
    if own_id in ("none", "*") or not FOLDER.fullmatch(own_id):
        raise ConfigError(
            f".id: must be 1 to 64 letters, digits, '.', '_', '=' or '-', and not 'none', got {quoted(own_id)}: rename "
            "it, since it names a folder"
        )
    return DefenseRow(own_id, name, defense)


def defense_problems(
    stages: Sequence[Stage], own: Sequence[Sequence[DefenseRow]], variants: Sequence[DefenseRow], threat: Threat | None
) -> list[str]:
    """Defenses that are right by themselves and impossible together or where they stand, one line each.

    Args:
        stages: the chain; the last is at risk.
        own: the defenses of each stage.
        variants: the `[[defense]]` rows.
        threat: None if that table is wrong itself.
    """
    ids, problems = [row.id for row in variants], []
    for twice in sorted({one for one in ids if ids.count(one) > 1}):
        problems.append(f"defense: ids must be distinct, got {twice!r} {ids.count(twice)} times: give each row an `id`")
    last = len(stages) - 1
    for index, (stage, rows) in enumerate(zip(stages, own, strict=True)):
        place = f"stage[{index}].defenses"
        problems += [f"{place}: {text}" for text in _together(stage, rows, threat, at_risk=index == last)]
    for index, row in enumerate(variants if stages else ()):
        alone = [f"defense[{index}]: {text}" for text in _together(stages[last], [row], threat, at_risk=True)]
        problems += alone
        if not alone and not _together(stages[last], own[last], threat, at_risk=True):
            rows = [*own[last], row]
            problems += [f"defense[{index}]: {text}" for text in _together(stages[last], rows, threat, at_risk=True)]
    return problems


def _together(stage: Stage, rows: Sequence[DefenseRow], threat: Threat | None, *, at_risk: bool) -> list[str]:
    """What is wrong with these defenses of one stage, as the tail of their place."""
    problems = []
    losses = [row.name for row in rows if isinstance(row.defense, ChangesLoss | Teaches)]
    if len(losses) > 1:
        problems.append(f"one of them can decide the loss or the labels, got {' and '.join(losses)}: keep one")
    if rows and stage.given:
        problems.append(f"a given stage is not trained, got {rows[0].name}: remove them")
    training = [
        row.name for row in rows if isinstance(row.defense, ChangesRecipe | ChangesLoss | HidesFeatures | Teaches)
    ]
    if training and stage.fit:
        problems.append(
            f"{training[0]} changes the built-in training, got a stage with `fit`: write it into `fit`, or use "
            "defenses of the outputs"
        )
    answers = [row.name for row in rows if isinstance(row.defense, ChangesAnswers)]
    if answers and not at_risk:
        problems.append(f"{answers[0]} changes answers, which only the stage at risk gives: move it there")
    if answers and threat is not None and threat.granted.includes & (Access.FEATURES | Access.WEIGHTS):
        problems.append(
            f"{answers[0]} changes answers, but threat.access = {threat.access!r} gives the model itself: grant "
            "'probs' or 'logits', or remove it"
        )
    return problems


def trained_with(hp: Hyperparameters, rows: Sequence[DefenseRow]) -> Hyperparameters:
    """The hyperparameters of a stage with its defenses: changed by some, carrying those that act while training."""
    for row in rows:
        if isinstance(row.defense, ChangesRecipe):
            hp = row.defense.recipe(hp)
    acting = [row.defense for row in rows if isinstance(row.defense, ChangesLoss | HidesFeatures | Teaches)]
    return replace(hp, defenses=(*hp.defenses, *acting))


def answering(rows: Sequence[DefenseRow]) -> tuple[ChangesAnswers, ...]:
    """Those that change what the model answers."""
    return tuple(row.defense for row in rows if isinstance(row.defense, ChangesAnswers))
