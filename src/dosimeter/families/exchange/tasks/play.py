"""Job of one attack on one joint training: what it says of each task."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Int

from dosimeter.families.attack import attack_code
from dosimeter.families.exchange.inverting.observed import holding
from dosimeter.families.exchange.play.attack_job import AttackJob
from dosimeter.families.exchange.play.model import SharedModel
from dosimeter.families.exchange.tasks.game import TasksGame
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.keys.package_code import package_code
from dosimeter.foundation.seeds import generator
from dosimeter.jobs.arrays import arrays_hash
from dosimeter.models.architectures import as_float
from dosimeter.training.joint.job import JointJob
from dosimeter.training.joint.transcript import COORDINATOR


@dataclass(frozen=True)
class TasksJob(AttackJob):
    """One attack on one joint training; its entry holds `guesses` `[n 2]`, log-scores of left out and trained on.

    Attributes:
        arena: where it plays.
        row: the attack.
        job: the joint training.
        probes: rows of the adversary's records of each task.
        pool: rows of those of other tasks.
    """

    job: JointJob
    probes: tuple[Array, ...]
    pool: Int[Array, " p"]

    @cached_property
    def definition(self) -> dict[str, Any]:
        """Everything that the key depends on."""
        arena, row = self.arena, self.row
        named = {f"probes-{index}": one for index, one in enumerate(self.probes)}
        return {
            "kind": "tasks",
            "family": "exchange",
            "attack": [row.id, row.name, row.settings, attack_code(type(row.attack))],
            "job": self.job.key,
            "rows": arrays_hash(pool=self.pool, **named),
            "arena": [arena.seed, arena.victim, arena.adversary, arena.auxiliary],
            "code": package_code(__name__),
        }

    def perform(self) -> None:
        """Plays, and stores what the attack says."""
        rng = generator(self.arena.seed, f"attack {self.row.id}")
        found = self.log_scores(self.game(), len(self.probes), rng)
        self.store.save(self.key, {"guesses": torch.from_numpy(found)}, self.definition)

    def game(self) -> TasksGame:
        """What the attack gets: the shared layers that the adversary saw, and records of their own."""
        seen, soft = self.job.transcript().seen_by(self.arena.adversary), self.job.method == "soft"
        trunks = seen.of("parameters" if soft else "trunk", self.arena.victim if soft else COORDINATOR)
        model = SharedModel(self.job.links, self.store, self.job.parent)
        last, first = (holding(model.trunk(), trunks[at]).eval() for at in (max(trunks), min(trunks)))
        own = as_float(self.store.load(self.arena.auxiliary)["inputs"]).float()
        return TasksGame(
            np.array([f"{task:04d}" for task in range(len(self.probes))]), last, first,
            tuple(own[torch.from_numpy(rows)] for rows in self.probes), own[torch.from_numpy(self.pool)],
        )  # fmt: skip

    def load(self) -> Array:
        """Log-scores `[n 2]`."""
        found: Array = self.store.load(self.key)["guesses"].numpy()
        return found
