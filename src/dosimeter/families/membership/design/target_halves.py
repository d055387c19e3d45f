"""The two halves of the models that play target, and the games of one half that know nothing of the other.

What looks most exposed in one half can be measured without a winner's curse in the other only if the first half was
attacked without shadows from the other: scores of a whole audit are made with all other models, and share their luck.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from jaxtyping import Bool, Float, Int

from dosimeter.families.membership.design.design import Design
from dosimeter.families.membership.game import MembershipGame, Needs
from dosimeter.foundation.arrays import Array

FOLDS = 4
"""Games of one half: so many that each leaves most of the half as shadows, so few that they cost little."""


def players(targets: int, rehearsals: int) -> Int[Array, " k"]:
    """The block, a complementary pair or what is left of one, of each model that plays target.

    Args:
        targets: models that are measured, in order; 0 if a single one was brought.
        rehearsals: shadows that rehearse, in pairs, after the targets.

    >>> players(3, 4).tolist()
    [0, 0, 1, 2, 2, 3, 3]
    """
    own = np.arange(targets) // 2
    return np.concatenate([own, (targets + 1) // 2 + np.arange(rehearsals) // 2])


def second_half(block: Int[Array, " k"]) -> Bool[Array, " k"]:
    """Which models are of the second half: every other block, so that targets and rehearsals are in both.

    >>> second_half(np.array([0, 0, 1, 1, 2])).tolist()
    [False, False, True, True, False]
    """
    second: Array = block % 2 == 1
    return second


def playing_rows(design: Design) -> Int[Array, " k"]:
    """Rows of the membership matrix that play target: the targets, unless a single one was brought, and rehearsals."""
    own = np.arange(0 if design.lone else design.targets)
    return np.concatenate([own, design.rehearsal_rows])


def half_games(
    design: Design, signals: Mapping[str, Float[Array, "m q r *c"]], needs: Needs
) -> Iterator[tuple[Int[Array, " t"], MembershipGame]]:
    """Games in which some models of one half play target before shadows that are not of the other half.

    Args:
        design: who is trained on what.
        signals: of the whole fleet.
        needs: of the attack. There are no games at all if one would lack shadows.

    Yields:
        Positions among the models that play, and their game.
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
            shadows = np.flatnonzero(~gone)
            if len(judged):
                games.append((judged, shadows))
    views = next(iter(signals.values())).shape[1]
    fewest = max(needs.in_shadows, needs.out_shadows, 1) + needs.per_view * (views - 1)
    if any(len(shadows) // 2 < fewest for _, shadows in games):
        return
    for judged, shadows in games:
        yield judged, design.before(rows[judged], shadows, signals)
