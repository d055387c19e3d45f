"""Methods by which organisations train together: who sends what to whom, step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor

from dosimeter.training.joint.methods import ALIGNED, SENT
from dosimeter.training.joint.organisation import Keeper
from dosimeter.training.joint.transcript import ALL, COORDINATOR, Agreement, Kind, Message, Wire

METHODS = tuple(SENT)
"""Joint methods that can be trained."""


@runtime_checkable
class Party(Protocol):
    """An organisation as its partners know it; see `organisation.Organisation`."""

    name: str

    def adopt(self, trunk: Mapping[str, Tensor]) -> None:
        """Takes over the parameters of the trunk."""
        ...

    def show(self, step: int) -> dict[str, Tensor]:
        """What it tells of the features of the batch of a step."""
        ...

    def answer(self, step: int, shown: Mapping[str, Tensor], method: str, weight: float) -> dict[str, Tensor]:
        """How what another party showed should move."""
        ...

    def gradient(
        self, step: int, *, task: bool = True, pull: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:  # fmt: skip
        """Gradient of its loss on the batch of a step by each parameter of the trunk."""
        ...

    def update(self, turn: int, local_steps: int) -> dict[str, Tensor]:
        """What some updates of its own add to the trunk."""
        ...

    def parameters(self) -> dict[str, Tensor]:
        """Parameters of its trunk."""
        ...

    def approach(self, step: int, other: Mapping[str, Tensor], weight: float) -> None:
        """Moves its own trunk by its loss, and towards the other's."""
        ...

    def head(self) -> dict[str, Tensor]:
        """Parameters of its head."""
        ...


def run_protocol(agreement: Agreement, parties: Sequence[Party], keeper: Keeper, wire: Wire) -> None:
    """Trains as agreed; all that crosses goes over the wire."""
    method, steps, weight = agreement.method, agreement.steps, agreement.weight
    if method in ALIGNED:
        align(parties, keeper, wire, steps, method=method, weight=weight)
    elif method == "fedavg":
        fedavg(parties, keeper, wire, steps, local_steps=agreement.local_steps)
    elif method == "soft":
        soft(parties, wire, steps, weight=weight)
    else:
        fedsgd(parties, keeper, wire, steps)


def fedsgd(parties: Sequence[Party], keeper: Keeper, wire: Wire, steps: int) -> None:
    """Trains a shared trunk by the parties' gradients; each has a head of its own.

    McMahan et al., 2017, https://arxiv.org/abs/1602.05629, with one batch of each party in every round, and private
    heads. Three methods are this one with another coordinator: "fedsgd" moves the trunk by the mean of the gradients,
    "hard" by their sum, which is the gradient of the sum of the losses, and "l2-sp" by their mean and towards its
    start.
    """
    for step in range(steps):
        trunk = wire.send(Message("trunk", COORDINATOR, ALL, step, keeper.trunk()))
        gradients = []
        for party in parties:
            party.adopt(trunk)
            gradients.append(_tell(wire, party, "gradient", COORDINATOR, step, party.gradient(step)))
        keeper.update(step, gradients)
    _finish(parties, keeper, wire, steps)


def fedavg(parties: Sequence[Party], keeper: Keeper, wire: Wire, rounds: int, *, local_steps: int) -> None:
    """Trains a shared trunk by the mean of what some updates of each party add to it.

    McMahan et al., 2017, https://arxiv.org/abs/1602.05629, with private heads; all parties count alike, whatever the
    size of their batches.
    """
    for turn in range(rounds):
        trunk = wire.send(Message("trunk", COORDINATOR, ALL, turn, keeper.trunk()))
        updates = []
        for party in parties:
            party.adopt(trunk)
            updates.append(_tell(wire, party, "update", COORDINATOR, turn, party.update(turn, local_steps)))
        keeper.add(updates)
    _finish(parties, keeper, wire, rounds)


def soft(parties: Sequence[Party], wire: Wire, steps: int, *, weight: float) -> None:
    """Trains two trunks that stay near each other: L_source + L_receiver + weight · ‖θ_source − θ_receiver‖².

    Both start from the same parameters. Before each update they exchange them; no coordinator is needed.
    """
    one, other = parties
    for step in range(steps):
        of_one = _tell(wire, one, "parameters", other.name, step, one.parameters())
        of_other = _tell(wire, other, "parameters", one.name, step, other.parameters())
        one.approach(step, of_other, weight)
        other.approach(step, of_one, weight)


def align(
    parties: Sequence[Party], keeper: Keeper, wire: Wire, steps: int, *, method: str, weight: float
) -> None:  # fmt: skip
    """Trains on the source's labels while the features of both parties are made alike.

    The objective is L_source + weight · d(features of the source, features of the receiver), as in Long et al., 2015,
    https://arxiv.org/abs/1502.02791. The receiver computes d, and its labels are not used. In "dann" d is minus the
    loss of a discriminator that the receiver holds and trains (Ganin et al., 2016, https://arxiv.org/abs/1505.07818).

    Args:
        parties: the source, then the receiver.
        keeper: the coordinator.
        wire: what carries messages.
        steps: number of updates.
        method: one of `ALIGNED`.
        weight: at least 0.
    """
    source, receiver = parties
    for step in range(steps):
        trunk = wire.send(Message("trunk", COORDINATOR, ALL, step, keeper.trunk()))
        for party in parties:
            party.adopt(trunk)
        shown = _tell(wire, source, "representations", receiver.name, step, source.show(step))
        back = receiver.answer(step, shown, method, weight)
        pull = _tell(wire, receiver, "alignment_gradient", source.name, step, back)
        gradients = [
            _tell(wire, source, "gradient", COORDINATOR, step, source.gradient(step, pull=pull)),
            _tell(wire, receiver, "gradient", COORDINATOR, step, receiver.gradient(step, task=False)),
        ]
        keeper.update(step, gradients)
    _finish(parties, keeper, wire, steps)
    _tell(wire, source, "head", receiver.name, steps, source.head())


def _tell(
    wire: Wire, sender: Party, kind: Kind, receiver: str, step: int, arrays: dict[str, Tensor]
) -> dict[str, Tensor]:  # fmt: skip
    """Sends what a party says; gives what is delivered."""
    return wire.send(Message(kind, sender.name, receiver, step, arrays))


def _finish(parties: Sequence[Party], keeper: Keeper, wire: Wire, steps: int) -> None:
    """Sends the trunk after the last update."""
    trunk = wire.send(Message("trunk", COORDINATOR, ALL, steps, keeper.trunk()))
    for party in parties:
        party.adopt(trunk)
