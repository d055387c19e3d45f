"""The private half of domain separation networks: an encoder and a decoder of one organisation, which never cross."""

from __future__ import annotations

import copy

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dosimeter.foundation.errors import TrainingError
from dosimeter.foundation.seeds import seed_for
from dosimeter.training.loop import Optimizer, seed_torch
from dosimeter.training.recipe import Hyperparameters

RECONSTRUCTION, DIFFERENCE = 0.01, 0.075
"""Weights α and β of the two losses, those of https://github.com/fungtion/DSN."""


def difference(shared: Float[Tensor, "b d"], private: Float[Tensor, "b d"]) -> Float[Tensor, ""]:
    """Squared Frobenius norm of Hᵀ P over d², rows of both scaled to length 1.

    It is 0 where, over the batch, every unit of one code is orthogonal to every unit of the other. Bousmalis et al.,
    2016, https://arxiv.org/abs/1608.06019, equation 5, do not divide; the implementation does, whose weight this is,
    and without it the sum grows with the square of the batch and drowns the task.
    """
    h, p = (one / one.norm(dim=1, keepdim=True).clamp_min(1e-12) for one in (shared, private))
    found: Tensor = (h.T @ p).square().mean()
    return found


def scale_invariant(made: Float[Tensor, "b k"], records: Float[Tensor, "b k"]) -> Float[Tensor, ""]:
    """Mean over records of ‖e‖² / k − (Σ e)² / k², e the error: an error that is the same everywhere costs nothing.

    Bousmalis et al., 2016, https://arxiv.org/abs/1608.06019, equation 4.
    """
    error, k = made - records, records.shape[1]
    return (error.square().sum(1) / k - error.sum(1).square() / k**2).mean()


class PrivateCodes:
    """An encoder of what is peculiar to one organisation, and a decoder of the sum of shared and private code.

    Bousmalis et al., 2016, https://arxiv.org/abs/1608.06019. The encoder has the layers of the trunk with weights of
    its own, the decoder is one dense layer.

    Args:
        trunk: the shared encoder.
        hp: the recipe.
        seed: decides the first weights.
        device: device to train on.
    """

    def __init__(self, trunk: nn.Module, hp: Hyperparameters, *, seed: int, device: torch.device) -> None:
        self._hp, self._seed, self._device = hp, seed, device
        self.encoder = copy.deepcopy(trunk).cpu()  # so that the first weights are the same on every device
        with seed_torch(seed_for(seed, "private encoder")):
            for module in self.encoder.modules():
                if callable(reset := getattr(module, "reset_parameters", None)):
                    reset()
        self.encoder.to(device).train()
        self.decoder: nn.Linear | None = None
        self._optimizer: Optimizer | None = None

    def loss(self, step: int, shared: Float[Tensor, "b d"], records: Tensor) -> Float[Tensor, ""]:
        """What reconstruction and difference of the codes add to the loss of a batch.

        Raises:
            TrainingError: records are no plain numbers.
        """
        if not records.is_floating_point():
            raise TrainingError("transfer 'dsn': makes records again from codes, got tokens: use 'dann' for texts")
        flat = records.flatten(1)
        if self.decoder is None:
            with seed_torch(seed_for(self._seed, "decoder")):
                self.decoder = nn.Linear(shared.shape[1], flat.shape[1]).to(self._device)
            self._optimizer = Optimizer([*self.encoder.parameters(), *self.decoder.parameters()], self._hp)
        with seed_torch(seed_for(self._seed, "private dropout", step)):
            private = self.encoder(records)
        made = self.decoder(shared + private)
        return RECONSTRUCTION * scale_invariant(made, flat) + DIFFERENCE * difference(shared, private)

    def update(self, rate: float) -> None:
        """Moves both by their gradients."""
        assert self._optimizer is not None
        self._optimizer.update(rate)
