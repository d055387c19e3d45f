"""Latent prior: the search of `white_box`, among records that look like those the adversary has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dosimeter.families.split.attacks.reading import remade
from dosimeter.families.split.attacks.searching import (
    Search,
    are_pictures,
    checked_search,
    competing,
    opened,
    spreads,
    variance_of,
)
from dosimeter.families.split.game import Needs, SplitGame
from dosimeter.foundation.errors import DataError
from dosimeter.models.learners import inert
from dosimeter.statistics.evidence import Reconstructions
from dosimeter.training.learners.principal import fit_prior
from dosimeter.training.learners.prior import Generated, Prior
from dosimeter.training.learners.vae import fit_vae

REACH = 5.0
"""Largest absolute number of a latent."""


@dataclass(frozen=True)
class LatentPrior:
    """Search the latents of a prior, learned on the auxiliary records, for a record with the same features.

    Paper: Li et al., "GAN You See Me? Enhanced Data Reconstruction Attacks against Split Inference" (GLASS), NeurIPS
    2023, https://github.com/L1ziang/GLASS.
    Threat model: features at the cut, the first half's weights, and records of the adversary's own.
    Deviations: the paper's prior is a StyleGAN that was trained on very many faces; ours is made of the auxiliary
    records, their principal components or a small variational autoencoder. It stands in for the paper's attack and
    says little of its strength. Half of the squared latent is the penalty, and its weight is the one with which
    auxiliary records, on which the prior was not fitted, come back best.
    Cost: steps x victims gradients of the prior and the first half for each cut and model, once more for the answers,
    and the training of the autoencoder each time.

    Attributes:
        mode: "principal" for components, "vae" for an autoencoder of pictures.
        latent: most numbers of a latent.
        steps: of Adam.
        lr: its learning rate.
        weights: of the penalty, to choose among.
        samples: draws for each gradient where defenses of the cut are random.
        prior_steps: of the training of the autoencoder.
    """

    paper: ClassVar[str] = "Li et al., NeurIPS 2023, https://github.com/L1ziang/GLASS"
    control: ClassVar[bool] = False
    counterpart: ClassVar[bool] = True
    separate: ClassVar[bool] = True
    signals: ClassVar[tuple[str, ...]] = ()

    mode: Literal["principal", "vae"] = "principal"
    latent: int = 64
    steps: int = 300
    lr: float = 0.1
    weights: tuple[float, ...] = (0.0, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
    samples: int = 4
    prior_steps: int = 1000

    def __post_init__(self) -> None:
        checked_search(self, self.weights)
        for name in ("latent", "prior_steps"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")

    @property
    def needs(self) -> Needs:
        """The first half's weights, and pictures for the autoencoder."""
        return Needs("input", knows="weights", pictures=self.mode == "vae")

    @property
    def passes(self) -> int:
        """Answers with a gradient for each victim."""
        return self.steps

    def run(self, game: SplitGame, rng: np.random.Generator) -> Reconstructions:
        """Attacks one model at one cut; `rng` gives the seed of the prior, and draws what defenses draw."""
        half, known, aside = opened(game), game.auxiliary.inputs.float(), competing(game)
        own = torch.ones(len(known), dtype=torch.bool, device=known.device)
        own[aside] = False
        prior = self._prior(known[own], int(rng.integers(2**31)))
        search = Search(
            half,
            prior.decode,
            lambda point, records: prior.unlikely(point, records) * 2 / prior.latent,
            torch.zeros(prior.latent, device=known.device),
            (-REACH, REACH),
            spreads(known, pictures=are_pictures(known)),
            variance_of(game.auxiliary.seen),
            self.steps,
            self.lr,
            self.samples,
        )
        weight = search.chosen(game, aside, self.weights, rng)
        return remade(game, search.run(game.seen, torch.full((len(game.seen),), weight, device=game.device), rng))

    def _prior(self, records: Float[Tensor, "p ..."], seed: int) -> Prior:
        """The prior of some records.

        Raises:
            DataError: they are all the same.
        """
        if self.mode == "principal":
            try:
                return fit_prior(records.cpu(), self.latent).to(str(records.device))
            except ValueError as error:
                raise DataError(f"auxiliary records: {error}: choose others") from error
        network = inert(fit_vae(records, self.latent, self.prior_steps, seed))
        shape, mean = tuple(records.shape[1:]), records.flatten(1).mean(0)
        return Generated(network, None, self.latent, shape, float(records.min()), float(records.max()), mean)
