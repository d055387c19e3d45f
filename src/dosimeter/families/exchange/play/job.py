"""Job of one attack on one joint training: what it says of the victim's batch at each step."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from dosimeter.families.attack import NamedAttack
from dosimeter.families.exchange.game import Auxiliary, ExchangeGame, Own
from dosimeter.families.exchange.play.model import SharedModel
from dosimeter.families.exchange.play.received import ReceivedJob
from dosimeter.families.play import AttackJob, attack_key, blamed, log_scores
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.keys.package_code import package_code
from dosimeter.foundation.seeds import generator
from dosimeter.jobs.arrays import arrays_hash
from dosimeter.models.architectures import as_float
from dosimeter.training.joint.job import JointJob, Member
from dosimeter.training.joint.transcript import Transcript

FITTING = 4e-3
"""Seconds to fit classifiers, for each simulated batch, on one core of 2024; a rough guess."""


@dataclass(frozen=True)
class Arena:
    """Where the attacks of a case play; it holds no record, label, property or coin of the victim.

    Attributes:
        seed: root of all randomness.
        victim: the party whose batches are the secret.
        adversary: another party, or the coordinator.
        auxiliary: key of the adversary's own records.
        known: whether each of these has the property `[p]`.
    """

    seed: int
    victim: str
    adversary: str
    auxiliary: str
    known: Bool[Array, " p"]


@dataclass(frozen=True)
class PlayJob(AttackJob):
    """One attack on one joint training; its entry holds `guesses` `[n 2]`, log-scores of both sides at each step.

    Attributes:
        arena: where it plays.
        row: the attack.
        job: the joint training, or what was recorded of one.
        mixture: shares of records with the property in a batch, of both sides.
    """

    arena: Arena
    row: NamedAttack
    job: JointJob | ReceivedJob
    mixture: tuple[float, float]

    @property
    def follows(self) -> JointJob | ReceivedJob:
        """Implements `FollowingJob`."""
        return self.job

    @cached_property
    def definition(self) -> dict[str, Any]:
        """Everything that the key depends on."""
        arena, row = self.arena, self.row
        return {
            "kind": "play",
            "family": "exchange",
            "attack": attack_key(row),
            "job": self.job.key,
            "mixture": list(self.mixture),
            "arena": [arena.seed, arena.victim, arena.adversary, arena.auxiliary, arrays_hash(known=arena.known)],
            "code": package_code(__name__),
        }

    @property
    def alike(self) -> object:
        """Implements `Costed`."""
        return ("play", self.row.id, self.mixture)

    @property
    def size(self) -> int:
        """Implements `Costed`."""
        return 16 * self.job.steps

    def cost(self, pace: Any) -> float:
        """Implements `Costed`: simulated batches, and a rough guess for the classifiers."""
        per_step = int(getattr(self.row.attack, "batches_per_step", 0))
        each = float(self.job.cost(pace)) / (len(self.job.members) * self.job.steps)
        return self.job.steps * per_step * (each + FITTING)

    def perform(self) -> None:
        """Plays, and stores what the attack says."""
        game = self.game()
        index = [round(1000 * share) for share in self.mixture]
        with blamed(self.row):
            found = self.row.attack.run(game, generator(self.arena.seed, f"attack {self.row.id}", *index))
            values = np.asarray(found.values)
        self.store.save(self.key, log_scores(self.row, values, (len(game.ids), 2)), self.definition)

    def game(self) -> ExchangeGame:
        """What the attack gets: what the adversary saw and what is theirs; the yardstick classes in place of that."""
        arena, job, store = self.arena, self.job, self.store
        own = store.load(arena.auxiliary)
        auxiliary = Auxiliary(as_float(own["inputs"]), own["labels"], arena.known)
        labels = self.row.attack.needs.reads == "labels"
        transcript = job.transcript()
        seen = Transcript(transcript.agreement, ()) if labels else transcript.seen_by(arena.adversary)
        return ExchangeGame(
            ids=np.array([f"{step:06d}" for step in range(job.steps)]),
            seen=seen,
            adversary=arena.adversary,
            victim=arena.victim,
            mixture=self.mixture,
            batch=int(job.members[0].batches.shape[1]),
            auxiliary=auxiliary,
            own=self._own(),
            model=SharedModel(job.links, store, job.parent),
            recipe=job.recipe(self._member(arena.victim)),
            classes=self._classes() if labels else None,
        )

    def _own(self) -> Own | None:
        """What the adversary trains on; None for the coordinator, and where it was not recorded."""
        names, job = [one.name for one in self.job.members], self.job
        if self.arena.adversary not in names or isinstance(job, ReceivedJob):
            return None
        index, own = names.index(self.arena.adversary), self._member(self.arena.adversary)
        data, rows = self.store.load(own.data), torch.from_numpy(own.batches)
        head = SharedModel(job.links, self.store, job.parent).head(job.head_seed(index))
        return Own(
            as_float(data["inputs"])[rows], data["labels"][rows], head, job.recipe(own), job.party_seed(index),
            own.active is not None,
        )  # fmt: skip

    def _member(self, name: str) -> Member:
        """A party by name."""
        return next(one for one in self.job.members if one.name == name)

    def _classes(self) -> Array:
        """How often each class is in the victim's batch of each step `[n c]`, for the yardstick."""
        victim = self._member(self.arena.victim)
        labels: Tensor = self.store.load(victim.data)["labels"][torch.from_numpy(victim.batches)]
        steps = labels.long().reshape(self.job.steps, -1)
        classes: Array = torch.nn.functional.one_hot(steps, self.job.links[-1].classes).sum(1).numpy()
        return classes.astype(np.float64)

    def load(self) -> Array:
        """Log-scores `[n 2]`."""
        found: Array = self.store.load(self.key)["guesses"].numpy()
        return found
