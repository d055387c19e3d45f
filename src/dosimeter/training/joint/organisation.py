"""An organisation that trains together with others: it holds its records and gives out what messages carry."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import TrainingError
from dosimeter.foundation.seeds import seed_for
from dosimeter.models.architectures import as_float
from dosimeter.training.loop import Optimizer, seed_torch
from dosimeter.training.recipe import Hyperparameters


@dataclass(frozen=True)
class Holding:
    """What an organisation owns.

    Attributes:
        inputs: `[n ...]`, uint8 images or floats.
        labels: classes `[n]`.
        batches: rows that it trains on at each step `[steps b]`.
    """

    inputs: Tensor
    labels: Int[Tensor, " n"]
    batches: Int[Array, "steps b"]


class Organisation:
    """A party. Its records, its head and its order of batches are private; methods return what may cross.

    Args:
        name: of the party.
        holding: what it owns.
        model: the trunk and the head that it begins with; copied.
        hp: the recipe; of the head by itself, of the trunk by agreement.
        seed: decides dropout.
        device: device to train on.
    """

    def __init__(
        self, name: str, holding: Holding, model: tuple[nn.Module, nn.Linear], hp: Hyperparameters, *, seed: int,
        device: torch.device,
    ) -> None:  # fmt: skip
        self.name = name
        self._holding, self._hp, self._seed, self._device = holding, hp, seed, device
        self._trunk, self._head = (copy.deepcopy(one).to(device).train() for one in model)
        self._optimizer = Optimizer(list(self._head.parameters()), hp)
        self._features: Tensor | None = None

    def adopt(self, trunk: Mapping[str, Tensor]) -> None:
        """Takes over the parameters of the trunk."""
        with torch.no_grad():
            for name, parameter in self._trunk.named_parameters():
                parameter.copy_(trunk[name])

    def represent(self, step: int) -> Float[Tensor, "b d"]:
        """Features of the batch of a step; `gradient` goes back through them."""
        rows = torch.from_numpy(self._holding.batches[step])
        batch = as_float(self._holding.inputs[rows]).to(self._device)
        with seed_torch(seed_for(self._seed, "dropout", step)):
            self._features = self._trunk(batch)
        return self._features.detach()

    def gradient(
        self, step: int, *, task: bool = True, pull: Float[Tensor, "b d"] | None = None
    ) -> dict[str, Tensor]:  # fmt: skip
        """Gradient of its loss on the batch of a step by each parameter of the trunk.

        Args:
            step: number of the update.
            task: with the mean cross-entropy of its own labels, by which its head moves too.
            pull: gradient of a further loss by its features of this step, which `represent` gave.

        Raises:
            TrainingError: the loss is not finite.
        """
        if self._features is None:
            self.represent(step)
        assert self._features is not None
        total = self._features.new_zeros(())
        if task:
            rows = torch.from_numpy(self._holding.batches[step])
            labels = self._holding.labels[rows].to(self._device)
            total = nn.functional.cross_entropy(self._head(self._features), labels)
            if not bool(torch.isfinite(total)):
                raise TrainingError(
                    f"party {self.name!r}: loss must be finite, got {float(total.detach())} at step {step}: lower lr "
                    f"({self._hp.lr}) or check the inputs' scale"
                )
        if pull is not None:
            total = total + (self._features * pull.to(self._device)).sum()
        total.backward()  # type: ignore[no-untyped-call]
        self._features = None
        if task:
            self._optimizer.update(self._hp.lr_at(step, len(self._holding.batches)))
        found = {}
        for name, parameter in self._trunk.named_parameters():
            found[name] = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad.clone()
            parameter.grad = None
        return found

    def head(self) -> dict[str, Tensor]:
        """Parameters of its head, for a party that it hands them to."""
        return {name: one.detach().clone() for name, one in self._head.named_parameters()}


class Keeper:
    """The coordinator: keeps the trunk and moves it by SGD.

    Args:
        trunk: the shared blocks; copied.
        hp: the recipe.
        steps: number of updates.
        averaged: gradients are averaged, not summed.
    """

    def __init__(self, trunk: nn.Module, hp: Hyperparameters, steps: int, *, averaged: bool) -> None:
        self._trunk, self._hp, self._steps, self._averaged = copy.deepcopy(trunk), hp, steps, averaged
        self._optimizer = Optimizer(list(self._trunk.parameters()), hp)

    def trunk(self) -> dict[str, Tensor]:
        """The parameters."""
        return {name: one.detach().clone() for name, one in self._trunk.named_parameters()}

    def update(self, step: int, gradients: list[dict[str, Tensor]]) -> None:
        """Moves the trunk by the parties' gradients."""
        share = 1 / len(gradients) if self._averaged else 1.0
        for name, parameter in self._trunk.named_parameters():
            parameter.grad = torch.stack([one[name] for one in gradients]).sum(0) * share
        self._optimizer.update(self._hp.lr_at(step, self._steps))
