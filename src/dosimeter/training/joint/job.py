"""Job that trains a stage of several organisations, and stores the transcript of what crossed between them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn

from dosimeter.foundation.arrays import Array
from dosimeter.foundation.checks import suggest
from dosimeter.foundation.errors import ConfigError, TrainingError
from dosimeter.foundation.keys.package_code import package_code
from dosimeter.foundation.seeds import seed_for
from dosimeter.foundation.wording import quote
from dosimeter.jobs.arrays import arrays_hash
from dosimeter.jobs.keyed import KeyedJob
from dosimeter.jobs.store import Store
from dosimeter.models.architectures import as_float, cut
from dosimeter.models.transfer import fix_first
from dosimeter.training.chain import Link, build_chain, users_code
from dosimeter.training.joint.guarding import bounded, guarantees
from dosimeter.training.joint.losses.steering import Steering
from dosimeter.training.joint.methods import AVERAGED, FEDERATED, joint_defense_problems
from dosimeter.training.joint.organisation import Holding, Organisation, keeper_of
from dosimeter.training.joint.protocols import METHODS, run_protocol
from dosimeter.training.joint.transcript import ALL, COORDINATOR, Agreement, Transcript, Wire, from_tensors
from dosimeter.training.keys import rows_hash, torch_version
from dosimeter.training.recipe import HidesParts, Hyperparameters


@dataclass(frozen=True)
class Active:
    """What a party that departs from the protocol adds a loss about; see `losses.steering`.

    Attributes:
        data: key of records of its own in the store.
        has: whether each has the property `[p]`.
    """

    data: str
    has: Bool[Array, " p"]


@dataclass(frozen=True)
class Member:
    """A party of a joint stage.

    Attributes:
        name: of the party.
        data: key of its records in the store.
        batches: rows that it trains on at each step `[steps b]`.
        active: what it adds to its own loss; None if it follows the protocol.
    """

    name: str
    data: str
    batches: Int[Array, "steps b"]
    active: Active | None = None


@dataclass(frozen=True)
class JointJob(KeyedJob):
    """Job that trains one trunk with the heads of several parties.

    Its entry holds the messages, each array as `messages/step/kind/sender/receiver/name`, the heads, each as
    `heads/party/name`, and what trunk each party ends with, as `trunks/party/name`.

    Attributes:
        store: store to write to.
        links: the chain up to this stage, which builds the model that all begin with.
        method: one of `METHODS`.
        members: parties; of a method that aligns the source, then the receiver.
        weight: of the alignment, or of the distance by which weights stay near others; see `Agreement`.
        parent: key of the weights of the stage before, or None.
        seed: decides initialisation and dropout.
        device: device to train on.
        local_steps: updates of each party in a round of "fedavg".
    """

    store: Store
    links: tuple[Link, ...]
    method: str
    members: tuple[Member, ...]
    weight: float
    parent: str | None
    seed: int
    device: str
    local_steps: int = 1

    @cached_property
    def definition(self) -> dict[str, Any]:
        """Everything that the key depends on."""
        parties = [
            {"name": one.name, "data": one.data, "batches": _batches(one.batches), **_active(one)}
            for one in self.members
        ]
        return {
            "kind": "joint",
            "stage": self.links[-1].definition,
            "method": self.method,
            "parties": parties,
            "weight": self.weight,
            "local_steps": self.local_steps,
            "parent": self.parent,
            "seed": self.seed,
            "device": self.device.split(":")[0],
            "threads": 1,
            "torch": torch_version(),
            "code": package_code(__name__),
        }

    @property
    def place(self) -> str:
        """The stage and its parties."""
        return f"stage {self.links[-1].name!r}, parties {', '.join(one.name for one in self.members)}"

    @property
    def users_code(self) -> tuple[str, ...]:
        """The user's own code in its chain."""
        return users_code(self.links)

    @property
    def trained(self) -> int:
        """Number of models that the job trains."""
        return 1

    @property
    def steps(self) -> int:
        """Number of updates of the trunk; rounds of "fedavg"."""
        return len(self.members[0].batches) // self.local_steps

    @property
    def alike(self) -> object:
        """Implements `Costed`."""
        return ("joint", self.method, self.steps, len(self.members))

    @property
    def size(self) -> int:
        """Implements `Costed`: the trunk and the gradients of all parties at each step."""
        model = build_chain(self.links, len(self.links) - 1, 0, None)
        numbers = sum(one.numel() for one in model.parameters())
        return 4 * numbers * self.steps * (1 + len(self.members))

    def cost(self, pace: Any) -> float:
        """Implements `Costed`: the parties' steps on a made-up batch, and as much again for messages."""
        link, model = self.links[-1], build_chain(self.links, len(self.links) - 1, 0, None).train()
        batch = torch.rand(len(self.members[0].batches[0]), *link.shape)
        passes = []
        for _ in range(3):  # the first pass pays for what PyTorch sets up once
            start = time.perf_counter()
            model(batch).square().mean().backward()
            passes.append(time.perf_counter() - start)
        return 2 * min(passes) * self.steps * len(self.members)

    @property
    def agreement(self) -> Agreement:
        """What every party knows beforehand."""
        return agree(
            self.method, [one.name for one in self.members], self.links[-1].hyperparameters,
            len(self.members[0].batches), weight=self.weight, local_steps=self.local_steps,
        )  # fmt: skip

    def perform(self) -> None:
        """Trains and stores the transcript and the heads; raises as `train` does."""
        self.store.save(self.key, self.train(), self.definition)

    def train(self) -> dict[str, Tensor]:
        """Trains, and gives what an entry holds.

        Raises:
            ConfigError: the method, the parties or the recipe cannot be trained together.
            TrainingError: the model cannot be shared, or a loss is not finite.
        """
        check_joint(self.method, self.members, self.links[-1].hyperparameters, self.local_steps)
        if self.method == "l2-sp" and self.parent is None:
            raise ConfigError(f"{self.place}: 'l2-sp' stays near the weights of the stage before, got none: train one")
        trunk, heads = self._model()
        hp, device = self.links[-1].hyperparameters, torch.device(self.device)
        parties = [
            Organisation(
                one.name, self._holding(index), (trunk, head), self.recipe(one),
                seed=self.party_seed(index), device=device, method=self.method,
            )
            for index, (one, head) in enumerate(zip(self.members, heads, strict=True))
        ]  # fmt: skip
        wire, known = Wire(), self.agreement
        run_protocol(known, parties, keeper_of(known, trunk, hp), wire)
        crossed = Transcript(known, tuple(wire.messages)).tensors()
        tensors = {f"messages/{name}": array for name, array in crossed.items()}
        for party in parties:
            tensors |= {f"heads/{party.name}/{name}": array.cpu() for name, array in party.head().items()}
            tensors |= {f"trunks/{party.name}/{name}": array.cpu() for name, array in party.parameters().items()}
        return tensors

    def transcript(self) -> Transcript:
        """What crossed, once the job is done."""
        return self.transcript_in(self.store.load(self.key))

    def transcript_in(self, found: Mapping[str, Tensor]) -> Transcript:
        """What crossed.

        Args:
            found: what `train` gave.
        """
        mark = "messages/"
        return from_tensors(
            self.agreement, {name.removeprefix(mark): one for name, one in found.items() if name.startswith(mark)}
        )

    def trunk_of(self, party: str) -> dict[str, Tensor]:
        """Parameters of the trunk that a party ends with, once the job is done; equal for all but of "soft"."""
        mark = f"trunks/{party}/"
        found = self.store.load(self.key)
        return {name.removeprefix(mark): one for name, one in found.items() if name.startswith(mark)}

    def guarantees(self) -> dict[str, tuple[str, ...]]:
        """What the defenses guarantee to the records of each party, in words.

        Raises:
            ConfigError: a defense cannot give it.
        """
        return {one.name: guarantees(self.recipe(one), one.batches) for one in self.members}

    def party_seed(self, index: int) -> int:
        """Seed of a party: of its dropout, its defenses and its discriminator."""
        return seed_for(self.seed, "party", index)

    def head_seed(self, index: int) -> int:
        """Seed of the head that a party begins with."""
        return seed_for(self.seed, "head", index)

    def recipe(self, member: Member) -> Hyperparameters:
        """The recipe of a party, with what bounds its records; their number is read where there are defenses."""
        hp = self.links[-1].hyperparameters
        if not hp.defenses:
            return hp
        return bounded(hp, member.batches, len(self.store.load(member.data)["labels"]), member.name)

    def _holding(self, index: int) -> Holding:
        """What a party owns, from the store."""
        member = self.members[index]
        data, steering = self.store.load(member.data), None
        if member.active is not None:
            known, size = self.store.load(member.active.data)["inputs"], member.batches.shape[1]
            steering = Steering(known, member.active.has, size, self.party_seed(index))
        return Holding(data["inputs"], data["labels"], member.batches, steering)

    def _model(self) -> tuple[nn.Sequential, list[nn.Linear]]:
        """The trunk that all begin with, and a fresh head for each party."""
        parent: dict[str, Tensor] | None = self.store.load(self.parent) if self.parent else None
        example = as_float(self.store.load(self.members[0].data)["inputs"][:2])
        return begin(self.links, example, len(self.members), self.seed, parent)


def begin(
    links: tuple[Link, ...], example: Tensor, parties: int, seed: int, parent: dict[str, Tensor] | None = None
) -> tuple[nn.Sequential, list[nn.Linear]]:  # fmt: skip
    """The trunk that all parties begin with, and a fresh head for each.

    Args:
        links: the chain up to the joint stage.
        example: two records as the model takes them.
        parties: their number.
        seed: decides initialisation.
        parent: weights of the stage before.

    Raises:
        TrainingError: the trunk has running statistics, or no block would be trained.
    """
    heads = []
    for index in range(parties):
        model = build_chain(links, len(links) - 1, seed_for(seed, "head", index), parent)
        trunk, head = cut(model, example, links[-1].head)
        heads.append(head)
        if index == 0:
            shared = trunk
    if next(shared.buffers(), None) is not None:
        raise TrainingError(
            f"model {type(model).__name__}: a trunk that parties share must have no running statistics, got some, "
            "as of batch normalisation: choose a model without, such as 'mlp'"
        )
    fix_first(shared, links[-1].frozen, type(model).__name__)
    return shared, heads


def agree(
    method: str, parties: Sequence[str], hp: Hyperparameters, updates: int, *, weight: float = 0.0, local_steps: int = 1
) -> Agreement:  # fmt: skip
    """What every party knows beforehand of a training by one recipe.

    Args:
        method: one of `METHODS`.
        parties: their names.
        hp: the recipe.
        updates: number of batches of each party.
        weight: of the method; see `Agreement`.
        local_steps: updates of a round of "fedavg".
    """
    rounds = updates // local_steps
    return Agreement(
        method=method,
        parties=tuple(parties),
        rates=tuple(hp.lr_at(step, rounds) for step in range(rounds)),
        momentum=hp.momentum,
        weight_decay=0.0 if method == "l2-sp" else hp.weight_decay,
        averaged=method in AVERAGED,
        weight=weight,
        local_steps=local_steps,
        sum_bits=next((one.sum_bits() for one in hp.defenses if isinstance(one, HidesParts)), None),
    )


def check_joint(method: str, members: Sequence[Member], hp: Hyperparameters, local_steps: int = 1) -> None:
    """Refuses what cannot be trained together.

    Raises:
        ConfigError: one line for each problem.
    """
    problems = []
    if method not in METHODS:
        problems.append(
            f"transfer: must be a joint method that can be trained, got {quote(method)}, {suggest(method, METHODS)}"
        )
    names = [one.name for one in members]
    reserved = [name for name in names if name in (ALL, COORDINATOR)]
    problems += [f"parties: {name!r} names no party, since messages use it: rename it" for name in reserved]
    pair = method in METHODS and method not in FEDERATED
    if len(names) < 2 or (pair and len(names) != 2):
        wanted = "a source and a receiver" if pair else "two or more"
        problems.append(f"parties: transfer {method!r} has {wanted}, got {len(names)}: name others")
    if len({len(one.batches) for one in members}) > 1:
        problems.append("batches: all parties must have as many, since they take each step together: draw as many")
    problems += _rounds(method, members, local_steps)
    allowed = {
        "optimizer": ("sgd", "an update by Adam cannot be agreed on by gradients alone"),
        "precision": ("float32", "messages are float32"),
        "augment": ((), "parties send what they hold"),
        "standardise": (False, "the head has no records of its own beforehand"),
    }
    problems += [
        f"{key}: a joint stage takes {value!r} only, since {why}, got {quote(getattr(hp, key))}: remove it"
        for key, (value, why) in allowed.items()
        if getattr(hp, key) != value
    ]
    named = [(type(one).__name__, one) for one in hp.defenses]
    problems += [f"defenses: {line}" for line in joint_defense_problems(method, named, hp, len(names))]
    if problems:
        raise ConfigError(*problems)


def _rounds(method: str, members: Sequence[Member], local_steps: int) -> list[str]:
    """Problems with the updates of a round."""
    if method != "fedavg":
        remedy = "remove it, or use 'fedavg'"
        return [] if local_steps == 1 else [f"local_steps: only 'fedavg' has them, got {local_steps}: {remedy}"]
    updates = len(members[0].batches) if members else 0
    if 1 <= local_steps <= updates and updates % local_steps == 0:
        return []
    return [
        f"local_steps: must divide the {updates} updates of each party into whole rounds, got {local_steps}: choose a "
        "divisor, such as the updates of one epoch"
    ]


def _active(member: Member) -> dict[str, Any]:
    """What a party adds to its own loss, as a key holds it; nothing where it follows the protocol."""
    if member.active is None:
        return {}
    return {"active": {"data": member.active.data, "has": arrays_hash(has=member.active.has)}}


def _batches(rows: Int[Array, "steps b"]) -> dict[str, Any]:
    """Batches as a key holds them: their shape and a hash."""
    return {"shape": list(rows.shape), "rows": rows_hash(rows)}
