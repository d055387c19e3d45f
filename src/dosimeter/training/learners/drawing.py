"""Random numbers of a training, drawn on the CPU so that every device gets the same."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

SETTLING = (32, 64)
"""Batches of latents, and latents of each, by which a generator's normalisation settles."""


@dataclass(frozen=True)
class Drawing:
    """Draws rows and numbers for a device.

    Attributes:
        rng: from which all is drawn.
        device: where the tensors go.
    """

    rng: np.random.Generator
    device: torch.device

    def rows(self, among: int, count: int) -> Int[Tensor, " b"]:
        """Rows drawn with replacement.

        Args:
            among: number of rows there are.
            count: how many are drawn.
        """
        return torch.from_numpy(self.rng.integers(among, size=count)).to(self.device)

    def normal(self, *shape: int) -> Float[Tensor, ...]:
        """Standard normal numbers."""
        return torch.from_numpy(self.rng.standard_normal(shape, dtype=np.float32)).to(self.device)

    def uniform(self, *shape: int) -> Float[Tensor, ...]:
        """Numbers from 0 to 1."""
        return torch.from_numpy(self.rng.random(shape, dtype=np.float32)).to(self.device)


def settled(maker: nn.Module, draw: Drawing, latent: int) -> nn.Module:
    """The generator in evaluation mode, its batch normalisation as many usual latents make it.

    Averages that it kept while its weights moved belong to other weights, and in an autoencoder to other latents: with
    them pictures came out a third too dark.

    Args:
        maker: the generator, trained.
        draw: draws the latents.
        latent: numbers of a latent.
    """
    batches, size = SETTLING
    update_bn([draw.normal(size, latent) for _ in range(batches)], maker)
    return maker.eval()


def settled_on(network: nn.Module, records: Float[Tensor, "p c h w"], draw: Drawing) -> nn.Module:
    """A network of pictures in evaluation mode, its batch normalisation as the records make it.

    Args:
        network: trained.
        records: that it sees.
        draw: draws batches of them.
    """
    batches, size = SETTLING
    update_bn([records[draw.rows(len(records), size)] for _ in range(batches)], network)
    return network.eval()
