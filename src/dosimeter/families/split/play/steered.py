"""The device's half in a training whose gradients an adversary returns, and where there is none."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dosimeter.families.split.play.record import RecordJob
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import ConfigError
from dosimeter.foundation.seeds import seed_for
from dosimeter.models.architectures import as_float
from dosimeter.models.cuts.graph import read_graph
from dosimeter.models.cuts.halves import Half, halves
from dosimeter.models.cuts.places import cuts, find_cut
from dosimeter.models.cuts.recorder import flat
from dosimeter.training.deployment.hosts import TrainedHost
from dosimeter.training.deployment.network import untrained
from dosimeter.training.deployment.recorded import PARTS
from dosimeter.training.learners.halves.hijacking import Client
from dosimeter.training.recipe import (
    BlursCut,
    BoundsRecords,
    ChargesCut,
    ChargesHidden,
    FightsAdversaries,
    Hyperparameters,
    PutsBottleneck,
    SubModels,
)
from dosimeter.training.system import TrainedSystem

ALONE = (BlursCut, BoundsRecords, ChargesHidden, FightsAdversaries, PutsBottleneck, SubModels)
"""Defenses of a training that change what the device does before the cut, in ways that are not played here."""


class First(nn.Module):
    """The layers before a cut, from records to features as one tensor.

    Args:
        half: these layers.
    """

    def __init__(self, half: Half) -> None:
        super().__init__()
        self.layers = half

    def forward(self, records: Float[Tensor, "b ..."]) -> Float[Tensor, "b ..."]:
        """Features; records stay as they are, since a first layer may change its input in place."""
        found: Tensor = flat(self.layers(records.clone()))
        return found


@dataclass(frozen=True, eq=False)
class Steered:
    """Implements `Trained`: the first half of one model, from its start on, trained on the victims' records.

    Attributes:
        record: names the model, the cuts and the victims.
        source: number of the cut.
        seed: of the order of the batches.
        moved: rows by which victims are exchanged in the null audit `[n]`; None otherwise.
    """

    record: RecordJob
    source: int
    seed: int
    moved: Array | None = None

    @property
    def host(self) -> TrainedHost:
        """The model."""
        host = self.record.host
        assert isinstance(host, TrainedHost), "the case looked"
        return host

    @property
    def recipe(self) -> Hyperparameters:
        """Implements `Trained`."""
        return self.host.pack.recipe

    @cached_property
    def client(self) -> Client:
        """The device; its half is as it was before the training until the first gradient comes back."""
        own = self.record.store.load(self.record.data[PARTS.index("victims")])
        inputs, labels = own["inputs"].to(self.record.device), own["labels"].long().to(self.record.device)
        return Client(self._network(None), inputs, labels, self.recipe, self.seed)

    def fresh(self, seed: int) -> nn.Module:
        """Implements `Trained`."""
        return self._network(seed)

    def _network(self, seed: int | None) -> nn.Module:
        """The layers before the cut with fresh weights, or with those that the model began with.

        Raises:
            ConfigError: the model has no such cut.
        """
        host, record = self.host, self.record
        some = as_float(record.store.load(record.data[0])["inputs"][:2]).to(record.device)
        model = untrained(host.pack, host.number, seed)
        graph = read_graph(model, some)
        cut = find_cut(cuts(graph), record.cuts[self.source])
        if cut is None:
            raise ConfigError(f"threat.cuts: the model has no cut after {record.cuts[self.source]!r}")
        return First(halves(graph, cut)[0]).eval()

    def sends(self) -> Float[Tensor, "b ..."]:
        """Implements `Trained`."""
        return self.client.sends()

    def returns(self, gradient: Float[Tensor, "b ..."]) -> None:
        """Implements `Trained`."""
        self.client.returns(gradient)

    def features(self) -> Float[Tensor, "n ..."]:
        """Implements `Trained`."""
        found = self.client.features()
        return found if self.moved is None else found[torch.from_numpy(self.moved).to(found.device)]


def steered_seed(seed: int, source: int) -> int:
    """Seed of a device's batches at one cut, the same for every attack of an audit."""
    return seed_for(seed, "steered training", source)


def not_steered(system: TrainedSystem, cut_names: tuple[tuple[str, ...], ...], knows: str) -> str:
    """Why no adversary can be played that returns gradients of their choice to a stage; empty where one can.

    Args:
        system: the chain.
        cut_names: all names of each cut of the threat.
        knows: what the adversary knows of the first half.
    """
    link = system.links[-1]
    if link.fit is not None:
        return "needs the built-in training, whose gradients it returns, but the stage has a fit of its own"
    if link.transfer not in ("scratch", "full"):
        return f"needs a first half that is trained, but transfer = {link.transfer!r} trains other layers alone"
    if knows == "nothing" and (link.transfer == "full" or link.weights):
        return "needs knows = 'queries': the stage starts from given weights, from which its encoder starts too"
    if system.releases:
        return "is not played behind defenses of the cut"
    for one in link.hyperparameters.defenses:
        own = isinstance(one, ChargesCut) and all(one.cut in names for names in cut_names)
        if isinstance(one, ALONE) or (isinstance(one, ChargesCut) and not own):
            return f"is not played where {type(one).__name__} changes what the device does in training"
    return ""
