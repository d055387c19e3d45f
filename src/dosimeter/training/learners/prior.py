"""What all priors of records have in common, and a prior from a trained generator, ours or the user's."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn


@runtime_checkable
class Prior(Protocol):
    """What records of a kind look like, in a few numbers that are standard normal for usual records."""

    @property
    def latent(self) -> int:
        """Numbers of a latent."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one record."""
        ...

    @property
    def low(self) -> float:
        """Least value of a record."""
        ...

    @property
    def high(self) -> float:
        """Largest value of a record."""
        ...

    @property
    def mean(self) -> Float[Tensor, " d"]:
        """The mean record, flattened."""
        ...

    def decode(self, latent: Float[Tensor, "b k"]) -> Float[Tensor, "b ..."]:
        """Records of some latents; gradients flow.

        Args:
            latent: on the device of the prior.
        """
        ...

    def unlikely(self, latent: Float[Tensor, "b k"], records: Float[Tensor, "b ..."]) -> Float[Tensor, " b"]:
        """How unlike usual records some are, up to a constant; gradients flow.

        Args:
            latent: of the records.
            records: what `decode` makes of it.
        """
        ...

    def to(self, device: str) -> Prior:
        """The prior on a device."""
        ...


@dataclass(frozen=True, eq=False)
class Generated:
    """Records as a network makes them of latents, cut to the range of those that the adversary holds.

    Attributes:
        network: from latents `[b, latent]` to records `[b, *shape]`; in evaluation mode, no parameter asks for a
            gradient.
        critic: from records to one number each, larger for those that look usual; None without one.
        latent: numbers of a latent.
        shape: shape of one record.
        low: least value of a record.
        high: largest value.
        mean: the mean record of those that the adversary holds `[d]`, flattened.
    """

    network: nn.Module
    critic: nn.Module | None
    latent: int
    shape: tuple[int, ...]
    low: float
    high: float
    mean: Float[Tensor, " d"]

    def decode(self, latent: Float[Tensor, "b k"]) -> Float[Tensor, "b ..."]:
        """Implements `Prior`."""
        made: Tensor = self.network(latent).float()
        return made.clamp(self.low, self.high).reshape(len(latent), *self.shape)

    def unlikely(self, latent: Float[Tensor, "b k"], records: Float[Tensor, "b ..."]) -> Float[Tensor, " b"]:
        """Implements `Prior`: minus the critic's number, or without one half of the squared latent."""
        if self.critic is None:
            return (latent**2).sum(1) / 2
        judged: Tensor = self.critic(records)
        return -judged.flatten()

    def to(self, device: str) -> Generated:
        """Implements `Prior`; this one stays where it is."""
        network, critic = copy.deepcopy((self.network, self.critic))
        return replace(
            self,
            network=network.to(device),
            critic=None if critic is None else critic.to(device),
            mean=self.mean.to(device),
        )
