"""Trains a network that makes records of their features, on records of the adversary's own."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dosimeter.foundation.seeds import generator, seed_for
from dosimeter.models.learners import inert, inverse
from dosimeter.training.learners.stepping import adam
from dosimeter.training.loop import move, seed_torch

HELD_BACK = 8
"""One of so many records is held back, to choose the epoch."""
BATCH = 64
"""Records of a step."""
SMALL = 1e-6
"""Least spread of a feature that is divided by."""


class Inverse(nn.Module):
    """Standardised features, then a network to records.

    Args:
        network: from standardised features to records.
        mean: of each feature.
        spread: of each feature.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, network: nn.Module, mean: Tensor, spread: Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", mean)
        self.register_buffer("spread", spread)

    def forward(self, features: Float[Tensor, "b ..."]) -> Float[Tensor, "b ..."]:
        """Records."""
        scaled = (features - self.mean) / self.spread
        if scaled.ndim == 4:  # convolutions on processors are faster where the channels of a place lie side by side
            scaled = scaled.contiguous(memory_format=torch.channels_last)
        found: Tensor = self.network(scaled)
        return found


def fit_inverse(
    features: Float[Tensor, "n ..."],
    records: Float[Tensor, "n ..."],
    epochs: int,
    lr: float,
    seed: int,
    anew: Callable[[int], Float[Tensor, "n ..."]] | None = None,
) -> nn.Module:
    """Trains a network from features to records with the squared error.

    He, Zhang, Lee, "Model Inversion Attacks Against Collaborative Inference", ACSAC 2019,
    https://doi.org/10.1145/3359789.3359824, section 4.2. Features are standardised as they are sent, noise included,
    and the rate falls to a tenth after two thirds of the epochs: without both, noise makes the network look defeated.
    The weights of the epoch with the least error on held-back records are kept.

    Args:
        features: of the adversary's records.
        records: these records.
        epochs: passes over them.
        lr: learning rate of Adam.
        seed: of all randomness, which is drawn on the CPU.
        anew: from the number of an epoch to features of the same records as they are sent then, if noise differs.

    Returns:
        The network, in evaluation mode.

    Raises:
        ValueError: fewer than 16 records.
    """
    n = len(features)
    if n < 2 * HELD_BACK:
        raise ValueError(f"needs {2 * HELD_BACK} records or more, got {n}")
    rng = generator(seed, "inverse draws")
    order = torch.from_numpy(rng.permutation(n)).to(features.device)
    held, own = order[: n // HELD_BACK], order[n // HELD_BACK :]
    mean = features[own].mean(0)
    spread = features[own].std(0, correction=0)
    spread = torch.where(spread > SMALL, spread, torch.ones_like(spread))
    with seed_torch(seed_for(seed, "inverse weights")):
        span = (float(records.min()), float(records.max()))
        network = Inverse(inverse(tuple(features.shape[1:]), tuple(records.shape[1:]), span), mean, spread)
    move(network, features.device, images=features.ndim == 4)
    optimiser = adam(network.parameters(), lr)
    best, kept = float("inf"), copy.deepcopy(network.state_dict())
    for epoch in range(epochs):
        if epoch == max(1, 2 * epochs // 3):
            for group in optimiser.param_groups:
                group["lr"] = lr / 10
        network.train()
        sent = features if anew is None else anew(epoch)
        for rows in torch.split(own[torch.from_numpy(rng.permutation(len(own))).to(own.device)], BATCH):
            loss = ((network(sent[rows]) - records[rows]) ** 2).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        error = _error(network.eval(), features[held], records[held])
        if error < best:
            best, kept = error, copy.deepcopy(network.state_dict())
    network.load_state_dict(kept)
    return inert(network)


def _error(network: nn.Module, features: Tensor, records: Tensor) -> float:
    """Mean squared error."""
    with torch.no_grad():
        return float(((network(features) - records) ** 2).mean())
