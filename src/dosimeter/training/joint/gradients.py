"""Gradients of a trunk: of many simulated batches at once, and of the other parties from what one party saw."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from dosimeter.foundation.checks import suggest
from dosimeter.foundation.errors import DataError
from dosimeter.foundation.wording import quote
from dosimeter.models.architectures import as_float
from dosimeter.training.joint.dense_gradients import is_perceptron, perceptron_gradients
from dosimeter.training.joint.transcript import COORDINATOR, Transcript


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


def others_gradient(seen: Transcript, party: str) -> dict[int, dict[str, Tensor]]:
    """Sum of the gradients of all other parties at each step, from what one party saw.

    Differences of the trunk give the update of SGD; learning rate, momentum and weight decay are undone, and the
    party's own gradient is subtracted (Melis et al., 2018, https://arxiv.org/abs/1805.04049). With two
    parties it is the other's gradient, up to the rounding of the trunk's numbers divided by the learning rate.

    Args:
        seen: what the party saw; messages that others sent to the coordinator are not looked at.
        party: its name.

    Returns:
        Gradients by step, then by parameter; of the steps for which all that is needed was seen.

    Raises:
        DataError: there is no such party.
    """
    agreement = seen.agreement
    if party not in agreement.parties:
        raise DataError(f"transcript: has no party {quote(party)}, {suggest(party, agreement.parties)}")
    trunks, own = seen.of("trunk", COORDINATOR), seen.of("gradient", party)
    moved = {
        step: {name: (now[name].double() - trunks[step + 1][name].double()) / agreement.rates[step] for name in now}
        for step, now in trunks.items()
        if step + 1 in trunks
    }
    parts = len(agreement.parties) if agreement.averaged else 1
    found = {}
    for step, velocity in moved.items():
        before = moved.get(step - 1)
        if step not in own or (agreement.momentum and step and before is None):
            continue
        total = dict(velocity)
        for name in total:
            if agreement.momentum and before is not None:
                total[name] = total[name] - agreement.momentum * before[name]
            total[name] = total[name] - agreement.weight_decay * trunks[step][name].double()
            total[name] = (parts * total[name] - own[step][name].double()).to(torch.float32)
        found[step] = total
    return found
