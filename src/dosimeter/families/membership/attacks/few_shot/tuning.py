"""Transductive tuning of one model in one episode: a layer of two outputs on its answer, trained with all its weights.

Axes: `r` records, `s` support, `e` numbers that are read of an answer.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from dosimeter.families.membership.attacks.few_shot.features import FAR, HIGHEST
from dosimeter.families.membership.observe.signals import logit_confidence, scaled_confidences

SHORTEST = 1e-6
"""Least length that a class mean is divided by, as in the authors' code."""
RAREST = 1e-10
"""Least probability inside the logarithm of the entropy, as in the authors' code."""

Reading = Callable[[Tensor, Tensor], Tensor]
"""From a model's logits and the records' labels to the numbers that are read `[r e]`."""


@dataclass(frozen=True)
class Batch:
    """Records of one side of an episode.

    Attributes:
        inputs: what the model takes `[r ...]`.
        labels: true classes `[r]`.
        is_member: bits `[r]`; of queries nobody knows them, and they are empty.
    """

    inputs: Tensor
    labels: Int[Tensor, " r"]
    is_member: Bool[Tensor, " m"]

    def only(self, rows: Tensor) -> Batch:
        """Some of the records, of which bits are known."""
        return Batch(self.inputs[rows], self.labels[rows], self.is_member[rows])


class Judge(nn.Module):
    """A model and a layer "out, in" on what is read of its answer.

    Args:
        net: a copy of a model, which is changed.
        reading: what is read of its logits.
        weight: of the layer `[2 e]`.
        bias: of the layer `[2]`.
    """

    def __init__(self, net: nn.Module, reading: Reading, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.net, self.reading = net, reading
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)

    def forward(self, batch: Batch) -> Float[Tensor, "r 2"]:
        """Logits "out, in" of each record."""
        return self.reading(self.net(batch.inputs.clone()), batch.labels) @ self.weight.T + self.bias

    def loss(self, batch: Batch) -> Tensor:
        """Mean cross-entropy of known bits, nats."""
        return nn.functional.cross_entropy(self(batch), batch.is_member.long())

    def entropy(self, batch: Batch, temperature: float) -> Tensor:
        """Mean entropy of the softmax at a temperature, nats; no bit is read."""
        shares = torch.softmax(self(batch) / temperature, 1)
        found: Tensor = -(shares * shares.clamp(min=RAREST).log()).sum(1).mean()
        return found

    @torch.no_grad()
    def odds(self, batch: Batch) -> Float[Tensor, " r"]:
        """Log-odds "in" of each record; the softmax of "in" rises with it, but saturates."""
        logits: Tensor = self.resting()(batch)
        return (logits[:, 1] - logits[:, 0]).double()

    def resting(self) -> Judge:
        """Itself, in evaluation mode."""
        return self.eval()


def released_reading(logits: Float[Tensor, "r c"], labels: Int[Tensor, " r"]) -> Float[Tensor, "r c"]:
    """The positive part of the logits, which the authors' code reads; `labels` are not read."""
    return torch.relu(logits.double())


def label_aware(net: nn.Module, batch: Batch) -> Reading:
    """The reading of the mended mode: the label's confidence and the sorted ones, in units that stay fixed.

    Args:
        net: a model before it is tuned.
        batch: records whose answers give the units; no bit is read.
    """

    def columns(logits: Tensor, labels: Tensor) -> Tensor:
        highest = scaled_confidences(logits, labels).sort(1, descending=True).values[:, :HIGHEST]
        return torch.cat([logit_confidence(logits, labels)[:, None], highest], 1)

    with torch.no_grad():
        rows = columns(net.eval()(batch.inputs.clone()), batch.labels)
    low, middle, high = rows.quantile(torch.tensor([0.16, 0.5, 0.84], dtype=rows.dtype), dim=0)
    spread = torch.where(high > low, (high - low) / 2, rows.std(0, unbiased=False).clamp(min=1e-12))
    return lambda logits, labels: ((columns(logits, labels) - middle) / spread).clamp(-FAR, FAR)


def begin(net: nn.Module, reading: Reading, support: Batch, *, released: bool) -> Judge:
    """A judge on a copy of a model, whose layer comes from the support.

    As released, each row is the class mean, divided by its length. Mended, the layer is the difference of squared
    distances to both class means, which has the same form and needs no common length.

    Args:
        net: a model, which is not changed.
        reading: what is read.
        support: with known bits.
        released: which of the two.
    """
    net = copy.deepcopy(net)
    with torch.no_grad():
        rows = reading(net.eval()(support.inputs.clone()), support.labels)
        means = torch.stack([rows[support.is_member == side].mean(0) for side in (False, True)])
        if released:
            weight = means / means.norm(dim=1, keepdim=True).clamp(min=SHORTEST)
            return Judge(net, reading, weight, torch.zeros(2, dtype=rows.dtype))
        return Judge(net, reading, means, -means.square().sum(1) / 2)


def epoch(
    judge: Judge, optimizer: torch.optim.Optimizer, support: Batch, queries: Batch, temperature: float,
    *, released: bool,
) -> None:  # fmt: skip
    """One pass: a step on the support's cross-entropy, then one on the queries' entropy.

    Args:
        judge: is changed.
        optimizer: of all its weights.
        support: with known bits.
        queries: without.
        temperature: of the entropy.
        released: in training mode, so that batch normalisation follows the few records; mended keeps its statistics.
    """
    for asked in (support, queries):
        judge.train(released)
        optimizer.zero_grad()
        loss = judge.loss(support) if asked is support else judge.entropy(queries, temperature)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def trainable(judge: Judge) -> list[nn.Parameter]:
    """All weights of a judge that are floating-point numbers, which are set to be trained."""
    found = [one for one in judge.parameters() if one.is_floating_point()]
    for one in found:
        one.requires_grad_()
    return found


def weights_of(judge: Judge) -> dict[str, Tensor]:
    """A copy of its weights and running statistics."""
    return copy.deepcopy(judge.state_dict())
