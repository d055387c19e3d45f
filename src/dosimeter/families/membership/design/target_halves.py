"""The two halves of the models that play target, and games of one half without shadows of the other.

The records that look most exposed in one half are measured in the other half, to avoid the winner's curse. This works
only if the first half was attacked without shadows from the other. Scores of a whole audit use all other models as
shadows, so they share their chance errors.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float, Int

from dosimeter.families.membership.design.design import Design
from dosimeter.families.membership.game import MembershipGame, Needs
from dosimeter.foundation.arrays import Array

FOLDS = 4
"""Number of games of one half: enough to leave most of the half as shadows, few enough to cost little."""


def players(targets: int, rehearsals: int) -> Int[Array, " k"]:
    """Block of each model that plays target: its complementary pair, or the rest of one.

    Args:
        targets: models that are measured, in order; 0 if a single one was supplied.
        rehearsals: shadows that rehearse, in pairs, after the targets.

    >>> players(3, 4).tolist()
    [0, 0, 1, 2, 2, 3, 3]
    """
    own = np.arange(targets) // 2
    return np.concatenate([own, (targets + 1) // 2 + np.arange(rehearsals) // 2])


def second_half(block: Int[Array, " k"]) -> Bool[Array, " k"]:
    """Mask of the models in the second half: every other block, so that targets and rehearsals are in both.

    >>> second_half(np.array([0, 0, 1, 1, 2])).tolist()
    [False, False, True, True, False]
    """
    second: Array = block % 2 == 1
    return second


def playing_rows(design: Design) -> Int[Array, " k"]:
    """Rows of the membership matrix that play target: targets, unless a single one was supplied, and rehearsals."""
    own = np.arange(0 if design.lone else design.targets)
    return np.concatenate([own, design.rehearsal_rows])


def half_games(design: Design, needs: Needs, views: int) -> list[tuple[Int[Array, " t"], Int[Array, " s"]]]:
    """Games in which models of one half play target, with shadows that are not from the other half.

    Args:
        design: the design of the audit.
        needs: needs of the attack. There are no games at all if one of them would lack shadows.
        views: number of query views.

    Returns:
        For each game the positions of its targets among the models that play, and the rows of its shadows.
    """
    rows = playing_rows(design)
    block = players(len(rows) - len(design.rehearsal_rows), len(design.rehearsal_rows))
    first = int(design.lone)
    pair, playing = (np.arange(len(design.member)) - first) // 2, (rows - first) // 2
    games = []
    for half in (False, True):
        own = np.flatnonzero(second_half(block) == half)
        for some in np.array_split(np.unique(block[own]), FOLDS):
            judged = np.flatnonzero(np.isin(block, some))
            gone = np.isin(pair, np.concatenate([playing[judged], playing[second_half(block) != half]])) | (pair < 0)
            if len(judged):
                games.append((judged, np.flatnonzero(~gone)))
    fewest = max(needs.in_shadows, needs.out_shadows, 1) + needs.per_view * (views - 1)
    return [] if any(len(shadows) // 2 < fewest for _, shadows in games) else games


def half_game(
    design: Design, judged: Int[Array, " t"], shadows: Int[Array, " s"], signals: Mapping[str, Float[Array, "m q r *c"]]
) -> MembershipGame:
    """One of the `half_games`, with the signals of the whole fleet."""
    return design.before(playing_rows(design)[judged], shadows, signals)
