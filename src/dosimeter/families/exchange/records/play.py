"""Job of one attack on some batches of one joint training: the records that it makes of each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from dosimeter.families.attack import attack_code
from dosimeter.families.exchange.play.attack_job import AttackJob
from dosimeter.families.exchange.play.job import PlayJob
from dosimeter.families.exchange.records.game import RecordsGame
from dosimeter.families.exchange.records.heads import HeadsJob
from dosimeter.families.exchange.records.watching import watched
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import AuditError
from dosimeter.foundation.keys.package_code import package_code
from dosimeter.foundation.seeds import generator
from dosimeter.training.joint.job import JointJob

PORTION = 5
"""Batches of one job, so that a run goes on where it stopped, and workers share what is slow."""
TWICE = 2.0
"""Work of a gradient that is itself differentiated, in gradients."""
CALLS = 3e-3
"""Seconds that calls take for each gradient of a guess, on one core of 2024; of small models most of the time."""


@dataclass(frozen=True)
class RebuildJob(AttackJob):
    """One attack on some batches; its entry holds `records` `[n k ...]`.

    Attributes:
        arena: where it plays.
        row: the attack.
        job: the joint training.
        steps: steps of these batches.
        box: least and largest number of a record, if they are known.
        heads: what the victim's last layer was; None where it is private, or not read.
    """

    job: JointJob
    steps: tuple[int, ...]
    box: tuple[float, float] | None
    heads: HeadsJob | None = None

    @cached_property
    def definition(self) -> dict[str, Any]:
        """Everything that the key depends on."""
        arena, row = self.arena, self.row
        return {
            "kind": "rebuilding",
            "family": "exchange",
            "attack": [row.id, row.name, row.settings, attack_code(type(row.attack))],
            "job": self.job.key,
            "steps": list(self.steps),
            "box": self.box,
            "heads": None if self.heads is None else self.heads.key,
            "arena": [arena.seed, arena.victim, arena.adversary, arena.auxiliary],
            "code": package_code(__name__),
        }

    @property
    def alike(self) -> object:
        """Implements `Costed`."""
        return ("rebuilding", self.row.id)

    @property
    def size(self) -> int:
        """Implements `Costed`."""
        batch = int(self.job.members[0].batches.shape[1]) * self.job.local_steps
        return 4 * len(self.steps) * batch * int(np.prod(self.job.links[-1].shape))

    def cost(self, pace: Any) -> float:
        """Implements `Costed`: gradients of guesses, each of them differentiated."""
        passes = int(getattr(self.row.attack, "passes", 0))
        each = float(self.job.cost(pace)) / (len(self.job.members) * self.job.steps)
        return len(self.steps) * passes * (each * TWICE + CALLS)

    def perform(self) -> None:
        """Plays, and stores what the attack makes."""
        game = self.game()
        values = self.played(game, generator(self.arena.seed, f"attack {self.row.id}", self.steps[0]))
        wanted = (1, len(self.steps), game.size, *self._shape(game))
        if values.shape != wanted or not np.isfinite(values).all():
            raise AuditError(
                f"{self.place}: must give finite reconstructions of shape {wanted}, got {values.shape}: correct it"
            )
        self.store.save(self.key, {"records": torch.from_numpy(values[0].astype(np.float32))}, self.definition)

    def game(self) -> RecordsGame:
        """What the attack gets: what the adversary saw, and what is theirs."""
        heads = {} if self.heads is None else self.heads.load(self.steps)
        inner = PlayJob(self.arena, self.row, self.job, (1.0, 0.0)).game()
        channel = self.row.attack.needs.channel
        return watched(inner, self.steps, channel, self.job.links[-1].classes, self.box, heads)

    def load(self) -> Array:
        """Reconstructions `[n k ...]`."""
        found: Array = self.store.load(self.key)["records"].numpy()
        return found

    def _shape(self, game: RecordsGame) -> tuple[int, ...]:
        """Shape of one thing that the attack makes."""
        known = game.auxiliary.inputs[:1]
        if self.row.attack.needs.makes == "records":
            return tuple(known.shape[1:])
        with torch.no_grad():
            return tuple(game.trunks[0](known.float()).shape[1:])
