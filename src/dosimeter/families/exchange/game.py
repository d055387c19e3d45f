"""What an attack of exchange gets, and what it may need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from dosimeter.families.exchange.threat import Channel, Question
from dosimeter.foundation.arrays import Array
from dosimeter.models.access import Access
from dosimeter.training.joint.transcript import Transcript
from dosimeter.training.recipe import Hyperparameters


@dataclass(frozen=True)
class Needs:
    """Requirements of an attack of exchange.

    Attributes:
        channel: what of the messages it reads, of tasks and of a distribution the trunk; None if it reads none.
        reads: "messages", or "labels" for a yardstick that is told how often each class is in the victim's batch.
        access: that of a party, which holds the shared trunk.
        question: what it is after.
        head: whether it must see the victim's last layer and the gradient of it.
        takes_head: whether it reads those where they are seen.
        dense: whether the first layer must be dense and have biases.
        makes: what it makes of a batch, records or what the trunk makes of them; for attacks on records alone.
    """

    channel: Channel | Literal["trunk"] | None
    reads: Literal["messages", "labels"] = "messages"
    access: Access = Access.WEIGHTS
    question: Question = "property"
    head: bool = False
    takes_head: bool = False
    dense: bool = False
    makes: Literal["records", "features"] = "records"

    @property
    def in_words(self) -> str:
        """The requirements as text."""
        if self.question == "records":
            return self._of_records
        if self.question == "tasks":
            return "nothing" if self.channel is None else "the shared layers, records of their own of each task"
        if self.question == "distribution" and self.channel is not None:
            read = f"all messages ({self.channel.replace('_', ' ')})" if self.channel != "trunk" else "the joint model"
            return f"{read}, records of their own with the property"
        if self.reads == "labels":
            return "the classes of each batch, which no message holds; records of their own with the property"
        if self.channel is None:
            return "nothing"
        return f"messages ({self.channel.replace('_', ' ')}), records of their own with the property"

    @property
    def _of_records(self) -> str:
        """The requirements of an attack on records."""
        if self.channel is None:
            return "records of their own"
        rest = [
            *(["the victim's last layer and its gradient"] if self.head else []),
            *(["a dense first layer"] if self.dense else []),
        ]
        return ", ".join([f"messages ({self.channel})", *rest])


@dataclass(frozen=True)
class Auxiliary:
    """Records of the adversary's own, of which they know the property.

    Attributes:
        inputs: the records `[p ...]`, as models take them.
        labels: their classes `[p]`.
        has: whether each has the property `[p]`.
    """

    inputs: Tensor
    labels: Int[Tensor, " p"]
    has: Bool[Array, " p"]


@dataclass(frozen=True)
class Own:
    """What the adversary trains on, as a party.

    Attributes:
        inputs: of the batch of each update `[steps b ...]`.
        labels: their classes `[steps b]`.
        head: the last layer that its own party began with.
        recipe: of its own party, with what bounds its own records.
        seed: of its own party, which decides its dropout, its noise and its discriminator.
        active: whether it adds a loss about the property of its auxiliary records to its own.
    """

    inputs: Tensor
    labels: Int[Tensor, "steps b"]
    head: nn.Linear
    recipe: Hyperparameters
    seed: int
    active: bool = False


@runtime_checkable
class Model(Protocol):
    """The architecture that all parties agreed on."""

    def trunk(self) -> nn.Module:
        """The shared blocks, in the mode in which parties train; the weights of a step are in the messages."""
        ...

    def head(self, seed: int) -> nn.Linear:
        """A fresh last layer, as any party might have begun with."""
        ...


@dataclass(frozen=True)
class ExchangeGame:
    """One joint training as one party saw it. For each step a coin decided of which side the victim's batch is.

    It holds no record, label, attribute or coin of the victim; only the yardstick is told the batches' classes.

    Attributes:
        ids: of the steps `[n]`.
        seen: what crossed, as far as the adversary saw it; nothing for the yardstick.
        adversary: name of the party, or the coordinator.
        victim: name of the party whose batches are the secret.
        mixture: shares of records with the property in a batch, of the first and of the second side.
        batch: records of a batch.
        auxiliary: records of the adversary's own with the property.
        own: what the adversary trains on; None for a coordinator.
        model: the architecture.
        recipe: of the victim, defenses and all, as the parties agreed on it; not the randomness of its defenses.
        classes: for the yardstick alone the counts of classes in the victim's batches `[n c]`; None for attacks.
    """

    ids: Array
    seen: Transcript
    adversary: str
    victim: str
    mixture: tuple[float, float]
    batch: int
    auxiliary: Auxiliary
    own: Own | None
    model: Model
    recipe: Hyperparameters
    classes: Float[Array, "n c"] | None = None
