"""Job of the recorder: what crosses each cut of one model, once for all attacks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from torch import Tensor

from dosimeter.defenses.sending import describe_release, send
from dosimeter.foundation.errors import ConfigError
from dosimeter.foundation.keys.package_code import package_code
from dosimeter.foundation.seeds import generator
from dosimeter.jobs.job import Job
from dosimeter.jobs.store import Store, key_of
from dosimeter.models.architectures import as_float
from dosimeter.models.cuts.graph import read_graph
from dosimeter.models.cuts.places import cuts, find_cut
from dosimeter.models.cuts.recorder import recorded
from dosimeter.training.deployment.network import deployed
from dosimeter.training.deployment.recorded import ANSWERS, PARTS
from dosimeter.training.packs import PackJob
from dosimeter.training.recipe import Release


class Recording(Job, Protocol):
    """What attacks may know of the victims, and the same of the auxiliary records."""

    @property
    def data(self) -> tuple[str, str]:
        """Keys of the victims and of the auxiliary records."""
        ...

    @property
    def sizes(self) -> tuple[int, int]:
        """Numbers of victims and of auxiliary records."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one record."""
        ...

    @property
    def device(self) -> str:
        """Where attacks run."""
        ...

    def load(self, source: int | None) -> tuple[Tensor, Tensor]:
        """What was recorded of the victims and of the auxiliary records; see `RecordJob.load`."""
        ...

    def answered(self) -> Tensor:
        """The model's answers for the victims `[n c]`."""
        ...


@dataclass(frozen=True)
class RecordJob:
    """Job that runs victims and auxiliary records through the first half of a model, behind the defenses of the cut.

    Its entry holds `victims-i` and `auxiliary-i` `[n ...]` of cut i, `victims-answers` and `auxiliary-answers` `[n c]`.
    It is all that an attack may know of the victims.

    Attributes:
        pack: the pack of the model.
        number: place of the model in the pack.
        cuts: names of layers after which the model is cut.
        data: keys of the victims and of the auxiliary records.
        sizes: numbers of victims and of auxiliary records.
        releases: defenses at the cut, in order.
        repeats: how often each record is sent; the mean is what an adversary reads.
    """

    pack: PackJob
    number: int
    cuts: tuple[str, ...]
    data: tuple[str, str]
    sizes: tuple[int, int]
    releases: tuple[Release, ...] = ()
    width: int = field(default=0, compare=False)
    repeats: int = 1

    @property
    def store(self) -> Store:
        """The store to read from and write to."""
        return self.pack.store

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one record."""
        return self.pack.links[-1].shape

    @property
    def device(self) -> str:
        """Where attacks run."""
        return self.pack.device

    @cached_property
    def definition(self) -> dict[str, Any]:
        """Everything that the key depends on."""
        return {
            "kind": "recording",
            "family": "split",
            "model": [self.pack.key, self.number],
            "cuts": list(self.cuts),
            "data": list(self.data),
            "releases": [describe_release(one) for one in self.releases],
            "repeats": self.repeats,
            "seed": self.pack.seed,
            "code": package_code(__name__),
        }

    @cached_property
    def key(self) -> str:
        """Key of the entry."""
        return key_of(self.definition)

    @property
    def place(self) -> str:
        """The model that it records."""
        return self.pack.place

    @property
    def users_code(self) -> tuple[str, ...]:
        """The user's own code in it."""
        return self.pack.users_code

    @property
    def alike(self) -> object:
        """Implements `Costed`."""
        return ("recording", id(self.pack.links))

    @property
    def size(self) -> int:
        """Implements `Costed`."""
        return 4 * sum(self.sizes) * max(self.width, 1)

    def cost(self, pace: Any) -> float:
        """Implements `Costed`."""
        return float(pace.answer(self.pack)) * sum(self.sizes)

    def perform(self) -> None:
        """Records and stores."""
        model, device = deployed(self.pack, self.number), self.pack.device
        found: dict[str, Tensor] = {}
        for part, key in zip(PARTS, self.data, strict=True):
            inputs = self.store.load(key)["inputs"]
            graph = read_graph(model, as_float(inputs[:2]).to(device))
            places = cuts(graph)
            chosen = [find_cut(places, name) for name in self.cuts]
            if None in chosen:
                # The plan looked at the model with fresh weights; one of the user's may differ once it is trained.
                raise ConfigError(f"threat.cuts: the trained model has no cut after {self.cuts[chosen.index(None)]!r}")
            sent, answers = recorded(
                graph, [one for one in chosen if one], inputs, lambda some: as_float(some).to(device)
            )
            for index, features in enumerate(sent):
                rng = generator(self.pack.seed, f"sent by {part}", index, self.pack.models[self.number])
                found[f"{part}-{index}"] = send(features, self.releases, rng, repeats=self.repeats).contiguous()
            found[f"{part}-{ANSWERS}"] = answers.contiguous()
        self.store.save(self.key, found, self.definition)

    def load(self, source: int | None) -> tuple[Tensor, Tensor]:
        """What was recorded of the victims and of the auxiliary records.

        Args:
            source: number of the cut; None for the answers.
        """
        return recorded_source(self.store.load(self.key), source)

    def answered(self) -> Tensor:
        """The model's answers for the victims `[n c]`."""
        return recorded_answers(self.store.load(self.key))


def recorded_source(found: Mapping[str, Tensor], source: int | None) -> tuple[Tensor, Tensor]:
    """What the entry of a recording holds of the victims and of the auxiliary records.

    Args:
        found: the entry.
        source: number of the cut; None for the answers.
    """
    name = ANSWERS if source is None else str(source)
    victims, auxiliary = (found[f"{part}-{name}"] for part in PARTS)
    return victims.float(), auxiliary.float()


def recorded_answers(found: Mapping[str, Tensor]) -> Tensor:
    """The model's answers for the victims `[n c]` in the entry of a recording."""
    return found[f"{PARTS[0]}-{ANSWERS}"]
