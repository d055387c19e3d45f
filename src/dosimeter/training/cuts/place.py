"""A cut as the owner of the model sees it: by it, defenses of what crosses take what they need from the model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn

Law = Literal["gaussian", "laplace"]
"""Law of added noise."""


@dataclass(frozen=True)
class CutPlace:
    """One cut of one trained model, with records of its owner.

    Attributes:
        first: from records to what crosses the cut, before any defense; differentiable.
        second: the second half; takes the tensors that cross and returns `(answer,)`.
        records: some of the records that the model was trained on `[m ...]`, as models take them.
        features: what reaches the defense of these records `[m ...]`.
        answers: from what is sent to logits or log-probabilities `[b c]`, differentiable; None where the second half
            gives these itself.
        trial: whether it is only asked if a defense can act here, so that what it learns need not be good.
    """

    first: Callable[[Tensor], Tensor]
    second: nn.Module
    records: Tensor
    features: Float[Tensor, "m ..."]
    answers: Callable[[Tensor], Tensor] | None = None
    trial: bool = False

    def answer(self, sent: Float[Tensor, "b ..."]) -> Float[Tensor, "b c"]:
        """Logits or log-probabilities of what is sent; differentiable."""
        found: Tensor = self.second(sent)[0] if self.answers is None else self.answers(sent)
        return found


@runtime_checkable
class AddsNoise(Protocol):
    """A `Release` that adds independent noise of one law to each number, after a differentiable step.

    Attributes:
        law: of the noise.
        scale: standard deviation of Gaussian noise, or the scale b of Laplace noise; 0 for none.
    """

    law: Law
    scale: float

    def without_noise(self, features: Float[Tensor, "b ..."]) -> Float[Tensor, "b ..."]:
        """What is sent before noise is added; differentiable."""
        ...
