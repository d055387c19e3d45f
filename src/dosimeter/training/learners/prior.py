"""What all priors of records have in common."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor


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
