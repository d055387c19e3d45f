"""What was made and real pictures as sets: kernels of what EfficientNet-lite0 sees, added up by identity ("KID-lite0").

The kernel inception distance has features of Inception, which is not in any package that is installed here; another
network gives other numbers, so the name says which.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import interpolate

from dosimeter.families.inversion.case.records import RecordSplit
from dosimeter.families.inversion.play.job import VerdictJob
from dosimeter.families.inversion.play.perturbed import range_of, sampled
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.keys.package_code import package_code
from dosimeter.jobs.arrays import arrays_hash
from dosimeter.jobs.keyed import KeyedJob
from dosimeter.jobs.store import Store
from dosimeter.models.architectures import as_float, cut, efficientnet_lite0
from dosimeter.models.learners import inert
from dosimeter.statistics.leakage.picture_sets import by_identity, polynomial_kernel, real_sums, unbiased_distance

MOST = 500
"""Most real pictures of each set: those that the models learned, those that judges were tested on, and public ones."""
SIDE = 128
"""Pixels of each side that the network sees; pictures are stretched, as KID does."""
BATCH = 64
"""Pictures of one pass."""


@dataclass(frozen=True)
class RealSetJob(KeyedJob):
    """Job of the features of real pictures; its entry holds them by set, each `[n 1280]`.

    Attributes:
        store: store to write to.
        data: key of the records at risk.
        public: key of the public records.
        records: which of the records at risk serve what.
        count: number of public records.
        seed: root of all randomness.
    """

    store: Store
    data: str
    public: str
    records: RecordSplit
    count: int
    seed: int

    @cached_property
    def rows(self) -> dict[str, Int[Array, " n"]]:
        """Rows of each set, a sample of those that there are."""
        whole = {"trained": self.records.trained, "tested": self.records.tested, "public": np.arange(self.count)}
        return {name: sampled(rows, self.seed, MOST) for name, rows in whole.items()}

    @cached_property
    def definition(self) -> dict[str, Any]:
        """Everything that the key depends on."""
        return {
            "kind": "real set", "data": self.data, "public": self.public, "rows": arrays_hash(**self.rows),
            "code": package_code(__name__),
        }  # fmt: skip

    @property
    def place(self) -> str:
        """What it looks at, in words."""
        return "features of real pictures"

    def perform(self) -> None:
        """Looks at the pictures, and stores features and identities of those that the models learned."""
        own, public = self.store.load(self.data), self.store.load(self.public)["inputs"]
        found = {
            name: torch.from_numpy(features(public if name == "public" else own["inputs"], rows, range_of(public)))
            for name, rows in self.rows.items()
        }
        found["labels"] = own["labels"][torch.from_numpy(self.rows["trained"])]
        self.store.save(self.key, found, self.definition)

    def load(self) -> dict[str, Array]:
        """Features by set, and identities."""
        return {name: tensor.numpy() for name, tensor in self.store.load(self.key).items()}

    def limits(self) -> tuple[float, float]:
        """Least and largest number of a record."""
        return range_of(self.store.load(self.public)["inputs"])

    def truth(self, identities: int) -> dict[str, Array]:
        """Kernels of the real pictures by identity, and how far other real pictures are from them as sets.

        Args:
            identities: how many there are.
        """
        found = self.load()
        return {
            "kid_sums": real_sums(found["trained"], found["labels"], identities),
            "kid_counts": np.bincount(found["labels"], minlength=identities),
            "kid_real": np.array(unbiased_distance(found["tested"], found["trained"])),
            "kid_other": np.array(unbiased_distance(found["public"], found["trained"])),
        }


@dataclass(frozen=True)
class MadeSetJob(KeyedJob):
    """Job of the kernels of what one attack made on one model.

    Attributes:
        verdict: what the judges say of it.
        real: the real pictures.
        identities: how many there are.
    """

    verdict: VerdictJob
    real: RealSetJob
    identities: int

    @property
    def store(self) -> Store:
        """The store to read from and write to."""
        return self.verdict.store

    @cached_property
    def definition(self) -> dict[str, Any]:
        """Everything that the key depends on."""
        played = [play.key for play in self.verdict.plays]
        return {"kind": "made set", "plays": played, "real": self.real.key, "code": package_code(__name__)}

    @property
    def place(self) -> str:
        """What it looks at, in words."""
        return f"features of {self.verdict.plays[0].place}"

    def perform(self) -> None:
        """Looks at the pictures, and stores the kernels."""
        found = made_kernels(self.real, self.verdict.records()[:, 0], self.identities)
        self.store.save(self.key, {name: torch.from_numpy(one) for name, one in found.items()}, self.definition)

    def load(self) -> Mapping[str, Array]:
        """The kernels, each `[n n]`."""
        return {name: tensor.numpy() for name, tensor in self.store.load(self.key).items()}


def made_kernels(real: RealSetJob, made: Float[Array, "n ..."], identities: int) -> dict[str, Array]:
    """Kernels of the picture that was made for each identity with the others and, by identity, with real ones `[n n]`.

    Args:
        real: the real pictures, looked at.
        made: one picture of each identity.
        identities: how many there are.
    """
    found, known = features(torch.from_numpy(made), np.arange(len(made)), real.limits()), real.load()
    cross = polynomial_kernel(found, known["trained"])
    return {"kid_made": polynomial_kernel(found, found), "kid_cross": by_identity(cross, known["labels"], identities)}


def features(inputs: Tensor, rows: Int[Array, " n"], limits: tuple[float, float]) -> Float[Array, "n 1280"]:
    """What EfficientNet-lite0, pretrained on ImageNet, sees in pictures: means over places, float64.

    Args:
        inputs: pictures, bytes or numbers of a range.
        rows: of those to look at.
        limits: least and largest number of a record, which become 0 and 1.

    Raises:
        ConfigError: the packages with the network and its weights are absent.
    """
    network = _network(int(inputs.shape[1]), SIDE)
    (low, high), seen = limits, []
    with torch.inference_mode():
        for some in torch.split(torch.from_numpy(rows), BATCH):
            pictures = ((as_float(inputs[some]) - low) / (high - low)).clamp(0, 1)
            square = interpolate(pictures, (SIDE, SIDE), mode="bilinear", align_corners=False, antialias=True)
            seen.append(network(square).double().numpy())
    return np.concatenate(seen)


@cache
def _network(channels: int, side: int) -> nn.Module:
    """The network, built once in a process."""
    return inert(cut(efficientnet_lite0((channels, side, side), 1, side, "imagenet"))[0])
