"""Answers of a trained model behind the defenses of its outputs; every query of the model goes through here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from dosimeter.foundation.errors import AuditError, TrainingError
from dosimeter.foundation.keys.package_code import class_code, package_code
from dosimeter.foundation.seeds import seed_for
from dosimeter.foundation.wording import describe
from dosimeter.training.recipe import ChangesAnswers

Answer = Callable[[Tensor], Tensor]


def guard(answer: Answer, defenses: Sequence[ChangesAnswers], seed: int) -> Answer:
    """Logarithms of the probabilities that the defenses release, float64; the plain answer if there are none.

    Args:
        answer: from inputs to logits `[r c]`.
        defenses: applied in order.
        seed: seed of the model, for the random inputs that some of them ask about.
    """

    def release(inputs: Tensor) -> Float[Tensor, "r c"]:
        shown = _probabilities(answer(inputs))
        for one in defenses:
            shown = _release(one, shown, lambda: _probabilities(answer(random_inputs(inputs, seed))))
        return shown.log()

    return release if defenses else answer


def _release(defense: ChangesAnswers, given: Tensor, noise: Callable[[], Tensor]) -> Tensor:
    """The probabilities that a defense releases, checked."""
    name = type(defense).__name__
    try:
        shown = defense.release(given, noise)
    except (AuditError, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        raise TrainingError(f"defense {name}: `release` raised {describe(error)}: correct it") from error
    alike = isinstance(shown, Tensor) and (shown.shape, shown.dtype) == (given.shape, given.dtype)
    if not alike or not bool((shown.isfinite() & (shown >= 0)).all() and (shown.sum(1) > 0).all()):
        got = f"{shown.dtype} {tuple(shown.shape)}" if isinstance(shown, Tensor) else type(shown).__name__
        fault = ", with rows of zeros, or numbers that are below 0 or not finite" if alike else ""
        raise TrainingError(
            f"defense {name}: `release` must give probabilities [records, classes] as it got them, {given.dtype} "
            f"{tuple(given.shape)}, got {got}{fault}: correct it"
        )
    return shown


def describe_defense(defense: ChangesAnswers) -> dict[str, Any]:
    """Part of a key about a defense of the outputs: its settings and its code."""
    code = [class_code(type(defense)), package_code(__name__)]
    return {"defense": type(defense).__name__, "code": code, **asdict(defense)}  # type: ignore[call-overload]


def _probabilities(logits: Tensor) -> Tensor:
    """Probabilities, rounded to float32 as a model releases them, in float64."""
    return torch.softmax(logits.float(), 1).double()


def random_inputs(inputs: Tensor, seed: int) -> Tensor:
    """Equally many random inputs; each number is uniform between its least and largest value in `inputs`."""
    low, high = inputs.amin(0), inputs.amax(0)
    uniform = torch.rand(inputs.shape, generator=torch.Generator().manual_seed(seed_for(seed, "random inputs")))
    if inputs.is_floating_point():
        return low + (high - low) * uniform.to(inputs)
    low, high = low.double(), high.double()  # in bytes their difference plus 1 may be 0
    return (low + ((high - low + 1) * uniform.double()).floor()).to(inputs.dtype)
