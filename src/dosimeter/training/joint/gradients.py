"""Gradients of a trunk: of many simulated batches at once, and of the other parties from what one party saw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from dosimeter.foundation.checks import suggest
from dosimeter.foundation.errors import DataError
from dosimeter.foundation.wording import quote
from dosimeter.models.architectures import as_float
from dosimeter.training.joint.dense_gradients import is_perceptron, perceptron_gradients
from dosimeter.training.joint.transcript import COORDINATOR, Agreement, Kind, Transcript

PULL = {"l2-sp": 1.0, "soft": 2.0}
"""Gradient of a method's penalty by a trunk, over its weight and its distance from what it is pulled to."""
ROUNDINGS = 4.0
"""Roundings of a number of the trunk that a difference of two steps may hold, with their momentum."""
FAR = 0.1
"""Median distance between what was sent and what moved the trunk from which on an agreement is wrong, a share."""


def batch_gradients(
    trunk: nn.Module,
    head: nn.Module,
    parameters: Mapping[str, Tensor],
    inputs: Tensor,
    labels: Int[Tensor, "m b"],
    into: Mapping[str, Tensor] | None = None,
) -> dict[str, Float[Tensor, "m ..."]]:
    """Gradient of the mean cross-entropy of each of many batches by the parameters of a trunk, as one program.

    Somebody who knows the trunk makes so the gradients that batches of their own records would give. The classifier of
    batches of Melis et al., 2018, https://arxiv.org/abs/1805.04049, learns from them. A perceptron with a dense head is
    written out as products of matrices; other trunks are differentiated by `vmap`.

    Args:
        trunk: the shared blocks, in the mode in which parties train.
        head: last layer, whose parameters stay.
        parameters: of the trunk by name, such as a message of kind "trunk" holds.
        inputs: batches `[m b ...]`, uint8 images or floats.
        labels: their classes.
        into: arrays `[m ...]` by name that are written over and returned, such as those of the last call; new ones are
            made by default, which costs a wide layer most of its time.
    """
    inputs, own_arrays = as_float(inputs), dict(into or {})
    if isinstance(head, nn.Linear) and is_perceptron(trunk, head, inputs):
        return perceptron_gradients(trunk, head, parameters, inputs, labels, own_arrays)

    def loss(own: Mapping[str, Tensor], batch: Tensor, classes: Tensor) -> Tensor:
        features = functional_call(trunk, dict(own), (batch,))
        return nn.functional.cross_entropy(head(features), classes)

    each = vmap(grad(loss), in_dims=(None, 0, 0), randomness="different")
    made = {name: one.detach() for name, one in each(dict(parameters), inputs, labels).items()}
    return {name: own_arrays[name].copy_(one) if name in own_arrays else one for name, one in made.items()}


Told = Mapping[int, Mapping[str, Tensor]]
"""Arrays of each step by name."""


def others_gradient(seen: Transcript, party: str, own: Told | None = None) -> dict[int, dict[str, Tensor]]:
    """Sum of the gradients of all other parties at each step, from what one party saw.

    Differences of the trunk give the update of SGD; learning rate, momentum, weight decay and the pull of the method
    are undone, and the party's own gradient is subtracted (Melis et al., 2018, https://arxiv.org/abs/1805.04049).
    With two parties it is the other's gradient, up to the rounding of the trunk's numbers divided by the learning rate.

    Args:
        seen: what the party saw; messages that others sent to the coordinator are not looked at.
        party: its name.
        own: its gradients; those that it sent unless given. With a secure sum none crosses, but it knows them.

    Returns:
        Gradients by step, then by parameter; of the steps for which all that is needed was seen.

    Raises:
        DataError: there is no such party, the method has rounds of several updates, or own gradients are missing.
    """
    agreement = _agreed(seen, party)
    if agreement.method == "fedavg":
        raise DataError(
            "transcript: parties of 'fedavg' make several updates in a round, whose gradients do not cross: use "
            "`others_update`"
        )
    if agreement.method == "soft":
        other = next(name for name in agreement.parties if name != party)
        mine, trunks = seen.of("parameters", party), seen.of("parameters", other)
        return {step: _single(total) for step, total in _losses(agreement, trunks, mine).items()}
    trunks, own = seen.of("trunk", COORDINATOR), _own(seen, party, "gradient", own)
    parts = len(agreement.parties) if agreement.averaged else 1
    start = {step: trunks[0] for step in trunks} if agreement.method == "l2-sp" and 0 in trunks else {}
    return {
        step: _single({name: parts * one - own[step][name].double() for name, one in total.items()})
        for step, total in _losses(agreement, trunks, start).items()
        if step in own
    }


def others_update(seen: Transcript, party: str, own: Told | None = None) -> dict[int, dict[str, Tensor]]:
    """Sum of the updates of all other parties in each round of "fedavg", from what one party saw.

    Args:
        seen: what the party saw; messages that others sent to the coordinator are not looked at.
        party: its name.
        own: its updates; those that it sent unless given. With a secure sum none crosses, but it knows them.

    Returns:
        Updates by round, then by parameter; of the rounds for which all that is needed was seen.

    Raises:
        DataError: there is no such party, the method is another, or own updates are missing.
    """
    agreement = _agreed(seen, party)
    if agreement.method != "fedavg":
        raise DataError(
            f"transcript: only parties of 'fedavg' send updates, got {quote(agreement.method)}: use `others_gradient`"
        )
    trunks, own, parts = seen.of("trunk", COORDINATOR), _own(seen, party, "update", own), len(agreement.parties)
    return {
        step: _single(
            {name: parts * (trunks[step + 1][name].double() - one.double()) - own[step][name].double()
             for name, one in now.items()}
        )
        for step, now in trunks.items()
        if step in own and step + 1 in trunks
    }  # fmt: skip


def _own(seen: Transcript, party: str, kind: Kind, given: Told | None) -> Told:
    """What the party itself sent, or knows."""
    if given is None and seen.agreement.sum_bits is not None:
        raise DataError(
            f"transcript: with a secure sum no {kind} of a party crosses, got none of {party!r}: give its own as `own`"
        )
    return seen.of(kind, party) if given is None else given


def _agreed(seen: Transcript, party: str) -> Agreement:
    """The agreement, of which the party is one."""
    agreement = seen.agreement
    if party not in agreement.parties:
        raise DataError(f"transcript: has no party {quote(party)}, {suggest(party, agreement.parties)}")
    return agreement


def _losses(
    agreement: Agreement, trunks: Told, centres: Told
) -> dict[int, dict[str, Tensor]]:  # fmt: skip
    """The gradient of the losses by which a trunk moved at each step, float64.

    Args:
        agreement: learning rates and penalties, which are undone.
        trunks: parameters before each step.
        centres: parameters that the method pulled them to at each step; of methods without a pull none.
    """
    moved = {
        step: {name: (now[name].double() - trunks[step + 1][name].double()) / agreement.rates[step] for name in now}
        for step, now in trunks.items()
        if step + 1 in trunks
    }
    pulls, factor = agreement.method in PULL, PULL.get(agreement.method, 0.0) * agreement.weight
    found = {}
    for step, velocity in moved.items():
        before = moved.get(step - 1)
        if (agreement.momentum and step and before is None) or (pulls and step not in centres):
            continue
        total = dict(velocity)
        for name in total:
            if agreement.momentum and before is not None:
                total[name] = total[name] - agreement.momentum * before[name]
            total[name] = total[name] - agreement.weight_decay * trunks[step][name].double()
            if pulls:
                total[name] = total[name] - factor * (trunks[step][name].double() - centres[step][name].double())
        found[step] = total
    return found


def _single(arrays: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same in float32."""
    return {name: one.to(torch.float32) for name, one in arrays.items()}


def strays(transcript: Transcript) -> float | None:
    """How far what the parties sent is from what the trunk's moves say that they sent, as a share; the median step's.

    Adversaries undo the learning rate, momentum and weight decay of the agreement. If these are not those of the
    training, they get other gradients than crossed, and find nothing where there is something.

    Args:
        transcript: all messages, not those that one party saw.

    Returns:
        None where nothing can be compared: the parties' own messages are not all there, or none crosses. What rounding
        of the trunk's numbers explains does not count.
    """
    told = transcript.agreement
    if told.method == "soft" or told.sum_bits is not None:
        return None
    kind: Kind = "update" if told.method == "fedavg" else "gradient"
    sent = {name: transcript.of(kind, name) for name in told.parties}
    if not all(sent.values()):
        return None
    first, *others = told.parties
    undone = (others_update if kind == "update" else others_gradient)(transcript, first)
    trunks, rates = transcript.of("trunk", COORDINATOR), told.rates if kind == "gradient" else (1.0,) * told.steps
    shares = [
        _share(seen, [sent[name][step] for name in others], ROUNDINGS * len(told.parties) / rates[step], trunks[step])
        for step, seen in undone.items()
        if all(step in sent[name] for name in others)
    ]
    return float(np.median(shares)) if shares else None


def _share(
    seen: Mapping[str, Tensor], sent: Sequence[Mapping[str, Tensor]], factor: float, trunk: Mapping[str, Tensor]
) -> float:
    """Distance of the arrays that were worked out from the sum of those that were sent, as a share of its length.

    Args:
        seen: what was worked out.
        sent: by each other party.
        factor: by which the rounding of the trunk's numbers is multiplied.
        trunk: before the step.
    """
    apart, length, rounded = 0.0, 0.0, 0.0
    for name, one in seen.items():
        whole = torch.stack([own[name].double() for own in sent]).sum(0)
        apart += float((one.double() - whole).square().sum())
        length += float(whole.square().sum())
        rounded += float((factor * torch.finfo(trunk[name].dtype).eps * trunk[name].double()).square().sum())
    return 0.0 if apart <= rounded else float(np.sqrt(apart / max(length, 1e-300)))
