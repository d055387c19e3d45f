"""What an adversary of a language model holds of the judged texts beside the target's answers: sizes, and the base."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from jaxtyping import Float, Int

from dosimeter.foundation.arrays import Array


@dataclass(frozen=True, eq=False)
class Texts:
    """The judged texts, equal for all targets.

    Attributes:
        lengths: tokens of each, the one that begins it among them `[n]`.
        compressed: size of each after zlib, bytes `[n]`.
        base: signals of each token under the model that the finetuning started from `[n k]`; empty if there is none.
    """

    lengths: Int[Array, " n"]
    compressed: Int[Array, " n"]
    base: Mapping[str, Float[Array, "n k"]] = field(default_factory=dict)

    def first(self, n: int) -> Texts:
        """The first `n` texts."""
        return self.between(0, n)

    def between(self, start: int, end: int) -> Texts:
        """Texts from one place to before another."""
        base = {name: values[start:end] for name, values in self.base.items()}
        return Texts(self.lengths[start:end], self.compressed[start:end], base)
