"""What a few-shot attack sees of a record: a row of numbers, with or without its label and the shadows' answers.

Only the record itself is read, view 0. Axes: `n` judged, `k` known, `z` population, `d` numbers, `c` classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float

from dosimeter.families.membership.attacks import reading
from dosimeter.families.membership.attacks.few_shot.episodes import VALIDATION, Mode
from dosimeter.families.membership.attacks.language import numbers
from dosimeter.families.membership.game import MembershipGame, Needs
from dosimeter.foundation import checks
from dosimeter.foundation.arrays import Array
from dosimeter.models.access import Access

Kind = Literal["auto", "logits", "activations", "label-aware", "base-relative", "texts", "texts-and-base"]
SIGNALS = {
    "logits": ("logits",),
    "activations": ("activations",),
    "label-aware": ("scaled_confidences", "logit_confidence"),
    "base-relative": ("scaled_confidences", "logit_confidence"),
    "texts": numbers.SIGNALS,
    "texts-and-base": (*numbers.SIGNALS, "token_hits"),
}
ACCESS = {
    "logits": Access.LOGITS,
    "activations": Access.FEATURES,
    "label-aware": Access.PROBS,
    "base-relative": Access.PROBS,
    "texts": Access.PROBS,
    "texts-and-base": Access.PROBS,
}
HIGHEST = 10
"""Most of the sorted confidences that are read."""
FAR = 10.0
"""Most that a scaled number may be away from the median, in scales."""


@dataclass(frozen=True)
class Rows:
    """Rows of numbers of one target.

    Attributes:
        judged: `[n d]`.
        known: `[k d]`.
        outside: of the population `[z d]`; no rows without one.
    """

    judged: Float[Array, "n d"]
    known: Float[Array, "k d"]
    outside: Float[Array, "z d"]


def chosen(mode: Mode, kind: Kind) -> str:
    """The kind of features that "auto" stands for: the authors' without the label, or with it where mended."""
    if kind != "auto":
        return kind
    return "logits" if mode == "as_released" else "label-aware"


@runtime_checkable
class Settings(Protocol):
    """Settings that all few-shot attacks have."""

    @property
    def shots(self) -> int:
        """Known members in a support."""
        ...

    @property
    def mode(self) -> Mode:
        """How it follows the authors' code."""
        ...

    @property
    def features(self) -> Kind:
        """What is read of a record."""
        ...

    @property
    def episodes(self) -> int:
        """Episodes for each target."""
        ...


def check(attack: Settings) -> None:
    """Refuses settings out of range.

    Raises:
        ValueError: one is.
    """
    reading.check_choices(attack, mode=Mode, features=Kind)
    checks.in_range("shots", attack.shots, 1, 10_000)
    checks.in_range("episodes", attack.episodes, 1, 100_000)


def needs(attack: Settings, *, rehearsed: bool = False) -> Needs:
    """Needs of an attack with such features.

    Args:
        attack: the settings.
        rehearsed: whether shadows play target, one pair at a time, and the others are read for the features.
    """
    kind = chosen(attack.mode, attack.features)
    pairs = int(kind == "base-relative") + int(rehearsed)
    return Needs(
        ACCESS[kind],
        in_shadows=pairs if rehearsed else 0,
        out_shadows=pairs,
        labelled=attack.shots + (VALIDATION if attack.mode == "as_released" else 0),
        texts=kind == "texts-and-base",
        base=kind == "texts-and-base",
    )


def rows_of(game: MembershipGame, kind: str, target: int) -> Rows:
    """Rows of all records of a game, for one target.

    Raises:
        ValueError: known and judged records have different widths.
    """
    known, population = game.known, game.population
    assert known is not None
    if kind == "texts-and-base":
        assert game.texts is not None
        assert known.texts is not None
        both = ((game.outputs, game.texts), (known.outputs, known.texts))
        judged, own = (numbers.beside_base(_of_texts(table, target, kind), texts) for table, texts in both)
        return Rows(judged, own, judged[:0])  # nobody asked the base about the population
    judged, own = (_columns(table, target, kind) for table in (game.outputs, known.outputs))
    if own.shape[1] != judged.shape[1]:
        raise ValueError(
            f"features of known and judged records must have equal widths, got {own.shape[1]} and {judged.shape[1]}: "
            "ask the same model about both"
        )
    outside = judged[:0] if population is None else _columns(population.outputs, target, kind)
    if kind != "base-relative":
        return Rows(judged, own, outside)
    base = np.empty(0) if population is None else population.shadow_outputs["logit_confidence"][:, 0].mean(axis=0)
    return Rows(
        _beside(judged, _out_mean(game.shadow_outputs, game.shadow_in)),
        _beside(own, _out_mean(known.shadow_outputs, known.shadow_in)),
        _beside(outside, base),
    )


def scaled(rows: Rows) -> Rows:
    """Rows in comparable units, by the population, or by the judged records' own answers; no label is read.

    The unit is half the width between the quantiles .16 and .84, which few far values cannot move.
    """
    source = rows.outside if len(rows.outside) > 1 else rows.judged
    low, middle, high = np.quantile(source, [0.16, 0.5, 0.84], axis=0)
    spread = np.where(high > low, (high - low) / 2, np.maximum(source.std(axis=0), 1e-12))

    def measured(values: Array) -> Array:
        return np.asarray(np.clip((values - middle) / spread, -FAR, FAR))

    return Rows(measured(rows.judged), measured(rows.known), measured(rows.outside))


def _columns(table: Mapping[str, Array], target: int, kind: str) -> Float[Array, "n d"]:
    """Numbers that one target alone gives."""
    if kind == "texts":
        return numbers.numbers_of(_of_texts(table, target, kind))
    values = table[SIGNALS[kind][0]][target, 0]
    if kind in ("logits", "activations"):
        return np.asarray(values.reshape(len(values), -1))
    highest = -np.sort(-values, axis=1)[:, :HIGHEST]
    return np.column_stack([table["logit_confidence"][target, 0], highest])


def _of_texts(table: Mapping[str, Array], target: int, kind: str) -> dict[str, Array]:
    """Signals of texts that one target gives."""
    return {name: table[name][target, 0] for name in SIGNALS[kind]}


def _beside(rows: Float[Array, "n d"], base: Float[Array, " n"]) -> Float[Array, "n e"]:
    """Rows with the shadows' confidence and the difference to it; the target's confidence is column 0."""
    return np.column_stack([rows, base, rows[:, 0] - base])


def _out_mean(shadow_outputs: Mapping[str, Array], shadow_in: Bool[Array, "s n"]) -> Float[Array, " n"]:
    """Mean confidence of the shadows that did not train on a record."""
    values = shadow_outputs["logit_confidence"][:, 0]
    return np.asarray(np.where(shadow_in, 0.0, values).sum(axis=0) / (~shadow_in).sum(axis=0))
