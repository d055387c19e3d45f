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
from dosimeter.training.learners.stepping import adam
from dosimeter.training.loop import seed_torch

BATCH = 64
"""Records of a step."""
SEEN = 512
"""Most features that were seen of which mean and covariance are taken."""


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
    unlike the true ones. So their mean and covariance are drawn to those that were seen, in units of the latter's size
    (Sun, Saenko, "Deep CORAL", ECCV 2016 workshops, https://arxiv.org/abs/1607.01719, equation 1).

    Args:
        inputs: records of the adversary's own.
        labels: their classes.
        rest: the second half, from features to answers; gradients flow.
        seen: features of others, which the second half was sent.
        settings: passes over the records, learning rate of Adam, and weight of mean and covariance.
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
    aim = seen[:SEEN].flatten(1)
    with seed_torch(seed_for(seed, "shadow weights")):
        network = inverse(tuple(inputs.shape[1:]), tuple(seen.shape[1:]), (float(seen.min()), float(seen.max())))
    network = network.to(inputs.device)
    rng, optimiser = generator(seed, "shadow draws"), adam(network.parameters(), lr)
    for epoch in range(epochs):
        if epoch == max(1, 2 * epochs // 3):
            for group in optimiser.param_groups:
                group["lr"] = lr / 10
        for rows in torch.split(torch.from_numpy(rng.permutation(len(inputs))).to(inputs.device), BATCH):
            made = network(inputs[rows])
            loss = functional.cross_entropy(rest(made), labels[rows])
            if moments and len(rows) > 1:
                loss = loss + moments * moments_apart(made.flatten(1), aim)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    return inert(network)


def moments_apart(made: Float[Tensor, "b d"], aim: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
    """How far mean and covariance of some features are from those of others, each as a share of the latter's size.

    Squared distances of means by the whole variance, plus those of covariances by the squared size of the latter one.
    Products of features of two records are compared, not features with each other, so wide ones cost little.

    >>> moments_apart(torch.tensor([[0.0], [2.0]]), torch.tensor([[0.0], [2.0]]))
    tensor(0.)
    >>> moments_apart(torch.tensor([[1.0], [1.0]]), torch.tensor([[0.0], [2.0]]))
    tensor(1.)
    """
    own, other = made - made.mean(0), aim - aim.mean(0)
    b, n = len(own), len(other)
    size = ((other @ other.T) ** 2).sum() / n**2
    both = ((own @ own.T) ** 2).sum() / b**2 - 2 * ((own @ other.T) ** 2).sum() / (b * n) + size
    means = ((made.mean(0) - aim.mean(0)) ** 2).sum() / (other**2).sum(1).mean().clamp_min(1e-12)
    found: Tensor = means + both / size.clamp_min(1e-12)
    return found
