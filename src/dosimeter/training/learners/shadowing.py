"""Trains a first half that a given second half understands."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from dosimeter.foundation.errors import DataError
from dosimeter.foundation.seeds import generator, seed_for
from dosimeter.models.learners import inert, inverse
from dosimeter.training.loop import seed_torch

BATCH = 64
"""Records of a step."""


def fit_shadow(
    inputs: Float[Tensor, "n ..."],
    labels: Int[Tensor, " n"],
    rest: Callable[[Tensor], Tensor],
    seen: Float[Tensor, "v ..."],
    settings: tuple[int, float, float],
    seed: int,
) -> nn.Module:
    """Trains a network from records to features, through a frozen second half, with the cross-entropy of the classes.

    He, Zhang, Lee, "Model Inversion Attacks Against Collaborative Inference", ACSAC 2019,
    https://doi.org/10.1145/3359789.3359824, section 4.3. Many first halves suit a second half, and most make features
    unlike the true ones. So the mean and the spread of each feature are drawn to those that were seen, in units of the
    features' whole spread.

    Args:
        inputs: records of the adversary's own.
        labels: their classes.
        rest: the second half, from features to answers; gradients flow.
        seen: features of others, which the second half was sent.
        settings: passes over the records, learning rate of Adam, and weight of mean and spread.
        seed: of all randomness, which is drawn on the CPU.

    Returns:
        The network, in evaluation mode.

    Raises:
        DataError: a class is unknown to the second half.
    """
    epochs, lr, moments = settings
    with torch.no_grad():
        classes = rest(seen[:2]).shape[1]
    if int(labels.max()) >= classes:
        raise DataError(
            f"auxiliary records: a shadow needs classes of the model, which knows {classes}, got one more: choose "
            "records of its classes"
        )
    mean, spread = seen.mean(0), seen.std(0, correction=0)
    scale = (spread**2).mean().clamp_min(1e-12)
    with seed_torch(seed_for(seed, "shadow weights")):
        network = inverse(tuple(inputs.shape[1:]), tuple(seen.shape[1:]), (float(seen.min()), float(seen.max())))
    network = network.to(inputs.device)
    rng, optimiser = generator(seed, "shadow draws"), torch.optim.Adam(network.parameters(), lr=lr)
    for epoch in range(epochs):
        if epoch == max(1, 2 * epochs // 3):
            for group in optimiser.param_groups:
                group["lr"] = lr / 10
        for rows in torch.split(torch.from_numpy(rng.permutation(len(inputs))).to(inputs.device), BATCH):
            made = network(inputs[rows])
            loss = functional.cross_entropy(rest(made), labels[rows])
            if moments and len(rows) > 1:
                apart = (made.mean(0) - mean) ** 2 + (made.std(0, correction=0) - spread) ** 2
                loss = loss + moments * apart.mean() / scale
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    return inert(network)
