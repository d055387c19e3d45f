"""Job that takes a recorded joint training in place of one that is trained here."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import DataError
from dosimeter.foundation.keys.package_code import package_code
from dosimeter.jobs.keyed import KeyedJob
from dosimeter.jobs.store import Store
from dosimeter.training.chain import Link, build_chain, users_code
from dosimeter.training.deployment.received import Received, receive
from dosimeter.training.deployment.replaying import replayed
from dosimeter.training.joint.job import Member
from dosimeter.training.joint.transcript import Transcript, from_tensors
from dosimeter.training.recipe import Hyperparameters


@dataclass(frozen=True)
class ReceivedJob(KeyedJob):
    """Job that stores a recorded training in the form of a `JointJob`, as far as attacks and the yardstick need it.

    Its entry holds the messages, each as `messages/step/kind/sender/receiver/name`, and `labels`, the classes of the
    victim's batches in some order.

    Attributes:
        store: the cache.
        recorded: what was recorded.
        link: the architecture and the recipe.
        victim: the party whose batches are the secret.
        batch: records of a batch of the victim.
        seed: root of all randomness, for a defense that is tried on it.
    """

    store: Store
    recorded: Received
    link: Link
    victim: str
    batch: int
    seed: int = 0
    parent: None = None

    @property
    def links(self) -> tuple[Link, ...]:
        """The architecture as a chain."""
        return (self.link,)

    @property
    def steps(self) -> int:
        """Number of usable steps."""
        return self.recorded.steps

    @property
    def place(self) -> str:
        """What is read."""
        return "transcript"

    @property
    def users_code(self) -> tuple[str, ...]:
        """The user's own code in the model."""
        return users_code(self.links)

    @property
    def members(self) -> tuple[Member, ...]:
        """The victim alone, with its batches as far as they are known; no records of others were recorded."""
        local = self.recorded.agreement.local_steps
        rows = np.arange(self.steps * local * self.batch).reshape(self.steps * local, self.batch)
        return (Member(self.victim, self.key, rows),)

    @cached_property
    def definition(self) -> dict[str, Any]:
        """Everything that the key depends on."""
        return {
            "kind": "received training", "transcript": self.recorded.digest, "link": self.link.definition,
            "victim": self.victim, "batch": self.batch, "code": package_code(__name__), **self._tried,
        }  # fmt: skip

    @property
    def _tried(self) -> dict[str, Any]:
        """The defense that is tried on what was recorded, as the key holds it, with the seed of its randomness."""
        replay = self.recorded.replay
        return {} if replay is None else {"defense": [replay.row.name, replay.row.settings], "seed": self.seed}

    @property
    def alike(self) -> object:
        """Implements `Costed`."""
        return ("received", self.steps)

    @property
    def size(self) -> int:
        """Implements `Costed`."""
        return sum(one.numel() * 4 for message in self.recorded.transcript.messages for one in message.arrays.values())

    def cost(self, pace: Any) -> float:
        """Implements `Costed`: a step of one party for each recorded one, by which plays are priced."""
        model = build_chain(self.links, 0, 0, None).train()
        batch = torch.rand(self.batch, *self.link.shape)
        passes = []
        for _ in range(3):  # the first pass pays for what PyTorch sets up once
            start = time.perf_counter()
            model(batch).square().mean().backward()
            passes.append(time.perf_counter() - start)
        return 2 * min(passes) * self.steps

    def perform(self) -> None:
        """Reads the folder again, and stores what it holds.

        Raises:
            DataError: it changed meanwhile.
        """
        now = receive(self.recorded.folder)
        if now.digest != self.recorded.digest:
            raise DataError(f"transcript: {now.folder} must stay as it was, got files that changed: run again")
        if self.recorded.replay is not None:
            now = replayed(now, self.recorded.replay.row, self.seed)
        tensors = {f"messages/{name}": one.float().contiguous() for name, one in now.transcript.tensors().items()}
        self.store.save(self.key, {**tensors, "labels": torch.from_numpy(self._labels())}, self.definition)

    def transcript(self) -> Transcript:
        """What crossed, once the job is done."""
        mark = "messages/"
        found = {name: one for name, one in self.store.load(self.key).items() if name.startswith(mark)}
        return from_tensors(
            self.recorded.agreement, {name.removeprefix(mark): one for name, one in found.items()}
        )  # fmt: skip

    def recipe(self, member: Member) -> Hyperparameters:
        """The recipe by which a party is imitated."""
        return self.link.hyperparameters

    def _labels(self) -> Array:
        """Classes of the victim's batches, one after another; a batch of another size is filled up, and not judged."""
        wide = self.batch * self.recorded.agreement.local_steps
        kinds = np.arange(self.recorded.truth.classes.shape[1])
        rows = [np.repeat(kinds, counts) for counts in self.recorded.truth.classes]
        return np.concatenate([np.resize(one if len(one) else kinds, wide) for one in rows]).astype(np.int64)
