"""A party that departs from the protocol: it adds a loss of its own, by which shared layers tell a property apart."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import TrainingError
from dosimeter.foundation.seeds import generator, seed_for
from dosimeter.models.architectures import as_float
from dosimeter.training.loop import Optimizer, seed_torch
from dosimeter.training.recipe import Hyperparameters


@dataclass(frozen=True)
class Steering:
    """What a party steers the shared layers by.

    Attributes:
        inputs: records of its own `[p ...]`, uint8 images or floats.
        has: whether each has the property `[p]`.
        size: records of each step, half of them with the property.
        seed: of the party.
    """

    inputs: Tensor
    has: Bool[Array, " p"]
    size: int
    seed: int


class PropertyLoss:
    """The loss of a second task: a further head tells from the features of the trunk who has the property.

    Melis et al., 2018, https://arxiv.org/abs/1805.04049, the active adversary: the party descends L(x, y) + L(x, p) in
    place of L(x, y). Both losses count alike. The head of the property never crosses.

    Args:
        steering: the records and their property.
        width: of the features.
        hp: the recipe, by which the head of the property moves.
        device: device to train on.
    """

    def __init__(self, steering: Steering, width: int, hp: Hyperparameters, *, device: torch.device) -> None:
        self._steering, self._device = steering, device
        with seed_torch(seed_for(steering.seed, "property head")):
            self._head = nn.Linear(width, 2).to(device)
        self._optimizer = Optimizer(list(self._head.parameters()), hp)

    def add(self, step: int, trunk: nn.Module, rate: float) -> None:
        """Adds the gradient of the loss to that of each parameter of a trunk, and moves the head of the property.

        Args:
            step: number of the batch, which decides the records.
            trunk: the party's trunk as it is now.
            rate: learning rate of the head.

        Raises:
            TrainingError: the loss is not finite.
        """
        records, has = self._batch(step)
        with seed_torch(seed_for(self._steering.seed, "property dropout", step)):
            loss = nn.functional.cross_entropy(self._head(trunk(records).flatten(1)), has)
        if not bool(torch.isfinite(loss)):
            raise TrainingError(
                f"loss of the property: must be finite, got {float(loss.detach())} at step {step}: lower lr or check "
                "the inputs' scale"
            )
        moved = [*trunk.parameters(), *self._head.parameters()]
        for p, more in zip(moved, torch.autograd.grad(loss, moved, allow_unused=True), strict=True):
            if more is not None:
                p.grad = more if p.grad is None else p.grad + more
        self._optimizer.update(rate)

    def _batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Records of a step, and whether they have the property: half of them, or as many as there are."""
        steering = self._steering
        rng = generator(steering.seed, "property batches", step)
        half = steering.size // 2
        rows = []
        for side, count in ((True, half), (False, steering.size - half)):
            of_side = (steering.has == side).nonzero()[0]
            rows += rng.choice(of_side, count, replace=len(of_side) < count).tolist()
        picked = torch.tensor(rows)
        has = torch.from_numpy(steering.has)[picked].long()
        return as_float(steering.inputs[picked]).to(self._device), has.to(self._device)
