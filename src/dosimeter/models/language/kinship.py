"""Whether one language model can have been finetuned from another, by names, shapes and weights."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor, nn

from dosimeter.foundation.errors import ConfigError
from dosimeter.foundation.wording import one_line

UNRELATED = 0.1
"""Correlation of weights up to which a base is refused; that of unrelated models is about 0."""
DOUBTFUL = 0.9
"""Correlation below which a finetuning would have changed nearly everything."""


@dataclass(frozen=True)
class Kinship:
    """How alike the weights of two models are.

    Attributes:
        correlation: median over matrices of the correlation of their entries.
        moved: norm of the difference of all matrices, divided by that of the base's.
    """

    correlation: float
    moved: float

    @property
    def doubtful(self) -> bool:
        """Returns whether the finetuning, if it was one, changed more than such trainings usually do."""
        return self.correlation < DOUBTFUL


def kinship(net: nn.Module, base: nn.Module, vocabulary: int, place: str) -> Kinship:
    """Compares the matrices of two models; rows of tokens that only one of them has do not count.

    Args:
        net: the finetuned model.
        base: the model that it is said to come from.
        vocabulary: tokens that the texts use; a matrix may have more rows in one model than in the other.
        place: start of messages.

    Raises:
        ConfigError: the base has another architecture, the same weights, or weights that have nothing in common.
    """
    own, others = _matrices(net), _matrices(base)
    odd = sorted(own.keys() ^ others.keys())
    if odd or not own:
        raise ConfigError(
            f"{place}: must have the architecture of the finetuned model, got {one_line(odd[0], 80)!r} in one of them "
            f"alone ({len(odd)} tensors): name the model that finetuning started from"
            if odd
            else f"{place}: must have matrices to compare, got a model without: leave it out"
        )
    correlations, before, change = [], 0.0, 0.0
    for name, one in own.items():
        first, second = _common_rows(one, others[name], vocabulary, f"{place}: {one_line(name, 80)}")
        before += float(second.square().sum())
        change += float((first - second).square().sum())
        found = _correlation(first, second)
        correlations += [] if found is None else [found]
    if change == 0:
        raise ConfigError(
            f"{place}: must be the model before its finetuning, got the very weights of the finetuned one: name the "
            "model that finetuning started from"
        )
    told = Kinship(median(correlations) if correlations else 0.0, (change / before) ** 0.5 if before else 1.0)
    if told.correlation <= UNRELATED:
        raise ConfigError(
            f"{place}: must be the model that finetuning started from, got weights that correlate by "
            f"{told.correlation:.2f} with those of the finetuned one, as unrelated models do: name its parent, or "
            "remove base"
        )
    return told


def _matrices(net: nn.Module) -> dict[str, Tensor]:
    """Tensors of two axes and more by name; the others start near constants, which any two models share."""
    return {name: one.detach() for name, one in net.state_dict().items() if one.is_floating_point() and one.ndim >= 2}


def _common_rows(one: Tensor, other: Tensor, vocabulary: int, place: str) -> tuple[Tensor, Tensor]:
    """Both tensors in float64, without rows that only one has, which a longer vocabulary adds."""
    rows = min(one.shape[0], other.shape[0])
    if one.shape[1:] != other.shape[1:] or (one.shape[0] != other.shape[0] and rows < vocabulary):
        raise ConfigError(
            f"{place} must have the shape of the finetuned model's, {tuple(one.shape)}, got {tuple(other.shape)}: name "
            "the model that finetuning started from"
        )
    return one[:rows].cpu().double(), other[:rows].cpu().double()


def _correlation(one: Tensor, other: Tensor) -> float | None:
    """Correlation of the entries; None where one of them is constant."""
    first, second = one.flatten() - one.mean(), other.flatten() - other.mean()
    norm = first.norm() * second.norm()
    return float(torch.dot(first, second) / norm) if float(norm) > 0 else None
