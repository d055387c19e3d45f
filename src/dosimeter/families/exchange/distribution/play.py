"""Jobs of a threat about a distribution: joint trainings of which predictions alone are kept, and attacks on them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from dosimeter.families.attack import NamedAttack
from dosimeter.families.exchange.attacks.simulating import observed_in, read
from dosimeter.families.exchange.distribution.game import DistributionGame
from dosimeter.families.exchange.inferring.distributions import Own
from dosimeter.families.exchange.inverting.observed import holding
from dosimeter.families.exchange.play.job import Arena
from dosimeter.families.exchange.play.model import SharedModel
from dosimeter.families.exchange.threat import Channel
from dosimeter.families.play import AttackJob, attack_key, blamed, log_scores
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.keys.package_code import package_code
from dosimeter.foundation.seeds import generator
from dosimeter.jobs.arrays import arrays_hash
from dosimeter.jobs.keyed import FollowingJob
from dosimeter.models.architectures import as_float
from dosimeter.training.joint.job import JointJob
from dosimeter.training.joint.methods import SHOWING
from dosimeter.training.joint.transcript import COORDINATOR, Transcript


@dataclass(frozen=True)
class WorldJob(FollowingJob):
    """Trains jointly and asks the adversary's model for its probe records; the messages themselves are not kept.

    Its entry holds `predictions` `[n c]`, and as `messages/channel` the mean over steps of what each message says in
    numbers `[d]`. The model is what the adversary has at the end: the shared layers that it
    was sent, and its own last layer, or the one that the source sends it. Zhang, Tople and Ohrimenko ("Leakage of
    Dataset Properties in Multi-Party Machine Learning", USENIX Security 2021, https://arxiv.org/abs/2006.07267) read
    the jointly trained model so.

    Attributes:
        arena: where attacks play.
        job: the joint training, which is done here and not stored.
        probes: rows of the adversary's probe records `[n]`.
        channels: what of the messages is kept.
    """

    arena: Arena
    job: JointJob
    probes: Int[Array, " n"]
    channels: tuple[Channel, ...]

    @property
    def follows(self) -> JointJob:
        """Implements `FollowingJob`."""
        return self.job

    @cached_property
    def definition(self) -> dict[str, Any]:
        """Everything that the key depends on."""
        arena = self.arena
        return {
            "kind": "exchange world", "job": self.job.key, "victim": arena.victim, "adversary": arena.adversary,
            "auxiliary": arena.auxiliary, "rows": arrays_hash(probes=self.probes), "channels": list(self.channels),
            "code": package_code(__name__),
        }  # fmt: skip

    @property
    def trained(self) -> int:
        """Number of models that the job trains."""
        return 1

    @property
    def alike(self) -> object:
        """Implements `Costed`."""
        return ("exchange world", self.job.alike)

    @property
    def size(self) -> int:
        """Implements `Costed`."""
        return 4 * len(self.probes) * self.job.links[-1].classes

    def cost(self, pace: Any) -> float:
        """Implements `Costed`."""
        return self.job.cost(pace)

    def perform(self) -> None:
        """Trains and asks."""
        job, arena = self.job, self.arena
        tensors = job.train()
        seen, soft = job.transcript_in(tensors).seen_by(arena.adversary), job.method == "soft"
        trunks = seen.of("parameters" if soft else "trunk", arena.victim if soft else COORDINATOR)
        owner = job.members[0].name if job.method in SHOWING else arena.adversary
        mark = f"heads/{owner}/"
        head = {name.removeprefix(mark): one for name, one in tensors.items() if name.startswith(mark)}
        trunk, last = SharedModel(job.links, job.store, job.parent).parts(0)
        model = torch.nn.Sequential(holding(trunk, trunks[max(trunks)]), holding(last, head)).eval()
        inputs = as_float(job.store.load(arena.auxiliary)["inputs"]).float()[torch.from_numpy(self.probes)]
        with torch.inference_mode():
            found = {"predictions": torch.softmax(model(inputs).double(), 1).float()}
        found |= {f"messages/{one}": self._mean(seen, one) for one in self.channels}
        self.store.save(self.key, found, self.definition)

    def _mean(self, seen: Transcript, channel: Channel) -> Tensor:
        """The mean over all steps of what the victim's messages of a channel say.

        Gradients are read in both ways of `batch_property`: entries depend on the victim's last layer, but what the
        adversary plays are whole trainings, with last layers of their own, over which that evens out.
        """
        told = observed_in(seen, channel, (self.arena.victim, self.arena.adversary), dict)
        rows = [read(channel, {name: one[None] for name, one in step.items()}, "both") for step in told.values()]
        return torch.cat(rows).double().mean(0)

    def load_messages(self, channel: str) -> Float[Array, " d"]:
        """The mean of all messages of a channel, once the job is done."""
        found: Array = self.store.load(self.key)[f"messages/{channel}"].numpy()
        return found

    def load(self) -> Float[Array, "n c"]:
        """Probabilities of the probe records, once the job is done."""
        found: Array = self.store.load(self.key)["predictions"].numpy()
        return found.astype(np.float64)


@dataclass(frozen=True)
class DistributionJob(AttackJob):
    """One attack on all trainings; its entry holds `guesses` `[v 2]`, log-scores of world 0 and world 1.

    Attributes:
        arena: where it plays.
        row: the attack.
        victims: trainings that are guessed.
        own: trainings that the adversary played.
        world: of each of those.
        probe_world: the world from which each probe record was drawn.
    """

    arena: Arena
    row: NamedAttack
    victims: tuple[WorldJob, ...]
    own: tuple[WorldJob, ...]
    world: Int[Array, " m"]
    probe_world: Int[Array, " n"]

    @property
    def follows(self) -> JointJob:
        """Implements `FollowingJob`."""
        return self.victims[0].job

    @cached_property
    def definition(self) -> dict[str, Any]:
        """Everything that the key depends on."""
        return {
            "kind": "distribution",
            "family": "exchange",
            "attack": attack_key(self.row),
            "victims": [one.key for one in self.victims],
            "own": [one.key for one in self.own],
            "worlds": arrays_hash(world=self.world, probe_world=self.probe_world),
            "seed": self.arena.seed,
            "code": package_code(__name__),
        }

    def perform(self) -> None:
        """Plays, and stores what the attack says."""
        with blamed(self.row):
            found = self.row.attack.run(self.game(), generator(self.arena.seed, f"attack {self.row.id}"))
            values = np.asarray(found.values)
        self.store.save(self.key, log_scores(self.row, values, (len(self.victims), 2)), self.definition)

    def game(self) -> DistributionGame:
        """What the attack gets: predictions of the adversary's model in each training, and of trainings of its own."""
        asked, known = (np.stack([one.load() for one in jobs]) for jobs in (self.victims, self.own))
        labels = self.store.load(self.arena.auxiliary)["labels"].numpy()[self.victims[0].probes].astype(np.int64)
        ids = np.array([f"{one:04d}" for one in range(len(asked))])
        channel, messages = self.row.attack.needs.channel, None
        if channel not in (None, "trunk"):
            first, second = (
                np.stack([one.load_messages(channel) for one in jobs]) for jobs in (self.victims, self.own)
            )
            messages = first, second
        return DistributionGame(ids, asked, Own(known, self.world, labels, self.probe_world), messages)

    def load(self) -> Array:
        """Log-scores `[v 2]`."""
        found: Array = self.store.load(self.key)["guesses"].numpy()
        return found
