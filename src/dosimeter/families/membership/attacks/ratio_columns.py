"""Columns of a learned ratio: what LiRA and BASE read of a record, free of the scale of confidences."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import rankdata

from dosimeter.families.membership.attacks import reading
from dosimeter.families.membership.attacks.shadows.base import BASE
from dosimeter.families.membership.attacks.shadows.lira import LiRA
from dosimeter.families.membership.game import MembershipGame
from dosimeter.foundation.arrays import Array

PARTS = (BASE("online", 1.0), BASE("online", 2.0))
SIGNALS = ("logit_confidence", "logit_confidence_t2")
_NONE = np.random.default_rng(0)  # no part draws
_LEAST = 1e-6  # nats, as the scales of LiRA have
_BEND = 0.05  # of the scale; keeps the logarithm of a deviation of 0 finite


@dataclass(frozen=True)
class Columns:
    """Columns of every record under some targets.

    Attributes:
        values: the columns; first those that rise with the target's confidence `[t n d]`.
        rising: number of these.
    """

    values: Float[Array, "t n d"]
    rising: int

    def of(self, rows: Int[Array, " k"]) -> Float[Array, "r d"]:
        """Columns of some records under all targets, target by target."""
        return self.values[:, rows].reshape(-1, self.values.shape[2])


def scale_of(game: MembershipGame) -> float:
    """Deviation of confidences about a record's own mean, pooled over records and sides; two pairs of shadows at least.

    One number for a game and for all rehearsals in it, so that columns of both are on one scale.
    """
    sides = reading.sides(game, SIGNALS[0])
    return max(float(np.sqrt(np.mean([side.var(axis=0, ddof=1).mean() for side in sides]))), _LEAST)


def columns_of(game: MembershipGame, scale: float) -> Columns:
    """The columns of a game; confidences are means over views.

    With phi the target's confidence, mu_in and mu_out the means over its shadows, s the scale and m the median of
    mu_out over records, these rise with phi: (phi - mu_out) / s, (phi - mu_in) / s, (phi - m) / s, BASE at temperatures
    1 and 2, the log of the confidence at 2, the ratio of two normal laws of deviation s, and LiRA's own ratio. Those
    of the record alone: the log of the shadows' mean confidence at 2, (mu_in - mu_out) / s, (mu_out - m) / s,
    (mu_in - m) / s, the shares of records with lower mu_out and mu_in, and the logs of the deviations over s. LiRA and
    the deviations need two pairs of shadows; with one pair they are left out.
    """
    phi = game.outputs[SIGNALS[0]].mean(axis=1)
    inside, outside = reading.sides(game, SIGNALS[0])
    mu_in, mu_out = inside.mean(axis=(0, 1)), outside.mean(axis=(0, 1))
    middle = np.median(mu_out)
    at_one, at_two = (part.run(game, _NONE).values for part in PARTS)
    own = np.stack([reading.log_mean_confidence(one[None]) for one in game.outputs[SIGNALS[1]]])
    normal = ((phi - mu_out) ** 2 - (phi - mu_in) ** 2) / (2 * scale**2)
    rising = [(phi - mu_out) / scale, (phi - mu_in) / scale, (phi - middle) / scale, at_one, at_two, own, normal]
    n = len(game.ids)
    fixed = [
        (mu_in - mu_out) / scale, (mu_out - middle) / scale, (mu_in - middle) / scale,
        rankdata(mu_out) / n, rankdata(mu_in) / n,
    ]  # fmt: skip
    if len(inside) > 1:
        rising.append(LiRA("online").run(game, _NONE).values)
        fixed += [np.log(side.mean(axis=1).std(axis=0, ddof=1) / scale + _BEND) for side in (outside, inside)]
    alike = [np.broadcast_to(column, phi.shape) for column in fixed]
    return Columns(np.stack([*rising, own - at_two, *alike], axis=-1), len(rising))


def without_pair(game: MembershipGame, pair: int) -> MembershipGame:
    """The game without one pair of its shadows, and without population, which no column reads."""
    kept = np.delete(np.arange(game.n_shadows), [2 * pair, 2 * pair + 1])
    shadows = {name: game.shadow_outputs[name][kept] for name in SIGNALS}
    return replace(game, shadow_outputs=shadows, shadow_in=game.shadow_in[kept], population=None)
