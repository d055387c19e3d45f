"""Norm of the gradient of a record's loss in the trained parameters, without saturation at either end."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dosimeter.families.membership.observe.probes.subject import Probe, Situation, Subject, evaluating
from dosimeter.models.access import Access

NUMBERS = 2**24
"""Most numbers in per-record gradients that are held in memory at once."""
SMALLEST = 1e-150
"""Smallest norm; lower ones count as this, so that the logarithm is finite."""


def compute(subject: Subject) -> dict[str, Tensor]:
    """The logarithm of the L2 norm of the gradient, nats `[m r]`.

    The gradient in the logits is the residual p − y, with length |p − y| and direction u; by the chain rule the norm is
    |p − y| times that of the gradient of u · z in the parameters. The first factor is taken in log space, so a model
    that is sure to the last digit of float32 still has one. Of a linear head the second is √(|x|² + 1), |x| without a
    bias, in the deployed parameters: of a head that standardises, those of the raw features.
    """
    found = []
    for model in subject.models:
        assert model.trained is not None
        own = _of_head if isinstance(model.trained, nn.Linear) else _of_network
        found.append(own(model.trained, subject.inputs, subject.labels, subject.device))
    return {"gradient_norm": torch.stack(found)}


def residual(
    logits: Float[Tensor, "n c"], labels: Int[Tensor, " n"]
) -> tuple[Float[Tensor, " n"], Float[Tensor, "n c"]]:
    """Logarithm of |p − y|, and the direction (p − y) / |p − y|, float64."""
    own = labels[:, None]
    logs = torch.log_softmax(logits.double(), 1)
    logs = logs.scatter(1, own, torch.logsumexp(logs.scatter(1, own, -torch.inf), 1, keepdim=True))
    size = torch.logsumexp(2 * logs, 1) / 2
    unit = (logs - size[:, None]).exp()
    return size, unit.scatter(1, own, -unit.gather(1, own))


def _of_head(head: nn.Module, x: Tensor, labels: Tensor, device: torch.device) -> Float[Tensor, " n"]:
    """Logarithm of the norms for a linear head, in closed form."""
    assert isinstance(head, nn.Linear)
    x, weight = x.double(), head.weight.detach().double().cpu()
    bias = torch.zeros(len(weight), dtype=torch.float64) if head.bias is None else head.bias.detach().double().cpu()
    size, _ = residual(torch.addmm(bias, x, weight.T), labels)
    square = x.square().sum(1) + (head.bias is not None)
    return size + square.clamp(min=SMALLEST**2).log() / 2


def _of_network(net: nn.Module, inputs: Tensor, labels: Tensor, device: torch.device) -> Float[Tensor, " n"]:
    """Logarithm of the norms for any network, in chunks; the network gets copies, since it may change its inputs."""
    chunk = max(1, NUMBERS // sum(one.numel() for one in net.parameters() if one.requires_grad))
    found = []
    with evaluating(net, device):
        for x, y in zip(torch.split(inputs, chunk), torch.split(labels, chunk), strict=True):
            x = x.to(device)
            with torch.no_grad():
                logits = net(x.clone()).float().cpu()
            size, unit = residual(logits, y)
            squares = _squares(net, x, unit.float().to(device)).cpu().double()
            found.append(size + squares.clamp(min=SMALLEST**2).log() / 2)
    return torch.cat(found)


def _squares(net: nn.Module, x: Tensor, unit: Tensor) -> Tensor:
    """Squared norm of each record's gradient of u · z `[n]`."""
    weights = {name: one.detach() for name, one in net.named_parameters() if one.requires_grad}
    fixed = {name: one.detach() for name, one in net.named_parameters() if not one.requires_grad}
    fixed |= dict(net.named_buffers())

    def along(own: dict[str, Tensor], record: Tensor, direction: Tensor) -> Tensor:
        logits: Tensor = torch.func.functional_call(net, {**fixed, **own}, (record[None].clone(),))
        return (logits[0].float() * direction).sum()

    gradient = torch.func.grad(along)
    try:
        each = torch.func.vmap(gradient, (None, 0, 0))(weights, x, unit)
    except (RuntimeError, ValueError, TypeError):  # a network that cannot be vectorised, record by record
        rows = [gradient(weights, *pair) for pair in zip(x, unit, strict=True)]
        each = {name: torch.stack([row[name] for row in rows]) for name in weights}
    total: Tensor = sum(one.flatten(1).square().sum(1) for one in each.values())
    return total


def lacks(situation: Situation) -> str:
    """Reason why there is no gradient, if the model is no network; empty otherwise."""
    if situation.network:
        return ""
    return (
        "needs gradients, so a PyTorch module that takes the records as floats and returns their logits, got another "
        "model: bring such a module or leave the attack out"
    )


PROBE = Probe(("gradient_norm",), Access.WEIGHTS, compute, lacks, passes=4.0)
