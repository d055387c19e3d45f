"""Methods by which organisations train together: who sends what to whom, step by step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from dosimeter.training.joint.alignment import Distance, coral, mmd
from dosimeter.training.joint.organisation import Keeper
from dosimeter.training.joint.transcript import ALL, COORDINATOR, Kind, Message, Wire

ALIGNED: Mapping[str, Callable[[Tensor, Tensor], Distance]] = {"coral": coral, "mmd": mmd}
"""Distances of features, by the method that aligns by them."""
METHODS = ("fedsgd", *ALIGNED)
"""Joint methods that can be trained."""


@runtime_checkable
class Party(Protocol):
    """An organisation as its partners know it; see `organisation.Organisation`."""

    name: str

    def adopt(self, trunk: Mapping[str, Tensor]) -> None:
        """Takes over the parameters of the trunk."""
        ...

    def represent(self, step: int) -> Float[Tensor, "b d"]:
        """Features of the batch of a step."""
        ...

    def gradient(self, step: int, *, task: bool = True, pull: Tensor | None = None) -> dict[str, Tensor]:
        """Gradient of its loss on the batch of a step by each parameter of the trunk."""
        ...

    def head(self) -> dict[str, Tensor]:
        """Parameters of its head."""
        ...


def fedsgd(parties: Sequence[Party], keeper: Keeper, wire: Wire, steps: int) -> None:
    """Trains a shared trunk by the mean of the parties' gradients; each has a head of its own.

    McMahan et al., 2017, https://arxiv.org/abs/1602.05629, with one batch of each party in every round, and private
    heads.
    """
    for step in range(steps):
        trunk = wire.send(Message("trunk", COORDINATOR, ALL, step, keeper.trunk()))
        gradients = []
        for party in parties:
            party.adopt(trunk)
            gradients.append(_tell(wire, party, "gradient", COORDINATOR, step, party.gradient(step)))
        keeper.update(step, gradients)
    _finish(parties, keeper, wire, steps)


def align(
    parties: Sequence[Party], keeper: Keeper, wire: Wire, steps: int, *, distance: Callable[[Tensor, Tensor], Distance],
    weight: float,
) -> None:  # fmt: skip
    """Trains on the source's labels while the features of both parties are made alike.

    The objective is L_source + weight · d(features of the source, features of the receiver), as in Long et al., 2015,
    https://arxiv.org/abs/1502.02791. The receiver computes d, and its labels are not used.

    Args:
        parties: the source, then the receiver.
        keeper: the coordinator.
        wire: what carries messages.
        steps: number of updates.
        distance: d, with its gradients.
        weight: at least 0.
    """
    source, receiver = parties
    for step in range(steps):
        trunk = wire.send(Message("trunk", COORDINATOR, ALL, step, keeper.trunk()))
        for party in parties:
            party.adopt(trunk)
        sent = _tell(wire, source, "representations", receiver.name, step, {"features": source.represent(step)})
        own = receiver.represent(step)
        found = distance(sent["features"].to(own.device), own)
        back = {"features": weight * found.source}
        pull = _tell(wire, receiver, "alignment_gradient", source.name, step, back)["features"]
        gradients = [
            _tell(wire, source, "gradient", COORDINATOR, step, source.gradient(step, pull=pull)),
            _tell(
                wire, receiver, "gradient", COORDINATOR, step,
                receiver.gradient(step, task=False, pull=weight * found.receiver),
            ),
        ]  # fmt: skip
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
