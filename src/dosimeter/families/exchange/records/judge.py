"""Job that compares what an attack made of some batches with the records that were in them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dosimeter.families.exchange.records.play import RebuildJob
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.keys.package_code import package_code
from dosimeter.jobs.arrays import arrays_hash
from dosimeter.jobs.keyed import FollowingJob
from dosimeter.models.architectures import as_float
from dosimeter.statistics.leakage.matched import matched
from dosimeter.statistics.leakage.pixels import spreads


@dataclass(frozen=True)
class JudgeJob(FollowingJob):
    """What reconstructions of one joint training are worth.

    Its entry holds `error` `[n b]`, the mean squared error of the reconstruction that belongs to each true record;
    `made` `[n b]`, which it is; `lineup` `[b n n]`, minus the error of the nearest reconstruction of batch i for the
    record at each place of batch j; and `null_lineup` `[n n]`, the same for records that were in none of the batches.

    Attributes:
        plays: the plays of one attack, of all batches in order.
        rows: rows of each batch `[n b]`.
        others: rows of records that were in none `[n]`.
        pictures: whether records are pictures with numbers in [0, 1]; numbers of others are divided by their spread.
    """

    plays: tuple[RebuildJob, ...]
    rows: Int[Array, "n b"]
    others: Int[Array, " n"]
    pictures: bool

    @property
    def follows(self) -> RebuildJob:
        """Implements `FollowingJob`."""
        return self.plays[0]

    @cached_property
    def definition(self) -> dict[str, Any]:
        """Everything that the key depends on."""
        return {
            "kind": "rebuilding judged", "family": "exchange", "plays": [one.key for one in self.plays],
            "rows": arrays_hash(rows=self.rows, others=self.others), "pictures": self.pictures,
            "code": package_code(__name__),
        }  # fmt: skip

    @property
    def place(self) -> str:
        """What is judged, in words."""
        return f"judging of {self.plays[0].place}"

    def perform(self) -> None:
        """Judges and stores."""
        first, made = self.plays[0], np.concatenate([one.load() for one in self.plays])
        member = next(one for one in first.job.members if one.name == first.arena.victim)
        victims = as_float(self.store.load(member.data)["inputs"]).float()
        known = as_float(self.store.load(first.arena.auxiliary)["inputs"]).float()
        features = first.row.attack.needs.makes == "features"
        trunks = [trunk for one in self.plays for trunk in one.game().trunks] if features else [None] * len(made)
        wanted = torch.from_numpy(np.concatenate([self.rows.T.ravel(), self.others]))
        n, b = self.rows.shape
        error, place, lineup = np.empty((n, b)), np.empty((n, b), np.int64), np.empty((n, b + 1, n))
        for batch, trunk in enumerate(trunks):
            own = _units(victims[wanted], known, trunk, pictures=self.pictures)
            scaled, scale = own
            rebuilt = made[batch].reshape(len(made[batch]), -1).astype(np.float64) / scale
            best = matched(rebuilt, scaled.reshape(b + 1, n, -1)[:b, batch])
            error[batch], place[batch] = best.error, best.made
            lineup[batch] = -_least_error(rebuilt, scaled).reshape(b + 1, n)
        found = {
            "error": error, "made": place, "lineup": lineup[:, :b].transpose(1, 0, 2).copy(),
            "null_lineup": lineup[:, b].copy(),
        }  # fmt: skip
        self.store.save(self.key, {name: torch.from_numpy(one) for name, one in found.items()}, self.definition)

    def load(self) -> dict[str, Array]:
        """What `perform` found."""
        return {name: tensor.numpy() for name, tensor in self.store.load(self.key).items()}


def _units(
    victims: Tensor, known: Tensor, trunk: nn.Module | None, *, pictures: bool
) -> tuple[Float[Array, "c p"], Float[Array, " p"]]:
    """Candidates as numbers of one unit, and by what these were divided."""
    if trunk is not None:
        with torch.no_grad():
            victims, known = trunk(victims), trunk(known)
    flat, own = (one.flatten(1).double().numpy() for one in (victims, known))
    scale = np.ones(flat.shape[1]) if pictures and trunk is None else spreads(own)
    return flat / scale, scale


def _least_error(made: Float[Array, "k p"], candidates: Float[Array, "c p"]) -> Float[Array, " c"]:
    """Mean squared error of the nearest reconstruction of each candidate."""
    pair = torch.from_numpy(candidates), torch.from_numpy(made)
    apart = torch.cdist(*pair, compute_mode="donot_use_mm_for_euclid_dist")  # products would round small errors away
    least: Array = (apart.min(1).values.square() / made.shape[1]).numpy()
    return least
