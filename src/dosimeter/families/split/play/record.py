"""Job of the recorder: what crosses each cut of one model, once for all attacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from dosimeter.defenses.sending import CutDefense, describe_release, kept_of
from dosimeter.families.split.play.wire import Wire
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.errors import ConfigError
from dosimeter.foundation.keys.package_code import package_code
from dosimeter.foundation.seeds import generator
from dosimeter.jobs.job import Job
from dosimeter.jobs.keyed import FollowingJob
from dosimeter.models.architectures import as_float
from dosimeter.models.cuts.graph import ModelGraph
from dosimeter.models.cuts.places import ModelCut, cuts, find_cut
from dosimeter.models.cuts.recorder import recorded
from dosimeter.statistics.leakage.pixels import spreads
from dosimeter.training.deployment.hosts import Host
from dosimeter.training.deployment.recorded import ANSWERS, PARTS
from dosimeter.training.recipe import Release, RestoresCut


class Recording(Job, Protocol):
    """What attacks may know of the victims, and the same of the auxiliary records."""

    @property
    def cuts(self) -> tuple[str, ...]:
        """Names of the cuts."""
        ...

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

    def load(self, source: int | None, *, answers: bool = False, plain: bool = False) -> tuple[Tensor, Tensor]:
        """What was recorded of the victims and of the auxiliary records; see `RecordJob.load`."""
        ...

    def answered(self, source: int | None) -> Tensor:
        """The model's answers for the victims `[n c]`; see `RecordJob.answered`."""
        ...

    def information(self, source: int) -> dict[str, Array]:
        """Fisher information of what is sent at a cut; see `RecordJob.information`."""
        ...


OWN = 512
"""Most training records from which defenses of the cut take scales and ranges."""
INFORMATION = ("trace", "predicted", "channel")
"""What is recorded of Fisher information, where it is defined."""
KEPT = "kept"
"""Prefix of what defenses of the cut took from the model."""
ONCE = "once"
"""Prefix of the answers to the first of many sends of each record."""


@dataclass(frozen=True)
class RecordJob(FollowingJob):
    """Job that runs victims and auxiliary records through the first half of a model, behind the defenses of the cut.

    Its entry holds `victims-i` and `auxiliary-i` `[n ...]` of cut i, `victims-answers` and `auxiliary-answers` `[n c]`.
    It is all that an attack may know of the victims. Behind defenses of the cut the second half reads what was sent, so
    answers are those of each cut, `victims-answers-i` and `auxiliary-answers-i`; `auxiliary-plain-i` are the auxiliary
    records' features before the defenses, for an adversary who does not know of them. Where each record is sent many
    times, these are means; `once-i` are the answers for the victims to the first send, which the model's user gets.
    `kept-i-k-NAME` is what defense k took from the model at cut i.

    Attributes:
        host: the model.
        cuts: names of layers after which the model is cut.
        data: keys of the victims and of the auxiliary records.
        sizes: numbers of victims and of auxiliary records.
        releases: defenses at the cut, in order.
        repeats: how often each record is sent; the mean is what an adversary reads.
        width: numbers that cross all cuts for one record, for a guess of the work.
        pictures: whether errors are measured in pixels, and not in units of each number's spread.
    """

    host: Host
    cuts: tuple[str, ...]
    data: tuple[str, str]
    sizes: tuple[int, int]
    releases: tuple[CutDefense, ...] = ()
    pictures: bool = True
    width: int = field(default=0, compare=False)
    repeats: int = 1

    @property
    def follows(self) -> Host:
        """Implements `FollowingJob`."""
        return self.host

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one record."""
        return self.host.shape

    @property
    def device(self) -> str:
        """Where attacks run."""
        return self.host.device

    @cached_property
    def definition(self) -> dict[str, Any]:
        """Everything that the key depends on."""
        return {
            "kind": "recording",
            "family": "split",
            "model": self.host.definition,
            "cuts": list(self.cuts),
            "data": list(self.data),
            "releases": [describe_release(one) for one in self.releases],
            "repeats": self.repeats,
            **({"pictures": self.pictures} if self.releases else {}),
            "seed": self.host.seed,
            "code": package_code(__name__),
        }

    @property
    def alike(self) -> object:
        """Implements `Costed`."""
        return ("recording", self.host.alike)

    @property
    def size(self) -> int:
        """Implements `Costed`."""
        return 4 * sum(self.sizes) * max(self.width, 1)

    def cost(self, pace: Any) -> float:
        """Implements `Costed`."""
        return self.host.seconds(pace) * sum(self.sizes)

    def perform(self) -> None:
        """Records and stores."""
        host = self.host
        data = {part: self.store.load(key)["inputs"] for part, key in zip(PARTS, self.data, strict=True)}
        graph = host.graph(data[PARTS[0]][:2])
        chosen, found = self._chosen(graph), dict[str, Tensor]()
        wires = [Wire(graph, one, self.releases, host) for one in chosen] if self.releases else []
        settled = [self.settled(one, index) for index, one in enumerate(wires)]
        for index, own in enumerate(settled):
            found |= self._keeping(index, own)
        for part, inputs in data.items():
            plain, answers = recorded(graph, chosen, inputs, host.prepare)
            found |= {f"{part}-{index}": features.contiguous() for index, features in enumerate(plain)}
            if not wires:
                found[f"{part}-{ANSWERS}"] = host.read(answers).contiguous()
            for index, wire in enumerate(wires):
                sent, said, once = self._sent(wire, plain[index], settled[index], self._rng(f"sent by {part}", index))
                found[f"{part}-{index}"], found[f"{part}-{ANSWERS}-{index}"] = sent, said
                if part == PARTS[0]:
                    found[f"{ONCE}-{index}"] = once
                if part == PARTS[1]:
                    found[f"{part}-plain-{index}"] = plain[index].contiguous()
        units = self._units(data[PARTS[1]])
        for index, wire in enumerate(wires):
            known = as_float(data[PARTS[1]])
            told = wire.informed(settled[index], known, units, host.seed, repeats=self.repeats)
            found |= {f"{name}-{index}": one for name, one in told.items()}
        self.store.save(self.key, found, self.definition)

    def _keeping(self, index: int, settled: Sequence[Release]) -> dict[str, Tensor]:
        """What is kept of the defenses at one cut that took something from the model."""
        return {
            f"{KEPT}-{index}-{number}-{name}": one
            for number, (defense, own) in enumerate(zip(self.releases, settled, strict=True))
            if isinstance(defense, RestoresCut)
            for name, one in kept_of(own).items()
        }

    def kept(self) -> list[list[dict[str, Tensor]]]:
        """What is kept of each defense at each cut; nothing of one that takes nothing, or cannot be restored."""
        found, numbers = self.store.load(self.key), range(len(self.releases))
        starts = [[f"{KEPT}-{index}-{number}-" for number in numbers] for index in range(len(self.cuts))]
        return [
            [{name.removeprefix(one): value for name, value in found.items() if name.startswith(one)} for one in own]
            for own in starts
        ]

    def settled(self, wire: Wire, index: int) -> tuple[Release, ...]:
        """The defenses at one cut of this model, the same each time."""
        return wire.settled(self.host.own(OWN), self._rng("settled", index))

    def _sent(
        self, wire: Wire, plain: Tensor, settled: Sequence[Release], rng: np.random.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Means over all sends of what is sent and of the answers, and the answers to the first send."""
        sent = wire.send(plain, settled, rng)
        once = wire.answers(sent)
        if self.repeats == 1:
            return sent, once, once.clone()
        total, said = sent.double(), once.double()
        for _ in range(self.repeats - 1):
            again = wire.send(plain, settled, rng)
            total, said = total + again, said + wire.answers(again)
        return (total / self.repeats).to(sent.dtype), (said / self.repeats).to(once.dtype), once

    def _chosen(self, graph: ModelGraph) -> list[ModelCut]:
        """The cuts in the trained model."""
        places = cuts(graph)
        chosen = [find_cut(places, name) for name in self.cuts]
        if None in chosen:
            # The plan looked at the model with fresh weights; one of the user's may differ once it is trained.
            raise ConfigError(f"threat.cuts: the trained model has no cut after {self.cuts[chosen.index(None)]!r}")
        return [one for one in chosen if one]

    def _rng(self, purpose: str, index: int) -> np.random.Generator:
        """A generator for one cut of this model."""
        return generator(self.host.seed, purpose, index, self.host.index)

    def _units(self, auxiliary: Tensor) -> Tensor:
        """Units of each number of a record: pixels, or spreads over the auxiliary records, as errors have them."""
        if self.pictures or not as_float(auxiliary[:1]).is_floating_point():
            return torch.ones(auxiliary.shape[1:])
        return torch.from_numpy(spreads(as_float(auxiliary).double().numpy())).float()

    def load(self, source: int | None, *, answers: bool = False, plain: bool = False) -> tuple[Tensor, Tensor]:
        """What was recorded of the victims and of the auxiliary records.

        Args:
            source: number of the cut; None for the answers of a model without defenses of the cut.
            answers: whether the answers behind the cut are meant.
            plain: whether the auxiliary records' features are those before the defenses.
        """
        return recorded_source(self.store.load(self.key), source, answers=answers, plain=plain)

    def information(self, source: int) -> dict[str, Array]:
        """Fisher information of what is sent at a cut, as `Wire.informed` gives it."""
        found = self.store.load(self.key)
        return {name: found[f"{name}-{source}"].numpy() for name in INFORMATION if f"{name}-{source}" in found}

    def answered(self, source: int | None) -> Tensor:
        """The model's answers for the victims `[n c]`; behind a cut, where defenses stand there, to the first send."""
        found = self.store.load(self.key)
        return recorded_answers(found) if source is None else torch.as_tensor(found[f"{ONCE}-{source}"])


def recorded_source(
    found: Mapping[str, Tensor], source: int | None, *, answers: bool = False, plain: bool = False
) -> tuple[Tensor, Tensor]:
    """What the entry of a recording holds of the victims and of the auxiliary records.

    Args:
        found: the entry.
        source: number of the cut; None for the answers where those are the same at every cut.
        answers: whether the answers behind the cut are meant.
        plain: whether the auxiliary records' features are those before the defenses of the cut, if there are any.
    """
    name = ANSWERS if source is None else f"{ANSWERS}-{source}" if answers else str(source)
    bare = f"plain-{source}"
    own = bare if plain and not answers and f"{PARTS[1]}-{bare}" in found else name
    return found[f"{PARTS[0]}-{name}"].float(), found[f"{PARTS[1]}-{own}"].float()


def recorded_answers(found: Mapping[str, Tensor]) -> Tensor:
    """The model's answers for the victims `[n c]` in the entry of a recording, where no defense stands at the cuts."""
    return found[f"{PARTS[0]}-{ANSWERS}"]
