"""Job that asks two models of the receiver for test records: the joint one, and one made without the exchange."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from dosimeter.families.exchange.play.model import SharedModel
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.keys.package_code import package_code
from dosimeter.foundation.seeds import seed_for
from dosimeter.jobs.keyed import FollowingJob
from dosimeter.models.architectures import as_float
from dosimeter.training.joint.job import JointJob
from dosimeter.training.joint.methods import SHOWING
from dosimeter.training.joint.organisation import Holding, Organisation, keeper_of
from dosimeter.training.joint.protocols import fedavg, fedsgd
from dosimeter.training.joint.transcript import Wire


@dataclass(frozen=True)
class AnswersJob(FollowingJob):
    """Whether each test record is classified rightly; its entry holds `joint` and `alone` `[n]`.

    The model alone takes the same steps, on the receiver's batches, with the same recipe. Nothing is exchanged for it,
    so it needs no defense of messages and has none. Methods that align use no labels of the receiver, so there the
    source's model is asked that was trained on the source's batches alone.

    Attributes:
        job: the joint training.
        receiver: number of the party whom the transfer is for.
        test: key of the test records.
    """

    job: JointJob
    receiver: int
    test: str

    @property
    def follows(self) -> JointJob:
        """Implements `FollowingJob`."""
        return self.job

    @cached_property
    def definition(self) -> dict[str, Any]:
        """Everything that the key depends on."""
        return {
            "kind": "exchange answers", "job": self.job.key, "receiver": self.receiver, "test": self.test,
            "code": package_code(__name__),
        }  # fmt: skip

    @property
    def place(self) -> str:
        """The stage and the party."""
        return f"{self.job.place}, accuracy for {self.job.members[self.receiver].name}"

    @property
    def trained(self) -> int:
        """Number of models that the job trains."""
        return 1

    @property
    def alike(self) -> object:
        """Implements `Costed`."""
        return ("answers", self.job.alike)

    @property
    def size(self) -> int:
        """Implements `Costed`."""
        return 0

    def cost(self, pace: Any) -> float:
        """Implements `Costed`: one party's share of the joint training."""
        return self.job.cost(pace) / len(self.job.members)

    @property
    def teacher(self) -> int:
        """Number of the party whose labels train the receiver's head."""
        return 0 if self.job.method in SHOWING else self.receiver

    def perform(self) -> None:
        """Trains the model alone, and asks both."""
        data = self.store.load(self.test)
        inputs, labels = as_float(data["inputs"]), data["labels"]
        found = {}
        for name, (trunk, head) in (("joint", self._joint()), ("alone", self._alone())):
            network, last = SharedModel(self.job.links, self.store, self.job.parent).parts(0)
            network.load_state_dict(dict(trunk))
            last.load_state_dict(dict(head))
            with torch.inference_mode():
                found[name] = last(network.eval()(inputs)).argmax(1) == labels
        self.store.save(self.key, found, self.definition)

    def load(self, name: str) -> Bool[Array, " n"]:
        """Whether each answer of the joint model, or of that "alone", is right."""
        found: Array = self.store.load(self.key)[name].numpy()
        return found

    def _joint(self) -> tuple[Mapping[str, Tensor], Mapping[str, Tensor]]:
        """Trunk and head of the jointly trained model."""
        stored, name = self.store.load(self.job.key), self.job.members[self.teacher].name
        mark = f"heads/{name}/"
        head = {key.removeprefix(mark): one for key, one in stored.items() if key.startswith(mark)}
        return self.job.trunk_of(name), head

    def _alone(self) -> tuple[Mapping[str, Tensor], Mapping[str, Tensor]]:
        """Trunk and head of one party that trains by itself, with the agreed recipe and its own batches."""
        job, index = self.job, self.teacher
        member, device = job.members[index], torch.device(job.device)
        hp = replace(job.links[-1].hyperparameters, defenses=())
        trunk, head = SharedModel(job.links, job.store, job.parent).parts(seed_for(job.seed, "alone"))
        data = job.store.load(member.data)
        party = Organisation(
            member.name, Holding(data["inputs"], data["labels"], member.batches), (trunk, head), hp,
            seed=seed_for(job.seed, "party", index), device=device,
        )  # fmt: skip
        keeper, wire = keeper_of(job.agreement, trunk, hp), Wire()
        if job.method == "fedavg":
            fedavg([party], keeper, wire, job.steps, local_steps=job.local_steps)
        else:
            fedsgd([party], keeper, wire, job.steps)
        return keeper.trunk(), {name: one.cpu() for name, one in party.head().items()}


def worth_of(answers: Sequence[AnswersJob]) -> dict[str, Bool[Array, "t n"]]:
    """Whether the joint model and the one alone are right of each test record, by training; nothing without any."""
    names = ("joint", "alone") if answers else ()
    return {name: np.stack([one.load(name) for one in answers]) for name in names}
