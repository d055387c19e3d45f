"""Both halves of a trained model at one cut, for adversaries who may use them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from dosimeter.defenses.sending import send
from dosimeter.families.split.play.record import RecordJob
from dosimeter.foundation.errors import ConfigError
from dosimeter.models.architectures import as_float
from dosimeter.models.cuts.graph import OUTPUT, read_graph
from dosimeter.models.cuts.halves import halves
from dosimeter.models.cuts.places import ModelCut, cuts, find_cut
from dosimeter.models.cuts.recorder import flat
from dosimeter.training.deployment.network import deployed
from dosimeter.training.deployment.recorded import PARTS


@dataclass(frozen=True, eq=False)
class CutModel:
    """A trained model at one cut; it is built when it is first used.

    Attributes:
        record: what was recorded of the model.
        source: number of the cut; None for the whole model, whose features are its answers.
    """

    record: RecordJob
    source: int | None

    @cached_property
    def parts(self) -> tuple[ModelCut, nn.Module, nn.Module]:
        """The cut and both halves, in evaluation mode.

        Raises:
            ConfigError: the trained model has no such cut.
        """
        job = self.record
        model, example = deployed(job.pack, job.number), job.store.load(job.data[PARTS.index("auxiliary")])["inputs"]
        graph = read_graph(model, as_float(example[:2]).to(job.pack.device))
        name = OUTPUT if self.source is None else job.cuts[self.source]
        cut = find_cut(cuts(graph), name)
        if cut is None:
            raise ConfigError(f"threat.cuts: the trained model has no cut after {name!r}")
        return (cut, *halves(graph, cut))

    def features(self, records: Float[Tensor, "b ..."]) -> Float[Tensor, "b ..."]:
        """What the first half makes of records, as one tensor."""
        # A layer that changes its input in place, such as a first ReLU, must not change the adversary's records.
        return flat(self.parts[1](records.clone()))

    @property
    def releases(self) -> tuple[object, ...]:
        """The defenses of the cut; the answers are read behind none."""
        return () if self.source is None else self.record.releases


@dataclass(frozen=True, eq=False)
class AskedHalf:
    """Implements `Asked`."""

    model: CutModel

    def sent(self, records: Float[Tensor, "b ..."], rng: np.random.Generator) -> Float[Tensor, "b ..."]:
        """What the device sends for some records, as often as for each victim; the mean of it."""
        with torch.no_grad():
            made = torch.cat([self.model.features(some) for some in torch.split(records, 256)])
        releases = self.model.record.releases if self.model.releases else ()
        return send(made.cpu(), releases, rng, repeats=self.model.record.repeats).to(records.device)


@dataclass(frozen=True, eq=False)
class OpenHalf:
    """Implements `FirstHalf`."""

    model: CutModel

    @property
    def random(self) -> bool:
        """Returns whether there are defenses at the cut."""
        return bool(self.model.releases)

    def features(self, records: Float[Tensor, "b ..."]) -> Float[Tensor, "b ..."]:
        """Features before any defense."""
        return self.model.features(records)

    def sent(self, records: Float[Tensor, "b ..."], rng: np.random.Generator) -> Float[Tensor, "b ..."]:
        """Features behind the defenses of the cut; gradients as if those changed nothing."""
        made = self.model.features(records)
        if not self.random:
            return made
        with torch.no_grad():
            changed = send(made.cpu(), self.model.record.releases, rng).to(made.device)
        return made + (changed - made).detach()


@dataclass(frozen=True, eq=False)
class Server:
    """Implements `SecondHalf`."""

    model: CutModel

    def __call__(self, features: Float[Tensor, "b ..."]) -> Float[Tensor, "b c"]:
        """The answers; features that are answers already stay as they are."""
        if self.model.source is None:
            return features
        cut, _, after = self.model.parts
        sizes = [int(np.prod(one.shape)) for one in cut.tensors]
        kinds = [getattr(torch, one.dtype) for one in cut.tensors]
        rows = torch.split(features.flatten(1), sizes, 1)
        own = [
            # A copy, since a layer after the cut may change its input in place.
            row.reshape(len(row), *one.shape).to(kind).clone()
            for row, one, kind in zip(rows, cut.tensors, kinds, strict=True)
        ]
        (answer,) = after(*own)
        found: Tensor = answer
        return found.float()
