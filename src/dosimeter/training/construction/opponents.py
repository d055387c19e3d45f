"""Adversaries that learn beside a model: their networks, their updates, and their price."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dosimeter.foundation.errors import TrainingError
from dosimeter.foundation.seeds import seed_for
from dosimeter.models.learners import inverse
from dosimeter.training.construction.objectives import apart, confusion, perceived, ssim, told
from dosimeter.training.construction.settings import Aim, Construction

WIDTH = 128
"""Units of both hidden layers of an adversary after an attribute."""


@dataclass(frozen=True)
class Sought:
    """What one kind of adversary is after, in numbers of the training records.

    Attributes:
        aim: what it is.
        prior: share of each value of the attribute `[v]`; empty if the input is sought.
        mean: the mean record `[...]`; empty if an attribute is sought.
        scale: spread of the records' numbers, one for all of pictures; empty if an attribute is sought.
        value_range: least and largest number of a record.
    """

    aim: Aim
    prior: Float[Tensor, " v"]
    mean: Tensor
    scale: Tensor
    value_range: tuple[float, float] = (0.0, 1.0)

    @property
    def name(self) -> str:
        """Name of what is sought."""
        return "input" if self.aim.attribute is None else f"attribute:{self.aim.attribute}"

    def network(self, shape: tuple[int, ...]) -> nn.Module:
        """A fresh adversary, drawn from PyTorch's default generator; it has no normalisation over a batch.

        Args:
            shape: of the features of one record.
        """
        if self.aim.attribute is None:
            return inverse(shape, tuple(self.mean.shape), self.value_range)
        width = int(torch.Size(shape).numel())
        return nn.Sequential(
            nn.Flatten(), nn.Linear(width, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU(),
            nn.Linear(WIDTH, len(self.prior)), nn.LogSoftmax(1),
        )  # fmt: skip

    def loss(self, said: Tensor, records: Tensor, values: Int[Tensor, " b"] | None) -> Float[Tensor, ""]:
        """What the adversary learns by.

        Args:
            said: what it says of a batch.
            records: the batch.
            values: of the attribute, if one is sought.
        """
        if values is not None:
            return told(said, values)
        loss = apart(said, records, self.scale)
        return loss + 1 - ssim(said, records).mean() if self.aim.objective == "hinge" else loss

    def price(
        self, said: Tensor, records: Tensor, values: Int[Tensor, " b"] | None, threshold: float
    ) -> Float[Tensor, ""]:
        """What the layers before the cut are trained to make small; arguments as of `loss`.

        Args:
            said: what an adversary says of the batch.
            records: the batch.
            values: of the attribute, if one is sought.
            threshold: of "hinge".
        """
        objective = self.aim.objective
        if objective == "confusion":
            return confusion(said, self.prior)
        if objective == "mean_input":
            return apart(said, self.mean, self.scale)
        if objective == "hinge":
            return (ssim(said, records) - threshold).clamp(min=0).mean()
        if objective == "perceptual":
            return -apart(said, records, self.scale) - perceived(said, records)
        return -self.loss(said, records, values)


class Opponents:
    """A pool of adversaries of one kind.

    Args:
        sought: what they are after.
        settings: of all of them.
        shape: of the features of one record.
        device: where they are.
        seed: of their weights.
    """

    def __init__(
        self, sought: Sought, settings: Construction, shape: tuple[int, ...], device: torch.device, seed: int
    ) -> None:
        self.sought, self.settings, self.shape, self.device, self.seed = sought, settings, shape, device, seed
        self.begun = 0
        self.pool: list[tuple[nn.Module, torch.optim.Optimizer]] = [self._fresh() for _ in range(settings.pool)]

    def _fresh(self) -> tuple[nn.Module, torch.optim.Optimizer]:
        """A new adversary with its optimiser."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_for(self.seed, f"adversary after {self.sought.name}", self.begun))
            network = self.sought.network(self.shape).to(self.device)
        self.begun += 1
        return network, torch.optim.Adam(network.parameters(), lr=self.settings.adversary_lr)

    def renew(self) -> None:
        """Lets the oldest adversary begin anew."""
        place = (self.begun - self.settings.pool) % self.settings.pool
        self.pool[place] = self._fresh()

    def learn(self, seen: Tensor, records: Tensor, values: Int[Tensor, " b"] | None) -> None:
        """Updates each adversary on a batch; nothing else is changed.

        Args:
            seen: features, from which no gradient may flow to the model.
            records: the batch.
            values: of the attribute, if one is sought.
        """
        assert not seen.requires_grad, "the model is no part of this update"
        for network, optimiser in self.pool:
            network.requires_grad_(True)
            for _ in range(self.settings.steps):
                optimiser.zero_grad()
                self.sought.loss(network(seen), records, values).backward()  # type: ignore[no-untyped-call]
                optimiser.step()
            network.requires_grad_(False)

    def price(self, features: Tensor, records: Tensor, values: Int[Tensor, " b"] | None) -> Float[Tensor, ""]:
        """Mean over the pool of what the features let adversaries do; gradients flow to the features alone."""
        found = [
            self.sought.price(network(features), records, values, self.settings.threshold) for network, _ in self.pool
        ]
        return torch.stack(found).mean()

    def says(self, features: Tensor) -> Tensor:
        """What the pool says of features: log of the mean probability `[n v]`, or the mean record `[n ...]`."""
        with torch.no_grad():
            said = torch.stack([network(features) for network, _ in self.pool])
        if self.sought.aim.attribute is None:
            return said.mean(0)
        return torch.logsumexp(said, 0) - torch.log(torch.tensor(float(len(said))))

    def state(self) -> dict[str, Tensor]:
        """Weights of all adversaries, on the CPU."""
        return {
            f"{self.sought.name}.{place}.{name}": tensor.detach().cpu().clone()
            for place, (network, _) in enumerate(self.pool)
            for name, tensor in network.state_dict().items()
        }

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Takes weights that `state` gave.

        Raises:
            TrainingError: they are those of other adversaries.
        """
        for place, (network, _) in enumerate(self.pool):
            start = f"{self.sought.name}.{place}."
            own = {name.removeprefix(start): one for name, one in state.items() if name.startswith(start)}
            try:
                network.load_state_dict(own)
            except RuntimeError as error:
                raise TrainingError(f"adversary after {self.sought.name}: its weights were stored otherwise") from error
