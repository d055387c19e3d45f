"""Runs one attack on everything that a run offers: the targets, the rehearsals that set thresholds, the null audit."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float

from dosimeter.families.attack import NamedAttack
from dosimeter.families.membership.design.design import Design
from dosimeter.families.membership.design.target_halves import half_games, playing_rows
from dosimeter.families.membership.game import Holdings, MembershipGame
from dosimeter.families.membership.observe.observations import Observations
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import AuditError
from dosimeter.foundation.seeds import generator
from dosimeter.foundation.user_code import relay
from dosimeter.foundation.wording import describe
from dosimeter.statistics.evidence import Scores


@dataclass(frozen=True)
class Played:
    """Results of one attack.

    Attributes:
        scores: on the targets `[t n]`.
        rehearsed: on the models that rehearse, once per fold, since each fold's adversary has their own shadows
            `[f k n]`.
        null: on the targets' outputs with shadow bits from a matrix that no model was trained on `[t n]`.
        apart: on every model that plays target, by an adversary without shadows from the other half of them, as
            `target_halves.players` orders them `[p n]`; no rows for a control or without enough shadows.
    """

    scores: Float[Array, "t n"]
    rehearsed: Float[Array, "f k n"]
    null: Float[Array, "t n"]
    apart: Float[Array, "p n"] = field(default_factory=lambda: np.empty((0, 0)))


def play_attack(
    row: NamedAttack, design: Design, observations: Observations, *, null_member: Bool[Array, "m n"], seed: int,
    knowledge: Holdings | None = None,
) -> Played:  # fmt: skip
    """Runs an attack on targets, rehearsals, null membership, and one half of the models without the other.

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
    signals = {name: observations.signals[name] for name in row.attack.signals}
    if not signals:  # a control reads no signal, but a game has outputs, whose shape says how many targets there are
        name = next(iter(observations.signals))
        signals = {name: observations.signals[name]}
    knowledge, needs = knowledge or Holdings(), row.attack.needs
    scores, rehearsed, null = [], [], []
    for fold in range(len(design.folds)):
        game = knowledge.tell(design.game(fold, signals), needs)
        scores.append(_scores(row, game, seed, f"fold {fold}"))
        trials = [
            _scores(row, game.rehearse(pair)[0], seed, f"fold {fold} rehearsal {pair}")
            for pair in design.rehearsal_pairs
        ]
        # The empty part gives the shape if no pair rehearses.
        rehearsed.append(np.concatenate([np.empty((0, len(game.ids))), *trials]))
        nobody = knowledge.tell(design.game(fold, signals, null_member), needs)
        null.append(_scores(row, nobody, seed, f"fold {fold} null"))
    apart = np.empty((0, len(design.ids)))
    games = () if row.attack.control else half_games(design, signals, needs)
    for number, (judged, game) in enumerate(games):
        if not len(apart):
            apart = np.empty((len(playing_rows(design)), len(design.ids)))
        apart[judged] = _scores(row, knowledge.tell(game, needs), seed, f"half game {number}")
    return Played(np.concatenate(scores), np.stack(rehearsed), np.concatenate(null), apart)


def _scores(row: NamedAttack, game: MembershipGame, seed: int, purpose: str) -> Float[Array, "t n"]:
    """Runs an attack on one game and checks its result."""
    try:
        result: Scores = row.attack.run(game, generator(seed, f"attack {row.id} {purpose}"))
        values = np.asarray(result.values, dtype=np.float64)
    except AuditError as error:
        raise relay(error, f"attack {row.id!r}") from error
    except (Exception, SystemExit) as error:
        raise AuditError(f"attack {row.id!r}: raised {describe(error)}: correct it or leave it out") from error
    wanted = (game.n_targets, len(game.ids))
    if values.shape != wanted:
        raise AuditError(f"attack {row.id!r}: must give scores of shape {wanted}, got {values.shape}: correct it")
    if np.isnan(values).any():
        raise AuditError(f"attack {row.id!r}: scores must not be NaN, got {int(np.isnan(values).sum())}: correct it")
    return values
