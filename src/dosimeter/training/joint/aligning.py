"""How a receiver makes features of both organisations alike: by a distance, or by a discriminator that it trains."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dosimeter.foundation.errors import TrainingError
from dosimeter.foundation.seeds import seed_for
from dosimeter.training.joint.alignment import Distance, check_batches, coral, mmd
from dosimeter.training.joint.methods import JUDGED
from dosimeter.training.joint.moments import Pulls, coral_of_moments, linear_mmd_of_moments
from dosimeter.training.loop import Optimizer, seed_torch
from dosimeter.training.recipe import Hyperparameters

DISTANCES: Mapping[str, Callable[[Tensor, Tensor], Distance]] = {"coral": coral, "mmd": mmd}
"""Distances of features, by the method that aligns by them."""
OF_MOMENTS: Mapping[str, Callable[[Mapping[str, Tensor], Tensor], Pulls]] = {
    "coral": coral_of_moments,
    "mmd": linear_mmd_of_moments,
}
"""Distances where the source shows moments of its batch only."""
HIDDEN = 64
"""Units of each of the two hidden layers of a discriminator."""
SLOPE = 10.0
"""How fast the reversal of the gradient grows, in Ganin et al., 2016."""


def reversal(done: float) -> float:
    """λ = 2 / (1 + exp(−10 p)) − 1 after a share p of the training: by how much the gradient is reversed.

    Ganin et al., 2016, https://arxiv.org/abs/1505.07818, section 5.2.2.

    >>> reversal(0.0), round(reversal(0.5), 4)
    (0.0, 0.9866)
    """
    return 2 / (1 + math.exp(-SLOPE * done)) - 1


class Discriminator:
    """A network that learns which organisation features are of.

    Ganin et al., 2016, https://arxiv.org/abs/1505.07818: two hidden layers with ReLU, here without batch
    normalisation. Its loss is the mean of the binary cross-entropies of both batches. It moves by SGD at the rate of
    the stage, without the factor λ and without the weight of the alignment.

    Args:
        width: of the features.
        hp: the recipe.
        seed: decides its first weights.
        device: of the features.
    """

    def __init__(self, width: int, hp: Hyperparameters, *, seed: int, device: torch.device) -> None:
        with seed_torch(seed):
            layers = (nn.Linear(width, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1))
        self.network = nn.Sequential(*layers).to(device)
        self._optimizer = Optimizer(list(self.network.parameters()), hp)

    def distance(
        self, source: Float[Tensor, "n d"], receiver: Float[Tensor, "m _"], *, rate: float, share: float
    ) -> Distance:
        """−λ times the loss, which features are moved by; then the discriminator learns from both batches.

        Args:
            source: features of the source.
            receiver: features of the receiver.
            rate: learning rate of the discriminator.
            share: λ.

        Raises:
            TrainingError: the loss is not finite.
        """
        check_batches(source, receiver)
        pair = [one.detach().requires_grad_() for one in (source, receiver)]
        scores = [self.network(one).squeeze(1) for one in pair]
        halves = [nn.functional.softplus(-scores[0]).mean(), nn.functional.softplus(scores[1]).mean()]
        loss = (halves[0] + halves[1]) / 2
        if not bool(torch.isfinite(loss)):
            raise TrainingError(
                f"transfer 'dann' or 'dsn': the discriminator's loss must be finite, got {float(loss.detach())}: lower "
                "lr or the weight of the alignment"
            )
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.update(rate)
        found = [-share * one.grad for one in pair if one.grad is not None]
        return Distance(-share * loss.detach(), found[0], found[1])


class Aligner:
    """What the receiver does with features of the source: it computes how both should move, and says only that.

    Args:
        method: one of `methods.SHOWING`.
        hp: the recipe.
        steps: number of updates.
        seed: of the receiver; decides the discriminator.
    """

    def __init__(self, method: str, hp: Hyperparameters, steps: int, *, seed: int) -> None:
        self._method, self._hp, self._steps, self._seed = method, hp, steps, seed
        self._discriminator: Discriminator | None = None

    def distance(self, step: int, shown: Mapping[str, Tensor], own: Float[Tensor, "m d"]) -> Pulls:
        """The distance of what the source showed and the receiver's own features, with both gradients."""
        shown = {name: one.to(own.device) for name, one in shown.items()}
        if "features" not in shown:
            return OF_MOMENTS[self._method](shown, own)
        found = self._of_rows(step, shown["features"], own)
        return Pulls(found.value, {"features": found.source}, found.receiver)

    def _of_rows(self, step: int, source: Float[Tensor, "n d"], own: Float[Tensor, "m _"]) -> Distance:
        """The distance of two batches."""
        if self._method not in JUDGED:
            return DISTANCES[self._method](source, own)
        if self._discriminator is None:
            self._discriminator = Discriminator(
                own.shape[1], self._hp, seed=seed_for(self._seed, "discriminator"), device=own.device
            )
        rate = self._hp.lr_at(step, self._steps)
        return self._discriminator.distance(source, own, rate=rate, share=reversal(step / self._steps))
