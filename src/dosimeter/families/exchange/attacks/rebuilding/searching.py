"""What attacks share that seek records by L-BFGS: the settings of the search, and what it costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from dosimeter.families.exchange.inverting.matching import Newton


@dataclass(frozen=True)
class Searching:
    """Settings of a search; abstract: an attack adds what it needs and `run`.

    Attributes:
        channel: what of the messages is read.
        rounds: calls of the optimiser.
        steps: of each call.
        attempts: starts at most; another one is made while the gradient is not met.
    """

    control: ClassVar[bool] = False
    signals: ClassVar[tuple[str, ...]] = ()

    channel: Literal["gradient", "update"] = "gradient"
    rounds: int = 15
    steps: int = 20
    attempts: int = 2

    def __post_init__(self) -> None:
        self._search()

    @property
    def mode(self) -> str:
        """The channel, which names the attack in results."""
        return self.channel

    @property
    def passes(self) -> int:
        """Gradients of a guess for each batch."""
        return self.rounds * self.steps * self.attempts

    def _search(self) -> Newton:
        """The search; refuses settings out of range."""
        return Newton(self.rounds, self.steps, self.attempts)
