"""Episodes of a few-shot attack: a support drawn from the known records, and the judged records that it scores.

Every judged record of a target gets its score from one episode, never a mean over several, which would use more labels
than the attack says. Scores of different episodes are made comparable without labels: each is the share of the
episode's queries that score lower. Axes: `n` judged records, `k` known ones, `s` support, `v` validation, `q` queries.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import stats

from dosimeter.families.membership.game import MembershipGame
from dosimeter.foundation.arrays import Array

Mode = Literal["mended", "as_released"]
VALIDATION = 15
"""Known members, and known non-members, on which the authors' code chooses settings in each episode."""
RELEASED_QUERIES = 30
"""Queries of one episode of the authors' code: 15 members and 15 non-members, which nobody tells the attack."""


@dataclass(frozen=True)
class Plan:
    """Episodes of an attack.

    Attributes:
        shots: known members in a support, and known non-members.
        validation: further known records of each side.
        count: episodes for each target.
        queries: most records that one episode asks about; None for all.
    """

    shots: int
    validation: int
    count: int
    queries: int | None

    @property
    def each(self) -> int:
        """Known members that one episode uses, and known non-members."""
        return self.shots + self.validation


@dataclass(frozen=True)
class Episode:
    """One episode.

    Attributes:
        support: positions among the known records `[s]`.
        is_member: their bits.
        validation: further known records, disjoint from the support `[v]`; none in mended mode.
        validation_in: their bits.
        queries: positions among the judged records `[q]`; those that get their score here stand first.
        judged: how many of them those are.
    """

    support: Int[Array, " s"]
    is_member: Bool[Array, " s"]
    validation: Int[Array, " v"]
    validation_in: Bool[Array, " v"]
    queries: Int[Array, " q"]
    judged: int


def plan_of(mode: Mode, shots: int, episodes: int, n: int, queries: int | None = None) -> Plan:
    """The episodes of a mode: the authors' sizes, or those that the settings name.

    Args:
        mode: "as_released" needs as many episodes as there are blocks of 30 queries.
        shots: known members in a support.
        episodes: in mended mode; at most one for each judged record.
        n: judged records.
        queries: most records that a mended episode asks about.
    """
    if mode == "as_released":
        return Plan(shots, VALIDATION, -(-n // RELEASED_QUERIES), RELEASED_QUERIES)
    return Plan(shots, 0, min(episodes, n), queries)


def labels_of(mode: Mode, shots: int) -> int:
    """Labelled records that one episode uses, validation included."""
    return 2 * (shots + (VALIDATION if mode == "as_released" else 0))


def draw(game: MembershipGame, plan: Plan, rng: np.random.Generator) -> list[list[Episode]]:
    """Draws the episodes of every target.

    All targets share the order in which records are drawn, so leaving one out changes no other.

    Args:
        game: with known records, enough of each side for every target.
        plan: sizes.
        rng: generator for all draws.
    """
    assert game.known is not None
    n, bits = len(game.ids), game.known.is_member
    blocks = np.array_split(rng.permutation(n), plan.count)
    found: list[list[Episode]] = [[] for _ in bits]
    for block in blocks:
        order = rng.permutation(bits.shape[1])
        queries = _with_others(block, n, plan.queries, rng)
        for own, row in zip(found, bits, strict=True):
            sides = [order[row[order] == side] for side in (True, False)]
            support = np.concatenate([one[: plan.shots] for one in sides])
            validation = np.concatenate([one[plan.shots : plan.each] for one in sides])
            own.append(Episode(support, row[support], validation, row[validation], queries, len(block)))
    return found


def _with_others(block: Int[Array, " b"], n: int, most: int | None, rng: np.random.Generator) -> Int[Array, " q"]:
    """A block, and other judged records up to the number of queries."""
    others = np.setdiff1d(np.arange(n), block)
    room = len(others) if most is None else min(len(others), max(most - len(block), 0))
    return np.concatenate([block, others if room == len(others) else rng.choice(others, room, replace=False)])


def score(
    game: MembershipGame, drawn: Sequence[Sequence[Episode]], judge: Callable[[int, Episode], Float[Array, " q"]]
) -> Float[Array, "t n"]:
    """Scores of all judged records.

    Args:
        game: the game.
        drawn: episodes of each target.
        judge: from a target and an episode to a value of each query, higher for "more likely member".
    """
    values = np.empty((len(drawn), len(game.ids)))
    for target, episodes in enumerate(drawn):
        for one in episodes:
            values[target, one.queries[: one.judged]] = shares(judge(target, one))[: one.judged]
    return values


def shares(values: Float[Array, " q"]) -> Float[Array, " q"]:
    """Share of the queries that score lower, ties in the middle, and less than half a place more by the value itself.

    The second part never changes the order within an episode. It orders records of the same share in different
    episodes, which otherwise were ties: of 40 episodes, 40 records would share each place.

    >>> shares(np.array([5.0, 1.0, 1.0])).round(2).tolist()
    [1.07, 0.54, 0.54]
    """
    ranks = stats.rankdata(values)
    return np.asarray((ranks + values / (1 + np.abs(values)) / 4) / len(values))


def found_alone(values: Float[Array, " v"], is_member: Bool[Array, " v"]) -> int:
    """Members that score above every non-member: what the authors' code chooses settings by."""
    return int((values[is_member] > values[~is_member].max()).sum())
