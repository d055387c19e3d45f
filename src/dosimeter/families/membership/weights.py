"""The deployed models themselves, in a game: an adversary with their weights may train copies of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Int

from dosimeter.foundation.arrays import Array


@runtime_checkable
class Modules(Protocol):
    """Gives a model of the fleet; the same one at every call, and a copy of it, which may be changed."""

    def __call__(self, row: int) -> Any:
        """A model, as a `torch.nn.Module` from a batch of inputs to logits `[b c]`.

        Args:
            row: its number in the fleet.
        """
        ...


@dataclass(frozen=True, eq=False)
class Weights:
    """Models and records as an adversary with weights has them.

    Attributes:
        modules: gives a model by its number in the fleet.
        inputs: what the models take for the judged, then for the known records, a tensor `[n+k ...]`: the records as
            floats, or their features where the part before is frozen and public.
        rows: numbers of the targets `[t]`.
        shadow_rows: numbers of the shadows `[s]`.
    """

    modules: Modules
    inputs: Any
    rows: Int[Array, " t"]
    shadow_rows: Int[Array, " s"]

    def target(self, number: int) -> Any:
        """A copy of one target, a `torch.nn.Module`."""
        return self.modules(int(self.rows[number]))

    def rehearse(self, rows: Int[Array, " r"], rest: Int[Array, " s"]) -> Weights:
        """The same in a game in which some shadows play target; arguments as of `Known.rehearse`."""
        return replace(self, rows=self.shadow_rows[rows], shadow_rows=self.shadow_rows[rest])
