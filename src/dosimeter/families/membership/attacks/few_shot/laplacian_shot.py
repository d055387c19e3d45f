"""Laplacian-Shot: records are assigned to labelled points together, so that near records get near assignments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float, Int

from dosimeter.families.membership.attacks import reading
from dosimeter.families.membership.attacks.few_shot import episodes, features, gallery
from dosimeter.families.membership.attacks.few_shot.episodes import Episode, Mode
from dosimeter.families.membership.attacks.few_shot.features import Kind, Rows
from dosimeter.families.membership.attacks.few_shot.gallery import Gallery
from dosimeter.families.membership.game import MembershipGame, Needs
from dosimeter.foundation.arrays import Array
from dosimeter.statistics.evidence import Scores

QUERIES = 100
"""Records that one mended episode asks about, its own block among them: neighbours need company."""
WEIGHTS, NEAR = (1.5, 1.7, 2.0, 2.2, 2.5, 2.7, 2.9), (3, 5, 7, 9, 11, 13, 15)
"""The grid of the authors' code: weight of the neighbours, and their number with the record itself."""
MENDED = (0.0, 3), (1.0, 3), (1.0, 9), (2.0, 3), (2.0, 9)
"""The mended choices of both; a weight of 0 uses no neighbours."""
ONE_SHOT = (1.0, 5)
"""With one shot nothing is left to choose by; fixed before any result was seen."""
FOLDS = 3
"""Pairs of support records that are left out in turn, at most, to choose."""
UPDATES, SETTLED = 20, 1e-6
"""Most updates, and the relative change of the energy below which they end, as in the authors' code."""


@dataclass(frozen=True)
class LaplacianShot:
    """Score a record by its assignment to labelled members, which neighbouring records share.

    Paper: Jiménez-López, Rodríguez-Barroso, Luzón, Del Ser, Herrera, "Membership Inference Attacks Fueled by Few-Shot
    Learning", 2025, https://arxiv.org/abs/2503.09365 (FeS-MIA LS), after Ziko et al. 2020,
    https://arxiv.org/abs/2006.15486. Assignments Y of an episode's queries to a support of `shots` members and
    non-members and their two centroids repeat `Y <- softmax(-a + weight W Y)`, a the squared distances, W which queries
    are near; the score is what a record assigns to members.
    Threat model: as `SimpleShot`; the judged records are used together, without labels.
    Deviations: scores are shares of an episode's queries that score lower. "as_released" is the authors' code, whose W
    is not symmetric, so that no energy need fall, and whose weight and number of neighbours are chosen on 15 + 15
    further labelled records. "mended" treats support and queries alike, as `SimpleShot` does, makes W symmetric,
    asks about 100 records at once, and chooses among five settings by leaving pairs of support records out.
    Cost: O(t episodes updates q^2 s).

    Attributes:
        shots: known members, and known non-members, in the support of one episode.
        mode: "mended", or "as_released" with the defects of the authors' code.
        features: as in `SimpleShot`.
        episodes: for each target in mended mode; as released there is one for 30 records.
    """

    paper: ClassVar[str] = "Jiménez-López et al., 2025, https://arxiv.org/abs/2503.09365"
    control: ClassVar[bool] = False

    shots: int = 10
    mode: Mode = "mended"
    features: Kind = "auto"
    episodes: int = 40

    def __post_init__(self) -> None:
        features.check(self)

    @property
    def needs(self) -> Needs:
        """Access to what the features read, known records, and shadows if the features read them."""
        return features.needs(self)

    @property
    def labels(self) -> int:
        """Labelled records that one episode uses."""
        return episodes.labels_of(self.mode, self.shots)

    @property
    def signals(self) -> tuple[str, ...]:
        """What the features are made of."""
        return features.SIGNALS[features.chosen(self.mode, self.features)]

    def run(self, game: MembershipGame, rng: np.random.Generator) -> Scores:
        """Scores all records of a game.

        Raises:
            ValueError: too few known records or shadows, or a signal is missing or not finite.
        """
        reading.require(game, self.needs, self.signals)
        kind = features.chosen(self.mode, self.features)
        plan = episodes.plan_of(self.mode, self.shots, self.episodes, len(game.ids), QUERIES)
        drawn = episodes.draw(game, plan, rng)
        tables: dict[int, Rows] = {}

        def judge(target: int, episode: Episode) -> Float[Array, " q"]:
            if target not in tables:
                rows = features.rows_of(game, kind, target)
                tables[target] = rows if self.mode == "as_released" else features.scaled(rows)
            rows = tables[target]
            if self.mode == "as_released":
                return as_released(episode, rows)
            return mended(rows.known[episode.support], episode.is_member, rows.judged[episode.queries])

        return Scores(game.ids, episodes.score(game, drawn, judge))


def mended(
    support: Float[Array, "s d"], is_member: Bool[Array, " s"], queries: Float[Array, "q d"]
) -> Float[Array, " q"]:
    """Assignment to members, weight and number of neighbours chosen on the support alone."""
    setting = _choice(support, is_member, queries)
    points, asked = gallery.alike(support, is_member, queries)
    return np.asarray(shares(asked, points, [setting], symmetric=True)[0])


def _choice(
    support: Float[Array, "s d"], is_member: Bool[Array, " s"], queries: Float[Array, "q d"]
) -> tuple[float, int]:
    """Weight and number of neighbours with the least log-loss on pairs that are left out; ties: the first."""
    shots = len(support) // 2
    if shots < 2:
        return ONE_SHOT
    inside, outside = np.flatnonzero(is_member), np.flatnonzero(~is_member)
    losses = np.zeros(len(MENDED))
    for pair in zip(inside[:FOLDS], outside[:FOLDS], strict=True):
        rest = ~np.isin(np.arange(len(support)), pair)
        asked = np.concatenate([support[list(pair)], queries])
        points, asked = gallery.alike(support[rest], is_member[rest], asked)
        share = shares(asked, points, MENDED, symmetric=True)
        right = np.stack([share[:, 0], 1 - share[:, 1]])
        losses -= np.log(np.maximum(right, gallery.SHORTEST)).sum(axis=0)
    return MENDED[int(np.argmin(losses))]


def as_released(episode: Episode, rows: Rows) -> Float[Array, " q"]:
    """What the authors' code does, with settings that separate the validation records best; ties: the last."""
    points = Gallery.of(rows.known[episode.support], episode.is_member)
    trial, asked = rows.known[episode.validation], rows.judged[episode.queries]
    grid = list(product(WEIGHTS, NEAR))
    right = [episodes.found_alone(one, episode.validation_in) for one in shares(trial, points, grid)]
    best = len(grid) - 1 - int(np.argmax(right[::-1]))
    return np.asarray(shares(asked, points, [grid[best]])[0])


def shares(
    queries: Float[Array, "q d"], points: Gallery, settings: Sequence[tuple[float, int]], *, symmetric: bool = False
) -> Float[Array, "v q"]:
    """What each query assigns to members, under each of some weights and numbers of neighbours.

    Args:
        queries: rows in the form of the gallery.
        points: the gallery.
        settings: weight of the neighbours, and their number with the record itself.
        symmetric: take neighbours as mutual, so that an energy exists whose fixed points the updates seek.
    """
    distances = gallery.squared_distances(queries, queries)
    np.fill_diagonal(distances, np.inf)
    order = np.argsort(distances, axis=1, kind="stable")
    graphs = np.stack([weight * neighbours(order, near, symmetric=symmetric) for weight, near in settings])
    found = assign(gallery.squared_distances(queries, points.points), graphs)
    return np.asarray(found[:, :, points.is_member].sum(axis=2))


def neighbours(order: Int[Array, "q q"], near: int, *, symmetric: bool) -> Float[Array, "q q"]:
    """1 where a query is among the `near - 1` nearest others of another; the mean with the transpose if symmetric.

    Args:
        order: the others of each query, nearest first, and the query itself last.
        near: number of nearest ones, the record itself among them.
        symmetric: whether both directions count half.
    """
    graph = np.zeros(order.shape)
    np.put_along_axis(graph, order[:, : min(near, len(order)) - 1], 1.0, axis=1)
    return (graph + graph.T) / 2 if symmetric else graph


def assign(distances: Float[Array, "q g"], graphs: Float[Array, "v q q"]) -> Float[Array, "v q g"]:
    """Assignments of the queries to the points, from each alone, then updated until the energy settles.

    Args:
        distances: squared distances.
        graphs: weights of the neighbours under each setting; a setting that has settled stays as it is.
    """
    found, logs = _softmax(np.broadcast_to(-distances, (len(graphs), *distances.shape)))
    pull = graphs @ found
    before, moving = energy(found, logs, distances, pull), np.arange(len(graphs))
    for _ in range(UPDATES):
        found[moving], logs = _softmax(pull - distances)
        pull = graphs[moving] @ found[moving]
        now = energy(found[moving], logs, distances, pull)
        open_ = np.abs(before - now) > SETTLED * np.abs(before)
        moving, pull, before = moving[open_], pull[open_], now[open_]
        if not len(moving):
            break
    return found


def energy(
    found: Float[Array, "v q g"],
    logs: Float[Array, "v q g"],
    distances: Float[Array, "q g"],
    pull: Float[Array, "v q g"],
) -> Float[Array, " v"]:
    """`sum y log y + a y - weight sum W y y'`, nats: what the authors' code watches.

    Args:
        found: assignments y.
        logs: their logarithms.
        distances: a.
        pull: `weight W y`.
    """
    return np.asarray((found * (logs + distances - pull)).sum(axis=(1, 2)))


def _softmax(values: Float[Array, "v q g"]) -> tuple[Float[Array, "v q g"], Float[Array, "v q g"]]:
    """Probabilities of each row and their logarithms, which stay finite."""
    moved = values - values.max(axis=2, keepdims=True)
    weights = np.exp(moved)
    total = weights.sum(axis=2, keepdims=True)
    return weights / total, moved - np.log(total)
