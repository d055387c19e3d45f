"""Both halves of a trained model at one cut, for adversaries who may use them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from dosimeter.defenses.sending import restored, send
from dosimeter.families.split.play.record import RecordJob
from dosimeter.families.split.play.wire import Wire
from dosimeter.foundation.errors import ConfigError, DataError
from dosimeter.models.cuts.graph import OUTPUT, ModelGraph
from dosimeter.models.cuts.halves import halves
from dosimeter.models.cuts.places import ModelCut, cuts, find_cut
from dosimeter.models.cuts.recorder import flat, folded
from dosimeter.training.deployment.recorded import PARTS
from dosimeter.training.recipe import Release

BATCH = 256
"""Records that run together."""


@dataclass(frozen=True, eq=False)
class CutModel:
    """A trained model at one cut; it is built when it is first used.

    Attributes:
        record: what was recorded of the model.
        source: number of the cut; None for the whole model without defenses of the cut, whose features are its answers.
        answers: whether the adversary reads the answers behind the cut, which then are what they call features.
        plain: whether the adversary does not know the defenses of the cut.
    """

    record: RecordJob
    source: int | None
    answers: bool = False
    plain: bool = False

    @cached_property
    def graph(self) -> ModelGraph:
        """The whole model, in evaluation mode."""
        job = self.record
        return job.host.graph(job.store.load(job.data[PARTS.index("auxiliary")])["inputs"][:2])

    @cached_property
    def parts(self) -> tuple[ModelCut, nn.Module, nn.Module]:
        """The cut and both halves, in evaluation mode.

        Raises:
            ConfigError: the trained model has no such cut.
        """
        name = OUTPUT if self.source is None else self.record.cuts[self.source]
        cut = find_cut(cuts(self.graph), name)
        if cut is None:
            raise ConfigError(f"threat.cuts: the trained model has no cut after {name!r}")
        return (cut, *halves(self.graph, cut))

    def features(self, records: Float[Tensor, "b ..."]) -> Float[Tensor, "b ..."]:
        """What the first half makes of records, as one tensor."""
        # A layer that changes its input in place, such as a first ReLU, must not change the adversary's records.
        host = self.record.host
        made = flat(self.parts[1](host.prepare(records.clone())))
        return made if self.source is not None else host.read(made)

    @cached_property
    def releases(self) -> tuple[Release, ...]:
        """The defenses of the cut, as they stand in this model."""
        job = self.record
        if self.source is None or self.plain or not job.releases:
            return ()
        kept = job.kept()[self.source]
        found = [restored(one, own) for one, own in zip(job.releases, kept, strict=True)]
        if None not in found:
            return tuple(one for one in found if one)
        wire = Wire(self.graph, self.parts[0], job.releases, job.host)
        return job.settled(wire, self.source)

    def read(self, features: Float[Tensor, "b ..."]) -> Float[Tensor, "b ..."]:
        """What the adversary reads where these cross the cut: themselves, or the answers to them."""
        return self.server(features) if self.answers and self.source is not None else features

    def server(self, features: Float[Tensor, "b ..."]) -> Float[Tensor, "b c"]:
        """What the second half answers."""
        cut, _, after = self.parts
        # Copies, since a layer after the cut may change its input in place.
        (answer,) = after(*(one.clone() for one in folded(features, cut)))
        return self.record.host.read(answer)

    def returned(self, features: Float[Tensor, "n ..."], labels: Int[Tensor, " n"]) -> Float[Tensor, "n ..."]:
        """What comes back over the cut in training: the gradient of each record's cross-entropy by its features.

        Args:
            features: as they were sent.
            labels: classes of the records.

        Raises:
            DataError: the model does not answer with so many classes.
        """
        found = []
        for some, own in zip(torch.split(features, BATCH), torch.split(labels, BATCH), strict=True):
            sent = some.detach().clone().requires_grad_(True)
            answers = self.server(sent)
            if int(own.max()) >= answers.shape[1]:
                raise DataError(
                    f"victims and auxiliary records: gradients need classes of the model, which knows "
                    f"{answers.shape[1]}, got one more: choose records of its classes"
                )
            loss = functional.cross_entropy(answers, own.to(answers.device), reduction="sum")
            found.append(torch.autograd.grad(loss, sent)[0])
        return torch.cat(found)


@dataclass(frozen=True, eq=False)
class AskedHalf:
    """Implements `Asked`."""

    model: CutModel

    def sent(self, records: Float[Tensor, "b ..."], rng: np.random.Generator) -> Float[Tensor, "b ..."]:
        """What is read of some records, which are sent as often as each victim; the mean of it."""
        model = self.model
        times = model.record.repeats if model.releases else 1
        with torch.no_grad():
            made = torch.cat([model.features(some) for some in torch.split(records, 256)])
            first = self._read(made, rng)
            if times == 1:
                return first
            total = first.double()
            for _ in range(times - 1):
                total = total + self._read(made, rng)
        return (total / times).to(first.dtype)

    def _read(self, made: Tensor, rng: np.random.Generator) -> Tensor:
        """What is read where features are sent once."""
        sent = send(made.cpu(), self.model.releases, rng).to(made.device)
        return torch.cat([self.model.read(some) for some in torch.split(sent, 256)])


@dataclass(frozen=True, eq=False)
class OpenHalf:
    """Implements `FirstHalf`."""

    model: CutModel

    @property
    def random(self) -> bool:
        """Returns whether there are defenses at the cut."""
        return bool(self.model.releases)

    def features(self, records: Float[Tensor, "b ..."]) -> Float[Tensor, "b ..."]:
        """What is read before any defense."""
        return self.model.read(self.model.features(records))

    def sent(self, records: Float[Tensor, "b ..."], rng: np.random.Generator) -> Float[Tensor, "b ..."]:
        """What is read behind the defenses of the cut; gradients as if those changed nothing."""
        made = self.model.features(records)
        if not self.random:
            return self.model.read(made)
        with torch.no_grad():
            changed = send(made.cpu(), self.model.releases, rng).to(made.device)
        return self.model.read(made + (changed - made).detach())


@dataclass(frozen=True, eq=False)
class Server:
    """Implements `SecondHalf`."""

    model: CutModel

    def __call__(self, features: Float[Tensor, "b ..."]) -> Float[Tensor, "b c"]:
        """The answers; features that are answers already stay as they are."""
        return features if self.model.answers or self.model.source is None else self.model.server(features)
