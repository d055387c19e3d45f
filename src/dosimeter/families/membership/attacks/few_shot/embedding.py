"""An embedding that is trained on episodes of shadows: a matrix under which centroids of a few records tell members.

Prototypical networks with a linear embedding (Snell, Swersky, Zemel 2017, arXiv:1703.05175): in each episode a shadow
plays target, a few records of either side are its support, and other records are told apart by their distances to the
two centroids. Nothing of the target enters.

Axes: `d` numbers of a record, `e` of an embedded one, `b` episodes at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dosimeter.families.membership.attacks.few_shot import features
from dosimeter.families.membership.game import MembershipGame
from dosimeter.foundation.arrays import Array

PAIRS = 8
"""Most pairs of shadows that play target in training."""
STEPS, AT_ONCE, QUERIES, RATE = 200, 16, 32, 0.03
"""Updates of Adam, episodes of each, queries of either side, learning rate."""


@dataclass(frozen=True)
class Embedding:
    """A linear map of scaled rows.

    Attributes:
        middle: median of each number among the shadows' rows `[d]`.
        spread: half the width between the quantiles .16 and .84 `[d]`.
        matrix: `[d e]`.
    """

    middle: Float[Array, " d"]
    spread: Float[Array, " d"]
    matrix: Float[Array, "d e"]

    def scale(self, rows: Float[Array, "n d"]) -> Float[Array, "n d"]:
        """Rows in units of the shadows' spread."""
        return np.clip((rows - self.middle) / self.spread, -features.FAR, features.FAR)

    def of(self, rows: Float[Array, "n d"]) -> Float[Array, "n e"]:
        """Embedded rows."""
        return np.asarray(self.scale(rows) @ self.matrix)


def train(game: MembershipGame, kind: str, shots: int, rng: np.random.Generator) -> Embedding:
    """Trains an embedding on the shadows of a game.

    Args:
        game: with known records and at least one pair of shadows.
        kind: of the features; relative to a base, a second pair is needed.
        shots: records of either side in a support.
        rng: generator for the draws.
    """
    tables, bits = [], []
    for pair in range(min(PAIRS, game.n_shadows // 2)):
        rehearsal, is_member = game.rehearse(pair)
        assert rehearsal.known is not None
        for shadow in range(2):
            rows = features.rows_of(rehearsal, kind, shadow)
            tables.append(np.concatenate([rows.judged, rows.known]))
            bits.append(np.concatenate([is_member[shadow], rehearsal.known.is_member[shadow]]))
    values = np.stack(tables)
    flat = values.reshape(-1, values.shape[-1])
    low, middle, high = np.quantile(flat, [0.16, 0.5, 0.84], axis=0)
    spread = np.where(high > low, (high - low) / 2, np.maximum(flat.std(axis=0), 1e-12))
    start = Embedding(middle, spread, np.eye(values.shape[-1]) / np.sqrt(values.shape[-1]))
    matrix = _fit(np.stack([start.scale(one) for one in tables]), np.stack(bits), start.matrix, shots, rng)
    return Embedding(middle, spread, matrix)


def _fit(
    values: Float[Array, "m r d"], bits: Bool[Array, "m r"], start: Float[Array, "d e"], shots: int,
    rng: np.random.Generator,
) -> Float[Array, "d e"]:  # fmt: skip
    """The matrix after training, by Adam on the cross-entropy of the queries."""
    table = torch.from_numpy(values)
    matrix = torch.from_numpy(start.copy()).requires_grad_()
    optimizer = torch.optim.Adam([matrix], lr=RATE)
    sides = [[rng.permutation(np.flatnonzero(row == side)) for side in (False, True)] for row in bits]
    each = min(shots + QUERIES, min(len(side) for row in sides for side in row))
    for _ in range(STEPS):
        models, begins = rng.integers(len(values), size=AT_ONCE), rng.random((AT_ONCE, 2))
        rows = np.stack(
            [
                [_next(side, begin, each) for side, begin in zip(sides[model], own, strict=True)]
                for model, own in zip(models, begins, strict=True)
            ]
        )
        drawn = table[torch.from_numpy(models)[:, None, None], torch.from_numpy(rows)]  # [b 2 each d]
        loss = _loss(drawn @ matrix, min(shots, each - 1))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return matrix.detach().numpy()


def _next(side: Int[Array, " r"], begin: float, each: int) -> Int[Array, " e"]:
    """Some records of one side, in its shuffled order from a place on; no record twice."""
    return np.asarray(side[(int(begin * len(side)) + np.arange(each)) % len(side)])


def _loss(rows: Float[Tensor, "b 2 r e"], shots: int) -> Tensor:
    """Mean cross-entropy of the queries, whose log-odds are differences of squared distances to the centroids."""
    centroids, queries = rows[:, :, :shots].mean(2), rows[:, :, shots:]
    distances = (queries[:, :, :, None] - centroids[:, None, None]).square().sum(-1)  # [b side query centroid]
    truth = torch.arange(2)[None, :, None].expand(distances.shape[:3])
    return torch.nn.functional.cross_entropy(-distances.flatten(0, 2), truth.flatten())
