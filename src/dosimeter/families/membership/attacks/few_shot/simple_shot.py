"""Simple-Shot: a record is judged by the labelled records that its answer is nearest to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float

from dosimeter.families.membership.attacks import reading
from dosimeter.families.membership.attacks.few_shot import embedding, episodes, features, gallery
from dosimeter.families.membership.attacks.few_shot.episodes import Episode, Mode
from dosimeter.families.membership.attacks.few_shot.features import Kind, Rows
from dosimeter.families.membership.game import MembershipGame, Needs
from dosimeter.foundation.arrays import Array
from dosimeter.statistics.evidence import Scores


@dataclass(frozen=True)
class SimpleShot:
    """Score a record by the members' share among the labelled records that are nearest to it.

    Paper: Jiménez-López, Rodríguez-Barroso, Luzón, Del Ser, Herrera, "Membership Inference Attacks Fueled by Few-Shot
    Learning", 2025, https://arxiv.org/abs/2503.09365 (FeS-MIA SS), after Wang et al. 2019,
    https://arxiv.org/abs/1911.04623. `s = sum of 1/d over near members / sum of 1/d over all near points`, with d the
    squared distance; the points are a support of `shots` members and non-members and their two centroids.
    Threat model: the target's answers on the records and on `shots` known members and non-members; no shadows, unless
    the features or `meta` read some.
    Deviations: scores are shares of an episode's queries that score lower. "as_released" follows the authors' code:
    queries are centred and normalised and the support is not (docs/few-shot.md lists the defects), the number of
    neighbours is chosen on 15 + 15 further labelled records, the label is not read. Its centre is the mean of the known
    members, since nobody but the trainer has that of all members; an exact copy counts as very near instead of
    dividing by zero. "mended" treats support and queries alike, centres on the support, chooses the number of
    neighbours by leaving one support record out at a time, and reads the label. `meta` is ours: an embedding that is
    trained on episodes of shadows, after Snell et al. 2017, https://arxiv.org/abs/1703.05175, with centroids instead of
    neighbours.
    Cost: O(t episodes n s d); `meta` adds the training of one small matrix for each game.

    Attributes:
        shots: known members, and known non-members, in the support of one episode.
        mode: "mended", or "as_released" with the defects of the authors' code.
        features: "logits" or "activations" without the label; "label-aware": sorted confidences and that of the label;
            "base-relative": the same and the mean confidence of out-shadows; "texts": of texts of a language model
            confidence, entropy, share of likeliest tokens, Min-K% and Min-K%++; "texts-and-base": the same and ten
            numbers of the gain over the base; "auto": as released logits, mended label-aware.
        episodes: for each target in mended mode; as released there is one for 30 records.
        meta: train an embedding on episodes of shadows.
    """

    paper: ClassVar[str] = "Jiménez-López et al., 2025, https://arxiv.org/abs/2503.09365"
    control: ClassVar[bool] = False

    shots: int = 10
    mode: Mode = "mended"
    features: Kind = "auto"
    episodes: int = 40
    meta: bool = False

    def __post_init__(self) -> None:
        features.check(self)
        if self.meta and self.mode == "as_released":
            raise ValueError("meta must be false as released, got true: use mode = 'mended'")

    @property
    def needs(self) -> Needs:
        """Access to what the features read, known records, and shadows if features or embedding read them."""
        return features.needs(self, rehearsed=self.meta)

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
        drawn = episodes.draw(game, episodes.plan_of(self.mode, self.shots, self.episodes, len(game.ids)), rng)
        learned = embedding.train(game, kind, self.shots, rng) if self.meta else None
        tables: dict[int, Rows] = {}

        def judge(target: int, episode: Episode) -> Float[Array, " q"]:
            if target not in tables:
                tables[target] = self._rows(features.rows_of(game, kind, target), learned)
            rows, bits = tables[target], episode.is_member
            support, queries = rows.known[episode.support], rows.judged[episode.queries]
            if learned is not None:
                return nearer_to_members(support, bits, queries)
            if self.mode == "as_released":
                assert game.known is not None
                centre = rows.known[game.known.is_member[target]].mean(axis=0)
                return as_released(episode, rows, centre)
            return by_neighbours(support, bits, queries)

        return Scores(game.ids, episodes.score(game, drawn, judge))

    def _rows(self, rows: Rows, learned: embedding.Embedding | None) -> Rows:
        """Rows as the mode compares them."""
        if learned is not None:
            return Rows(learned.of(rows.judged), learned.of(rows.known), rows.outside)
        return rows if self.mode == "as_released" else features.scaled(rows)


def nearer_to_members(
    support: Float[Array, "s d"], is_member: Bool[Array, " s"], queries: Float[Array, "q d"]
) -> Float[Array, " q"]:
    """Squared distance to the centroid of the non-members minus that to the members'."""
    points = np.stack([support[is_member == side].mean(axis=0) for side in (False, True)])
    distances = gallery.squared_distances(queries, points)
    return np.asarray(distances[:, 0] - distances[:, 1])


def by_neighbours(
    support: Float[Array, "s d"], is_member: Bool[Array, " s"], queries: Float[Array, "q d"]
) -> Float[Array, " q"]:
    """Members' share among the nearest points, their number chosen on the support alone."""
    points, asked = gallery.alike(support, is_member, queries)
    shares = gallery.neighbour_shares(gallery.squared_distances(asked, points.points), points.is_member)
    return np.asarray(shares[:, _neighbours(support, is_member) - 1])


def _neighbours(support: Float[Array, "s d"], is_member: Bool[Array, " s"]) -> int:
    """Number of neighbours with the least log-loss on support records that are left out in turn; ties: the larger.

    One shot leaves nothing to choose by: both points count.
    """
    if len(support) < 4:
        return len(support)
    distances, inside = gallery.left_out(support, is_member)
    share = gallery.neighbour_shares(distances, inside)
    right = np.where(is_member[:, None], share, 1 - share)
    loss = -np.log(np.maximum(right, gallery.SHORTEST)).mean(axis=0)[::2]  # 1, 3, 5, ... neighbours
    best = len(loss) - 1 - int(np.argmin(loss[::-1]))
    return 2 * best + 1


def as_released(episode: Episode, rows: Rows, centre: Float[Array, " d"]) -> Float[Array, " q"]:
    """What the authors' code does: queries are directions from a mean, the support stays as it is."""
    points = gallery.Gallery.of(rows.known[episode.support], episode.is_member)

    def shares(asked: Float[Array, "q d"]) -> Float[Array, "q g"]:
        distances = gallery.squared_distances(gallery.directions(asked, centre), points.points)
        return gallery.neighbour_shares(distances, points.is_member)

    trial, best, most = shares(rows.known[episode.validation]), 1, -1
    for number in range(1, max(len(points.points) // 2, 1) + 1, 2):
        right = episodes.found_alone(trial[:, number - 1], episode.validation_in)
        if right >= most:
            best, most = number, right
    return np.asarray(shares(rows.judged[episode.queries])[:, best - 1])
