"""The architecture that the parties of a joint stage share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dosimeter.foundation.errors import TrainingError
from dosimeter.jobs.store import Store
from dosimeter.models.architectures import as_float, cut
from dosimeter.models.transfer import fix_first
from dosimeter.training.chain import Link, build_chain


@dataclass(frozen=True)
class SharedModel:
    """Implements `game.Model`: what all parties know before the first message.

    Attributes:
        links: the chain up to the joint stage.
        store: holds the weights of the stage before.
        parent: key of these weights, or None.
    """

    links: tuple[Link, ...]
    store: Store
    parent: str | None

    def parts(self, seed: int) -> tuple[nn.Sequential, nn.Linear]:
        """Trunk and head as they begin from a seed."""
        parent: Mapping[str, Tensor] | None = self.store.load(self.parent) if self.parent else None
        return divided(self.links, seed, parent)

    def trunk(self) -> nn.Module:
        """Implements `Model`."""
        return self.parts(0)[0].train()

    def head(self, seed: int) -> nn.Linear:
        """Implements `Model`."""
        return self.parts(seed)[1]


def divided(
    links: tuple[Link, ...], seed: int, parent: Mapping[str, Tensor] | None
) -> tuple[nn.Sequential, nn.Linear]:  # fmt: skip
    """Trunk and head of the model of the last link.

    Raises:
        TrainingError: the head cannot be found, or the trunk has running statistics, which no message carries, or no
            block would be trained.
    """
    model = build_chain(links, len(links) - 1, seed, parent)
    trunk, head = cut(model, as_float(torch.zeros(2, *links[-1].shape)), links[-1].head)
    if next(trunk.buffers(), None) is not None:
        raise TrainingError(
            f"model {type(model).__name__}: a trunk that parties share must have no running statistics, got some, as "
            "of batch normalisation: choose a model without, such as 'mlp'"
        )
    if next(trunk.parameters(), None) is None:
        raise TrainingError(
            f"model {type(model).__name__}: a trunk that parties share must have parameters, got none before the last "
            "layer: choose a model with a hidden layer, such as 'mlp'"
        )
    fix_first(trunk, links[-1].frozen, type(model).__name__)
    return trunk, head
