"""Methods by which organisations train together: who sends what to whom, step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from dosimeter.foundation.errors import TrainingError
from dosimeter.training.joint.methods import SENT, SHOWING
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
    if method in SHOWING:
        align(parties, keeper, wire, steps, method=method, weight=weight)
    elif method == "fedavg":
        local = agreement.local_steps
        fedavg(parties, keeper, wire, steps, local_steps=local, sum_bits=agreement.sum_bits)
    elif method == "soft":
        soft(parties, wire, steps, weight=weight)
    else:
        fedsgd(parties, keeper, wire, steps, sum_bits=agreement.sum_bits)


def fedsgd(
    parties: Sequence[Party], keeper: Keeper, wire: Wire, steps: int, *, sum_bits: int | None = None
) -> None:  # fmt: skip
    """Trains a shared trunk by the parties' gradients; each has a head of its own.

    McMahan et al., 2017, https://arxiv.org/abs/1602.05629, with one batch of each party in every round, and private
    heads. Three methods are this one with another coordinator: "fedsgd" moves the trunk by the mean of the gradients,
    "hard" by their sum, which is the gradient of the sum of the losses, and "l2-sp" by their mean and towards its
    start.
    """
    for step in range(steps):
        trunk = wire.send(Message("trunk", COORDINATOR, ALL, step, keeper.trunk()))
        said = []
        for party in parties:
            party.adopt(trunk)
            said.append((party, party.gradient(step)))
        keeper.update(step, _collect(wire, said, "gradient", step, sum_bits), len(parties))
    _finish(parties, keeper, wire, steps)


def fedavg(
    parties: Sequence[Party], keeper: Keeper, wire: Wire, rounds: int, *, local_steps: int, sum_bits: int | None = None
) -> None:  # fmt: skip
    """Trains a shared trunk by the mean of what some updates of each party add to it.

    McMahan et al., 2017, https://arxiv.org/abs/1602.05629, with private heads; all parties count alike, whatever the
    size of their batches.
    """
    for turn in range(rounds):
        trunk = wire.send(Message("trunk", COORDINATOR, ALL, turn, keeper.trunk()))
        said = []
        for party in parties:
            party.adopt(trunk)
            said.append((party, party.update(turn, local_steps)))
        keeper.add(_collect(wire, said, "update", turn, sum_bits), len(parties))
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
    "dsn" is the same, and each party has an encoder and a decoder of its own beside (Bousmalis et al., 2016,
    https://arxiv.org/abs/1608.06019).

    Args:
        parties: the source, then the receiver.
        keeper: the coordinator.
        wire: what carries messages.
        steps: number of updates.
        method: one of `methods.SHOWING`.
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
        said = [(source, source.gradient(step, pull=pull)), (receiver, receiver.gradient(step, task=False))]
        keeper.update(step, _collect(wire, said, "gradient", step, None), len(parties))
    _finish(parties, keeper, wire, steps)
    _tell(wire, source, "head", receiver.name, steps, source.head())


def _tell(
    wire: Wire, sender: Party, kind: Kind, receiver: str, step: int, arrays: dict[str, Tensor]
) -> dict[str, Tensor]:  # fmt: skip
    """Sends what a party says; gives what is delivered."""
    return wire.send(Message(kind, sender.name, receiver, step, arrays))


def _collect(
    wire: Wire, said: Sequence[tuple[Party, dict[str, Tensor]]], kind: Kind, step: int, sum_bits: int | None
) -> list[dict[str, Tensor]]:  # fmt: skip
    """What reaches the coordinator: each part, or the sum of all alone."""
    if sum_bits is None:
        return [_tell(wire, party, kind, COORDINATOR, step, arrays) for party, arrays in said]
    total = {name: fixed_sum([arrays[name] for _, arrays in said], sum_bits) for name in said[0][1]}
    return [wire.send(Message("sum", ALL, COORDINATOR, step, total))]


def fixed_sum(parts: Sequence[Float[Tensor, ...]], bits: int) -> Float[Tensor, ...]:
    """Sum of numbers that are rounded to multiples of 2^−bits, in whole numbers, as masks that cancel need it.

    Raises:
        TrainingError: a number is too large for 64 bits.
    """
    largest = max(float(one.abs().max()) for one in parts)
    if largest * 2.0**bits * len(parts) >= 2.0**62:
        raise TrainingError(
            f"defense SecureSum: numbers must be summed in 64 bits, got one of {largest:.3g} with {bits} bits after "
            "the binary point: lower bits"
        )
    whole = torch.stack([(one.double() * 2.0**bits).round().to(torch.int64) for one in parts]).sum(0)
    return (whole.double() / 2.0**bits).to(parts[0].dtype)


def _finish(parties: Sequence[Party], keeper: Keeper, wire: Wire, steps: int) -> None:
    """Sends the trunk after the last update."""
    trunk = wire.send(Message("trunk", COORDINATOR, ALL, steps, keeper.trunk()))
    for party in parties:
        party.adopt(trunk)
