"""Job that says what the victim's last layer was at some steps, and by which gradient it moved.

No party sends it. A threat with `head = "seen"` asks what would be told if the last layer were shared like the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from dosimeter.families.exchange.play.model import SharedModel
from dosimeter.families.exchange.records.watching import Heads
from dosimeter.foundation.keys.package_code import package_code
from dosimeter.jobs.keyed import FollowingJob
from dosimeter.training.joint.job import JointJob
from dosimeter.training.joint.organisation import Holding, Organisation
from dosimeter.training.joint.transcript import COORDINATOR


@dataclass(frozen=True)
class HeadsJob(FollowingJob):
    """The victim's last layer at each step; its entry holds `parameters/i/name` and `gradient/i/name` by step.

    The victim's part of the training is done again with the trunks that crossed, which ends in the same state; the
    gradient follows from how the last layer moved.

    Attributes:
        job: the joint training; of "fedavg" with one local step.
        victim: number of the party.
        steps: numbers of the steps, rising.
    """

    job: JointJob
    victim: int
    steps: tuple[int, ...]

    @property
    def follows(self) -> JointJob:
        """Implements `FollowingJob`."""
        return self.job

    @cached_property
    def definition(self) -> dict[str, Any]:
        """Everything that the key depends on."""
        return {
            "kind": "exchange heads", "job": self.job.key, "victim": self.victim, "steps": list(self.steps),
            "code": package_code(__name__),
        }  # fmt: skip

    @property
    def place(self) -> str:
        """The stage and the party."""
        return f"{self.job.place}, last layer of {self.job.members[self.victim].name}"

    @property
    def alike(self) -> object:
        """Implements `Costed`."""
        return ("heads", self.job.alike)

    @property
    def size(self) -> int:
        """Implements `Costed`."""
        return 0

    def cost(self, pace: Any) -> float:
        """Implements `Costed`: one party's share of the joint training."""
        return float(self.job.cost(pace)) / len(self.job.members)

    def perform(self) -> None:
        """Does the victim's part again, and stores what is asked for."""
        party, method, found = self._party(), self.job.method, dict[str, Tensor]()
        soft = method == "soft"
        name = self.job.members[self.victim].name
        trunks = self.job.transcript().of("parameters" if soft else "trunk", name if soft else COORDINATOR)
        hp = self.job.links[-1].hyperparameters
        velocity = {one: torch.zeros_like(values) for one, values in party.head().items()}
        for step in range(self.steps[-1] + 1):
            before = party.head()
            party.adopt(trunks[step])
            party.update(step, 1) if method == "fedavg" else party.gradient(step)
            for one, now in party.head().items():
                moved = (before[one] - now) / hp.lr_at(step, self.job.steps)
                if step in self.steps:
                    gradient = moved - hp.momentum * velocity[one] - hp.weight_decay * before[one]
                    found |= {f"parameters/{step}/{one}": before[one].cpu(), f"gradient/{step}/{one}": gradient.cpu()}
                velocity[one] = moved
        self.store.save(self.key, found, self.definition)

    def load(self, steps: tuple[int, ...]) -> Heads:
        """The last layer at some of the steps, and the gradient of it."""
        stored, found = self.store.load(self.key), {}
        for step in steps:
            parts = {
                kind: {
                    name.rpartition("/")[2]: one for name, one in stored.items() if name.startswith(f"{kind}/{step}/")
                }
                for kind in ("parameters", "gradient")
            }  # fmt: skip
            out, width = parts["parameters"]["weight"].shape
            head = nn.Linear(width, out, bias="bias" in parts["parameters"])
            head.load_state_dict(parts["parameters"])
            found[step] = head, parts["gradient"]
        return found

    def _party(self) -> Organisation:
        """The victim as it began."""
        job, index = self.job, self.victim
        own = job.members[index]
        data = self.store.load(own.data)
        shared = SharedModel(job.links, self.store, job.parent)
        return Organisation(
            own.name, Holding(data["inputs"], data["labels"], own.batches),
            (shared.trunk(), shared.head(job.head_seed(index))), job.recipe(own), seed=job.party_seed(index),
            device=torch.device(job.device), method=job.method,
        )  # fmt: skip
