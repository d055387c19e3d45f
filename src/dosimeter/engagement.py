"""Running one attack on all that a run offers it: the targets, the rehearsals that set thresholds, the null audit."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from dosimeter._resolve import describe
from dosimeter._seeds import generator
from dosimeter.config import AttackRow
from dosimeter.design import Design
from dosimeter.errors import AuditError
from dosimeter.games import Array, FrozenHead, MembershipGame, Scores
from dosimeter.observe import Observations


@dataclass(frozen=True)
class Evidence:
    """What one attack gave.

    Attributes:
        scores: on the targets `[t n]`.
        rehearsed: on the models that rehearse, once per fold, since each fold's adversary has his own shadows
            `[f k n]`.
        null: on the targets' outputs with shadow bits from a matrix that no model was trained on `[t n]`.
    """

    scores: Float[Array, "t n"]
    rehearsed: Float[Array, "f k n"]
    null: Float[Array, "t n"]


def engage(
    row: AttackRow, design: Design, observations: Observations, *, null_member: Bool[Array, "m n"], seed: int,
    head: FrozenHead | None = None,
) -> Evidence:  # fmt: skip
    """Run an attack.

    Args:
        row: the attack.
        design: who is trained on what.
        observations: signals of the fleet; the attack gets those that it declares.
        null_member: the null audit's matrix.
        seed: of the audit.
        head: frozen features and recipe, for attacks that need them.

    Raises:
        AuditError: the attack raised, or gave NaN or another shape.
    """
    signals = {name: observations.signals[name] for name in row.attack.signals}
    if not signals:  # a control reads no signal, but a game has outputs, whose shape says how many targets there are
        name = next(iter(observations.signals))
        signals = {name: observations.signals[name]}
    known = head if row.attack.needs.features else None
    scores, rehearsed, null = [], [], []
    for fold in range(len(design.folds)):
        game = replace(design.game(fold, signals), head=known)
        scores.append(_scores(row, game, seed, f"fold {fold}"))
        trials = [
            _scores(row, game.rehearse(pair)[0], seed, f"fold {fold} rehearsal {pair}")
            for pair in design.rehearsal_pairs
        ]
        rehearsed.append(np.concatenate([np.empty((0, len(game.ids))), *trials]))
        nobody = replace(design.game(fold, signals, null_member), head=known)
        null.append(_scores(row, nobody, seed, f"fold {fold} null"))
    return Evidence(np.concatenate(scores), np.stack(rehearsed), np.concatenate(null))


def _scores(row: AttackRow, game: MembershipGame, seed: int, purpose: str) -> Float[Array, "t n"]:
    """One run of an attack on one game, checked."""
    try:
        result: Scores = row.attack.run(game, generator(seed, f"attack {row.id} {purpose}"))
        values = np.asarray(result.values, dtype=np.float64)
    except AuditError:
        raise
    except (Exception, SystemExit) as error:
        raise AuditError(f"attack {row.id!r}: raised {describe(error)}: correct it or leave it out") from error
    wanted = (game.n_targets, len(game.ids))
    if values.shape != wanted:
        raise AuditError(f"attack {row.id!r}: must give scores of shape {wanted}, got {values.shape}: correct it")
    if np.isnan(values).any():
        raise AuditError(f"attack {row.id!r}: scores must not be NaN, got {int(np.isnan(values).sum())}: correct it")
    return values
