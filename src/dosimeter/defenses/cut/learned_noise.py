"""Learned noise: noise that was trained so that the answers stay, of one of several tensors on each record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from dosimeter.defenses.cut.additive import spread_of
from dosimeter.foundation import checks
from dosimeter.foundation.errors import ConfigError
from dosimeter.foundation.seeds import generator
from dosimeter.training.cuts.place import CutPlace
from dosimeter.training.learners.stepping import adam

BATCH = 16
"""Records of a step; each stands there once with every tensor."""
TOGETHER = 256
"""Records whose clean answers are computed together."""
RATE = 0.05
"""Learning rate of Adam, in units of the features' spread."""
Sample = Literal["law", "tensor"]
"""What is drawn for a record: numbers of the law of one tensor in the order of its own, or the tensor itself."""
FADES = 0.1
"""What the weight of the noise's size is multiplied by after half of the steps."""


@dataclass(frozen=True)
class LearnedNoise:
    """Train noise tensors, with the network frozen, by which it answers as before; add noise of one of them at random.

    Paper: Mireshghallah, Taram, Ramrakhyani, Jalali, Tullsen, Esmaeilzadeh, "Shredder: Learning Noise Distributions to
    Protect Inference Privacy", ASPLOS 2020, https://arxiv.org/abs/1905.11814. Each tensor n starts as Laplace noise and
    follows

        cross-entropy of the answers to z + n, less `weight` times the mean of |n|,

    so that it grows where the second half does not mind. A Laplace law is fitted to the numbers of each trained tensor.
    For each record one tensor is chosen, as many numbers are drawn from its law, and added in the order in which the
    tensor has its own, the least where it has its least.

    It is no guarantee. The tensors stay the same for all records, and who trains the network can have them: what is
    sent is the features, one of a few known patterns, and what is left of chance. The mean of many queries of a record
    is its features plus a constant.

    Stronger: a larger scale.
    Deviations: the answers to be kept are the model's own probabilities for clean features, so that no labels are
    needed; the weight falls to a tenth once, after half of the steps; no term for a private attribute.
    Cost: `steps` x 16 x `tensors` answers of the second half with a gradient, once for each cut and model; a sort for
    each record.

    Attributes:
        scale: Laplace's b at the start, as a multiple of the root of the features' mean variance over training records.
        weight: of the size of the noise, in the same units.
        tensors: how many; from 2 on, since a single one is a shift that anybody takes away.
        steps: of the training of each.
        sample: "law" as above, or "tensor" to add the trained tensors themselves.
    """

    paper: ClassVar[str] = "Mireshghallah et al., ASPLOS 2020, https://arxiv.org/abs/1905.11814"
    place: ClassVar[str] = "cut"
    ladder: ClassVar[tuple[dict[str, Any], ...]] = ({"scale": 0.5}, {"scale": 1.0}, {"scale": 2.0})

    scale: float = 1.0
    weight: float = 0.003
    tensors: int = 20
    steps: int = 400
    sample: Sample = "law"

    def __post_init__(self) -> None:
        checks.in_range("scale", self.scale, 0, 1e6, open_low=True)
        checks.in_range("weight", self.weight, 0, 1e3)
        checks.in_range("tensors", self.tensors, 2, 1000)
        checks.in_range("steps", self.steps, 1, 100_000)
        if self.sample not in ("law", "tensor"):
            raise ValueError(f"sample must be one of law, tensor, got {self.sample!r}")

    def fitted(self, place: CutPlace) -> OneOf:
        """The trained tensors of this model.

        Raises:
            ConfigError: features do not vary.
        """
        features, unit = place.features.detach(), spread_of(place.features)
        if not unit > 0 and not place.trial:
            raise ConfigError("defense learned_noise: features do not vary, so no noise is needed: leave it out")
        rng = generator(0, "learned noise")
        started = rng.laplace(size=(self.tensors, *features.shape[1:])) * self.scale
        noise = torch.from_numpy(started).to(features).requires_grad_(True)
        with torch.no_grad():
            kept = torch.cat([place.answer(some.clone()).softmax(1) for some in torch.split(features, TOGETHER)])
        optimiser = adam([noise], RATE)
        steps = 1 if place.trial else self.steps
        for step in range(steps):
            rows = torch.from_numpy(rng.integers(len(features), size=BATCH)).to(features.device)
            sent = (features[rows][None] + noise[:, None] * unit).flatten(0, 1)
            # The sum over tensors, so that none follows another: Adam scales each number by itself.
            lost = functional.cross_entropy(place.answer(sent), kept[rows].repeat(self.tensors, 1)) * self.tensors
            weight = self.weight if 2 * step < steps else FADES * self.weight
            (noise.grad,) = torch.autograd.grad(lost - weight * noise.abs().flatten(1).mean(1).sum(), noise)
            optimiser.step()
        return OneOf((noise.detach() * unit).cpu(), self.sample)

    def restored(self, kept: Mapping[str, Tensor]) -> OneOf:
        """The tensors of a model that were stored."""
        return OneOf(kept["noise"], self.sample)

    @property
    def guarantee(self) -> str:
        """What it guarantees, in words."""
        return (
            f"no ε can be given: noise of {self.tensors} patterns that stay the same is no privacy guarantee, and the "
            "mean of many queries of a record is its features plus a constant"
        )


@dataclass(frozen=True, eq=False)
class OneOf:
    """A `Release` of features with noise of one of several tensors, drawn anew for each record.

    Attributes:
        noise: the tensors `[k ...]`.
        sample: what is drawn of one.
    """

    noise: Float[Tensor, "k ..."]
    sample: Sample = "tensor"

    @cached_property
    def _laws(self) -> tuple[Float[Tensor, "k 1"], Float[Tensor, "k 1"], Int[Tensor, "k d"]]:
        """Center and scale b of the Laplace law of most likelihood for each tensor, and the rank of each number."""
        flat = self.noise.flatten(1).double()
        center = flat.median(1, keepdim=True).values
        return center, (flat - center).abs().mean(1, keepdim=True), flat.argsort(1).argsort(1)

    def send(self, features: Float[Tensor, "b ..."], rng: np.random.Generator) -> Float[Tensor, "b ..."]:
        """Features, each with noise of one of the tensors."""
        chosen = torch.from_numpy(rng.integers(len(self.noise), size=len(features)))
        if self.sample == "tensor":
            return features + self.noise[chosen].reshape(features.shape).to(features)
        center, width, rank = self._laws
        drawn = torch.from_numpy(rng.laplace(size=(len(features), rank.shape[1])))
        ordered = (drawn.sort(1).values * width[chosen] + center[chosen]).gather(1, rank[chosen])
        return features + ordered.reshape(features.shape).to(features)
