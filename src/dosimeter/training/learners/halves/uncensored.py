"""An own model of an attribute, whose hidden numbers features can be mapped to."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from dosimeter.foundation.seeds import generator, seed_for
from dosimeter.models.learners import inert
from dosimeter.training.learners.stepping import adam
from dosimeter.training.loop import seed_torch

BATCH = 64
"""Records of a step."""
DECAY = 1e-3
"""Weight decay."""


@dataclass(frozen=True, eq=False)
class Uncensored:
    """A trained model in two pieces.

    Attributes:
        body: from records to hidden numbers.
        head: from hidden numbers to logits of the attribute's values.
    """

    body: nn.Module
    head: nn.Module


class _Standardised(nn.Module):
    """Records less their mean, by their spread, flattened."""

    mean: Tensor
    spread: Tensor

    def __init__(self, records: Tensor) -> None:
        super().__init__()
        flat = records.flatten(1)
        spread = flat.std(0, correction=0)
        self.register_buffer("mean", flat.mean(0))
        self.register_buffer("spread", torch.where(spread > 1e-6, spread, torch.ones_like(spread)))

    def forward(self, records: Tensor) -> Tensor:
        """Rows of numbers."""
        found: Tensor = (records.flatten(1) - self.mean) / self.spread
        return found


def fit_uncensored(
    records: Float[Tensor, "n ..."], values: Int[Tensor, " n"], hidden: int, epochs: int, seed: int
) -> Uncensored:
    """Trains a network with two hidden layers to tell an attribute from records themselves.

    Args:
        records: of the adversary's own.
        values: of the attribute, from 0 on.
        hidden: numbers of the second hidden layer; the first has twice as many.
        epochs: passes over the records.
        seed: of all randomness, which is drawn on the CPU.
    """
    size, count = int(records[0].numel()), int(values.max()) + 1
    with seed_torch(seed_for(seed, "uncensored weights")):
        body = nn.Sequential(
            _Standardised(records), nn.Linear(size, 2 * hidden), nn.ReLU(), nn.Linear(2 * hidden, hidden), nn.ReLU()
        )
        head = nn.Linear(hidden, count)
    body, head = body.to(records.device), head.to(records.device)
    optimiser = adam([*body.parameters(), *head.parameters()], 1e-3, decay=DECAY)
    rng = generator(seed, "uncensored draws")
    for _ in range(epochs):
        for rows in torch.split(torch.from_numpy(rng.permutation(len(records))).to(records.device), BATCH):
            loss = functional.cross_entropy(head(body(records[rows])), values[rows])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    return Uncensored(inert(body), inert(head))
