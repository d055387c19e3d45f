"""Secure sum: the coordinator learns the sum of what parties send, and no part of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from dosimeter.foundation import checks


@dataclass(frozen=True)
class SecureSum:
    """Show the coordinator the sum of all gradients or updates, as secure aggregation does.

    Paper: Bonawitz et al., "Practical Secure Aggregation for Federated Learning on User-Held Data", 2016,
    https://arxiv.org/abs/1611.04482. Each party rounds its numbers to multiples of 2^−bits and adds masks, whole
    numbers that cancel in the sum.

    Simulated: the sum crosses, and masked parts, which tell nothing, are not made. With two parties each subtracts its
    own part from the sum and has the other's, so that it is refused there. With more, a party still learns the sum of
    all others from how the trunk moves.

    Stronger: it has no strength; fewer bits round more coarsely.
    Deviations: nobody drops out, and nobody colludes with the coordinator.
    Cost: none here; in a real training keys and masks for each pair of parties.

    Attributes:
        bits: after the binary point, from 4 to 40.
    """

    paper: ClassVar[str] = "Bonawitz et al., 2016, https://arxiv.org/abs/1611.04482"
    place: ClassVar[str] = "joint"
    ladder: ClassVar[tuple[dict[str, Any], ...]] = ({"bits": 32}, {"bits": 24}, {"bits": 16})

    bits: int = 24

    def __post_init__(self) -> None:
        checks.in_range("bits", self.bits, 4, 40)

    def sum_bits(self) -> int:
        """Bits after the binary point in which parts are summed unseen."""
        return self.bits
