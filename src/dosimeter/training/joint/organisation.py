"""An organisation that trains together with others: it holds its records and gives out what messages carry."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import TrainingError
from dosimeter.foundation.seeds import seed_for
from dosimeter.models.architectures import as_float
from dosimeter.training.joint.aligning import Aligner
from dosimeter.training.joint.guarding import Guard
from dosimeter.training.joint.losses.private_codes import PrivateCodes
from dosimeter.training.joint.losses.steering import PropertyLoss, Steering
from dosimeter.training.joint.transcript import Agreement
from dosimeter.training.loop import Optimizer, seed_torch
from dosimeter.training.recipe import Hyperparameters


@dataclass(frozen=True)
class Holding:
    """What an organisation owns.

    Attributes:
        inputs: `[n ...]`, uint8 images or floats.
        labels: classes `[n]`.
        batches: rows that it trains on at each step `[steps b]`.
        steering: what it adds to its own loss; None if it follows the protocol.
    """

    inputs: Tensor
    labels: Int[Tensor, " n"]
    batches: Int[Array, "steps b"]
    steering: Steering | None = None


class Organisation:
    """A party. Its records, its head and its order of batches are private; methods return what may cross.

    Args:
        name: of the party.
        holding: what it owns.
        model: the trunk and the head that it begins with; copied.
        hp: the recipe; of the head by itself, of the trunk by agreement. Its defenses act on steps and on all that the
            methods return, as `guarding.bounded` settles them for this party.
        seed: decides dropout, noise of defenses, and the discriminator of a receiver.
        device: device to train on.
        method: the joint method; "dsn" has an encoder and a decoder that are private.
    """

    def __init__(
        self, name: str, holding: Holding, model: tuple[nn.Module, nn.Linear], hp: Hyperparameters, *, seed: int,
        device: torch.device, method: str = "",
    ) -> None:  # fmt: skip
        self.name = name
        self._holding, self._hp, self._seed, self._device = holding, hp, seed, device
        self._trunk, self._head = (copy.deepcopy(one).to(device).train() for one in model)
        self._classes = model[1].out_features
        self._optimizer = Optimizer(list(self._head.parameters()), hp)
        self._own = Optimizer(list(self._trunk.parameters()), hp)
        self._guard = Guard(hp, seed)
        self._codes = PrivateCodes(self._trunk, hp, seed=seed, device=device) if method == "dsn" else None
        steering, width = holding.steering, model[1].in_features
        self._property = None if steering is None else PropertyLoss(steering, width, hp, device=device)
        self._aligner: Aligner | None = None
        self._features: Tensor | None = None
        self._records: Tensor | None = None
        self._targets: Tensor | None = None
        self._shown: Mapping[str, Tensor] = {}
        self._pull: Tensor | None = None

    @property
    def steps(self) -> int:
        """Number of its batches."""
        return len(self._holding.batches)

    def adopt(self, trunk: Mapping[str, Tensor]) -> None:
        """Takes over the parameters of the trunk."""
        with torch.no_grad():
            for name, parameter in self._trunk.named_parameters():
                parameter.copy_(trunk[name])

    def show(self, step: int) -> dict[str, Tensor]:
        """What it tells of the features of the batch of a step; `gradient` goes back through it."""
        self._shown = self._guard.protect("representations", step, {"features": self._represent(step)})
        return {name: one.detach() for name, one in self._shown.items()}

    def answer(self, step: int, shown: Mapping[str, Tensor], method: str, weight: float) -> dict[str, Tensor]:
        """How the features that the source showed should move, so that they and its own become alike.

        Args:
            step: number of the update.
            shown: what the source told of its features.
            method: one of `methods.SHOWING`.
            weight: of the alignment.

        Returns:
            Gradient of weight times the distance by each array of `shown`; its own is kept for `gradient`.
        """
        if self._aligner is None:
            self._aligner = Aligner(method, self._hp, self.steps, seed=self._seed)
        own = self._represent(step)
        found = self._aligner.distance(step, shown, own.detach())
        self._pull = weight * found.receiver
        return self._guard.protect(
            "alignment_gradient", step, {name: weight * one for name, one in found.source.items()}
        )

    def gradient(
        self, step: int, *, task: bool = True, pull: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:  # fmt: skip
        """Gradient of its loss on the batch of a step by each parameter of the trunk.

        Args:
            step: number of the update.
            task: with the mean cross-entropy of its own labels, by which its head moves too.
            pull: gradient of a further loss by what it showed in this step.

        Raises:
            TrainingError: the loss is not finite.
        """
        self._descend(step, task=task, pull=pull or {}, rate=self._hp.lr_at(step, self.steps))
        found = {}
        for name, parameter in self._trunk.named_parameters():
            found[name] = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad.clone()
            parameter.grad = None
        return self._guard.protect("gradient", step, found)

    def update(self, turn: int, local_steps: int) -> dict[str, Tensor]:
        """What some updates of its own, on its next batches, add to the trunk.

        The momentum of the trunk begins anew in each round, since the trunk is replaced; that of the head goes on. The
        learning rate is one for the whole round.

        Args:
            turn: number of the round.
            local_steps: updates of a round.

        Raises:
            TrainingError: the loss is not finite.
        """
        before, optimizer = self.parameters(), Optimizer(list(self._trunk.parameters()), self._hp)
        rate = self._hp.lr_at(turn, self.steps // local_steps)
        for step in range(turn * local_steps, (turn + 1) * local_steps):
            self._descend(step, task=True, pull={}, rate=rate)
            optimizer.update(rate)
        return self._guard.protect(
            "update", turn, {name: now - before[name] for name, now in self.parameters().items()}
        )

    def parameters(self) -> dict[str, Tensor]:
        """Parameters of its trunk."""
        return {name: one.detach().clone() for name, one in self._trunk.named_parameters()}

    def approach(self, step: int, other: Mapping[str, Tensor], weight: float) -> None:
        """Moves its own trunk by its loss, and towards the other's by weight times their squared distance.

        Raises:
            TrainingError: the loss is not finite.
        """
        rate = self._hp.lr_at(step, self.steps)
        self._descend(step, task=True, pull={}, rate=rate)
        for name, parameter in self._trunk.named_parameters():
            towards = 2 * weight * (parameter.detach() - other[name].to(self._device))
            parameter.grad = towards if parameter.grad is None else parameter.grad + towards
        self._own.update(rate)

    def head(self) -> dict[str, Tensor]:
        """Parameters of its head, for a party that it hands them to."""
        return {name: one.detach().clone() for name, one in self._head.named_parameters()}

    def _batch(self, step: int) -> tuple[Tensor, Int[Tensor, " b"]]:
        """Records and labels of the batch of a step."""
        rows = torch.from_numpy(self._holding.batches[step])
        batch = as_float(self._holding.inputs[rows]).to(self._device)
        return batch, self._holding.labels[rows].to(self._device)

    def _represent(self, step: int) -> Float[Tensor, "b d"]:
        """Features of the batch of a step, differentiable."""
        batch, self._targets = self._batch(step)
        if self._guard.mixes:
            wanted = nn.functional.one_hot(self._targets, self._classes).to(batch.dtype)
            batch, self._targets = self._guard.mix(step, batch, wanted)
        with seed_torch(seed_for(self._seed, "dropout", step)):
            self._features = self._trunk(batch)
        self._records = batch
        return self._features

    def _descend(self, step: int, *, task: bool, pull: Mapping[str, Tensor], rate: float) -> None:
        """Gives the trunk the gradient of the loss on the batch of a step, and moves the head."""
        if self._hp.privacy is not None:
            loss = self._guard.private_gradients(step, (self._trunk, self._head), *self._batch(step))
            self._check(loss, step)
        else:
            self._backward(step, task=task, pull=pull)
        self._guard.disturb(step, [*self._trunk.parameters(), *self._head.parameters()], rate)
        if self._property is not None:  # after noise and clipping, which a party may leave out for what is its own
            self._property.add(step, self._trunk, rate)
        if task:
            self._optimizer.update(rate)
        if self._codes is not None:
            self._codes.update(rate)

    def _backward(self, step: int, *, task: bool, pull: Mapping[str, Tensor]) -> None:
        """Gives trunk and head the gradient of the loss on the batch of a step."""
        features = self._represent(step) if self._features is None else self._features
        total = features.new_zeros(())
        if task:
            assert self._targets is not None
            total = nn.functional.cross_entropy(self._head(features), self._targets)
            self._check(total, step)
        for name, one in pull.items():
            total = total + (self._shown[name] * one.to(self._device)).sum()
        if self._pull is not None:
            total = total + (features * self._pull).sum()
        if self._codes is not None:
            assert self._records is not None
            total = total + self._codes.loss(step, features, self._records)
        total.backward()  # type: ignore[no-untyped-call]
        self._features, self._records, self._targets = None, None, None
        self._shown, self._pull = {}, None

    def _check(self, loss: Tensor, step: int) -> None:
        """Refuses a loss that is not finite."""
        if not bool(torch.isfinite(loss)):
            raise TrainingError(
                f"party {self.name!r}: loss must be finite, got {float(loss.detach())} at step {step}: lower lr "
                f"({self._hp.lr}) or check the inputs' scale"
            )


class Keeper:
    """The coordinator: keeps the trunk and moves it by SGD.

    Args:
        trunk: the shared blocks; copied.
        hp: the recipe.
        steps: number of updates.
        averaged: gradients are averaged, not summed.
        near: weight of the trunk's squared distance from its start, halved; then it has no weight decay beside
            (Li, Grandvalet, Davoine, 2018, https://arxiv.org/abs/1802.01483, L2-SP).
    """

    def __init__(
        self, trunk: nn.Module, hp: Hyperparameters, steps: int, *, averaged: bool, near: float | None = None
    ) -> None:  # fmt: skip
        self._trunk, self._hp, self._steps, self._averaged = copy.deepcopy(trunk), hp, steps, averaged
        self._near, self._start = near, self.trunk()
        own = hp if near is None else replace(hp, weight_decay=0.0)
        self._optimizer = Optimizer(list(self._trunk.parameters()), own)

    def trunk(self) -> dict[str, Tensor]:
        """The parameters."""
        return {name: one.detach().clone() for name, one in self._trunk.named_parameters()}

    def update(self, step: int, gradients: Sequence[Mapping[str, Tensor]], parties: int) -> None:
        """Moves the trunk by gradients of so many parties, or by their sum alone."""
        share = 1 / parties if self._averaged else 1.0
        for name, parameter in self._trunk.named_parameters():
            total = torch.stack([one[name] for one in gradients]).sum(0) * share
            if self._near is not None:
                total = total + self._near * (parameter.detach() - self._start[name])
            parameter.grad = total
        self._optimizer.update(self._hp.lr_at(step, self._steps))

    def add(self, updates: Sequence[Mapping[str, Tensor]], parties: int) -> None:
        """Adds the mean of updates of so many parties to the trunk, or of their sum alone."""
        with torch.no_grad():
            for name, parameter in self._trunk.named_parameters():
                parameter.add_(torch.stack([one[name] for one in updates]).sum(0) / parties)


def keeper_of(agreement: Agreement, trunk: nn.Module, hp: Hyperparameters) -> Keeper:
    """The coordinator that parties agreed on."""
    near = agreement.weight if agreement.method == "l2-sp" else None
    return Keeper(trunk, hp, agreement.steps, averaged=agreement.averaged, near=near)
