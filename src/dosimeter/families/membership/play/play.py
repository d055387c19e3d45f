"""Plays one attack on everything that a run offers: the targets, the rehearsals that set thresholds, the null audit.

A play has parts, each of which is a game or a few: the targets of a fold, its rehearsals, its null membership, and half
of the models without shadows from the other half. Parts do not depend on each other, so each is a job of its own. An
attack that rehearses by itself learns once for the targets of a fold and for its rehearsals, which are then one part.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from dosimeter.families.attack import NamedAttack
from dosimeter.families.membership.design.design import Design
from dosimeter.families.membership.design.target_halves import half_game, half_games, playing_rows
from dosimeter.families.membership.game import Holdings, MembershipGame, OwnRehearsal
from dosimeter.families.membership.observe.observations import Observations
from dosimeter.families.play import blamed
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import AuditError
from dosimeter.foundation.seeds import generator

Role = Literal["target", "rehearsal", "fold", "null", "half"]


@dataclass(frozen=True)
class Part:
    """One part of a play.

    Attributes:
        role: who is judged: the targets of a fold, the shadows that rehearse, both together by an attack that rehearses
            by itself, the targets under a membership that no model was trained on, or models of one half.
        number: number of the fold, or of the half game.
    """

    role: Role
    number: int


@dataclass(frozen=True)
class Played:
    """Results of one attack.

    Attributes:
        scores: on the targets `[t n]`.
        rehearsed: on the models that rehearse, once per fold, since each fold's adversary has their own shadows
            `[f k n]`.
        null: on the targets' outputs with shadow bits from a matrix that no model was trained on `[t n]`.
        apart: on every model that plays target, by an adversary without shadows from the other half of them, as
            `target_halves.players` orders them `[p n]`; no rows for a control, without enough shadows, or for an
            attack that leads at no rate.
    """

    scores: Float[Array, "t n"]
    rehearsed: Float[Array, "f k n"]
    null: Float[Array, "t n"]
    apart: Float[Array, "p n"] = field(default_factory=lambda: np.empty((0, 0)))


def parts_of(row: NamedAttack, design: Design, views: int) -> list[Part]:
    """Parts of the play of one attack, in order.

    Args:
        row: the attack.
        design: the design of the audit.
        views: number of query views.
    """
    folds = range(len(design.folds))
    halves = [] if row.attack.control else half_games(design, row.attack.needs, views)
    roles: tuple[Role, ...] = ("target", "rehearsal", "null")
    if isinstance(row.attack, OwnRehearsal) and len(design.rehearsal_pairs):
        roles = ("fold", "null")
    return [*(Part(role, fold) for fold in folds for role in roles), *(Part("half", i) for i in range(len(halves)))]


def play_part(
    row: NamedAttack, part: Part, design: Design, observations: Observations, *, null_member: Bool[Array, "m n"],
    seed: int, knowledge: Holdings | None = None,
) -> Float[Array, "r n"]:  # fmt: skip
    """Plays one part; arguments as in `play_attack`.

    Returns:
        Scores of the models that the part judges, in order.

    Raises:
        AuditError: the attack raised, or gave NaN or another shape.
    """
    signals = {name: observations.signals[name] for name in row.attack.signals}
    if not signals:  # a control reads no signal, but a game has outputs, whose shape says how many targets there are
        name = next(iter(observations.signals))
        signals = {name: observations.signals[name]}
    knowledge, needs, number = knowledge or Holdings(), row.attack.needs, part.number
    if part.role == "half":
        views = next(iter(signals.values())).shape[1]
        judged, shadows = half_games(design, needs, views)[number]
        seats = (playing_rows(design)[judged], shadows)
        game = knowledge.tell(half_game(design, judged, shadows, signals), needs, seats)
        return _scores(row, game, seed, f"half game {number}")
    seats = design.seats(number)
    if part.role == "null":
        game = knowledge.tell(design.game(number, signals, null_member), needs, seats)
        return _scores(row, game, seed, f"fold {number} null")
    game = knowledge.tell(design.game(number, signals), needs, seats)
    if part.role == "target":
        return _scores(row, game, seed, f"fold {number}")
    if part.role == "fold":
        plays, models = partial(_both, row, design), game.n_targets + len(design.rehearsal_rows)
        return _checked(row, plays, game, seed, f"fold {number}", (models, len(game.ids)))
    trials = [
        _scores(row, game.rehearse(pair)[0], seed, f"fold {number} rehearsal {pair}") for pair in design.rehearsal_pairs
    ]
    # The empty part gives the shape if no pair rehearses.
    return np.concatenate([np.empty((0, len(game.ids))), *trials])


def join_parts(row: NamedAttack, design: Design, views: int, played: Mapping[Part, Float[Array, "r n"]]) -> Played:
    """The results of all parts of one play as one."""
    folds, played = range(len(design.folds)), divide_folds(design, played)
    apart = np.empty((0, len(design.ids)))
    halves = [] if row.attack.control else half_games(design, row.attack.needs, views)
    if any(len(played[Part("half", number)]) for number in range(len(halves))):
        apart = np.empty((len(playing_rows(design)), len(design.ids)))
        for number, (judged, _) in enumerate(halves):
            apart[judged] = played[Part("half", number)]
    return Played(
        np.concatenate([played[Part("target", fold)] for fold in folds]),
        np.stack([played[Part("rehearsal", fold)] for fold in folds]),
        np.concatenate([played[Part("null", fold)] for fold in folds]),
        apart,
    )


def divide_folds(design: Design, played: Mapping[Part, Float[Array, "_ n"]]) -> dict[Part, Float[Array, "_ n"]]:
    """The parts of a play, with each fold's targets and rehearsals apart."""
    found = dict(played)
    for part in [one for one in played if one.role == "fold"]:
        both, targets = found.pop(part), len(design.folds[part.number])
        found |= {Part("target", part.number): both[:targets], Part("rehearsal", part.number): both[targets:]}
    return found


def play_attack(
    row: NamedAttack, design: Design, observations: Observations, *, null_member: Bool[Array, "m n"], seed: int,
    knowledge: Holdings | None = None,
) -> Played:  # fmt: skip
    """Plays all parts of an attack here, one after another.

    Args:
        row: the attack.
        design: the design of the audit.
        observations: signals of the fleet; the attack gets those that it declares.
        null_member: the null audit's matrix.
        seed: seed of the audit.
        knowledge: what the adversary holds beside signals.

    Raises:
        AuditError: the attack raised, or gave NaN or another shape.
    """
    views = next(iter(observations.signals.values())).shape[1]
    played = {
        part: play_part(row, part, design, observations, null_member=null_member, seed=seed, knowledge=knowledge)
        for part in parts_of(row, design, views)
    }
    return join_parts(row, design, views, played)


def _both(row: NamedAttack, design: Design, game: MembershipGame, rng: np.random.Generator) -> Float[Array, "r n"]:
    """Scores of the targets of a fold, then of the shadows that rehearse before it."""
    assert isinstance(row.attack, OwnRehearsal)
    own, rehearsed = row.attack.run_and_rehearse(game, rng, design.rehearsal_pairs)
    return np.concatenate([own.values, rehearsed])


def _scores(row: NamedAttack, game: MembershipGame, seed: int, purpose: str) -> Float[Array, "t n"]:
    """Runs an attack on one game and checks its result."""
    wanted = (game.n_targets, len(game.ids))
    return _checked(row, lambda game, rng: row.attack.run(game, rng).values, game, seed, purpose, wanted)


def _checked(
    row: NamedAttack,
    plays: Callable[[MembershipGame, np.random.Generator], Array],
    game: MembershipGame,
    seed: int,
    purpose: str,
    wanted: tuple[int, int],
) -> Float[Array, "r n"]:
    """Scores of an attack; what it raises is told with its name, and so are another shape and NaN."""
    with blamed(row):
        values = np.asarray(plays(game, generator(seed, f"attack {row.id} {purpose}")), dtype=np.float64)
    if values.shape != wanted:
        raise AuditError(f"attack {row.id!r}: must give scores of shape {wanted}, got {values.shape}: correct it")
    if np.isnan(values).any():
        raise AuditError(f"attack {row.id!r}: scores must not be NaN, got {int(np.isnan(values).sum())}: correct it")
    return values
