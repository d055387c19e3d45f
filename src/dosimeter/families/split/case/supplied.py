"""One threat of split on a network of the user's: cut where it says, and attacked like one that is trained here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dosimeter.data import Dataset
from dosimeter.data.entries import data_key
from dosimeter.families.attack import NamedAttack
from dosimeter.families.split.case.case import SplitCase
from dosimeter.families.split.case.cuts import FEW, fitting, named_cuts
from dosimeter.families.split.case.partition import given_away
from dosimeter.families.split.case.people import people_of
from dosimeter.families.split.case.refusals import refusals, require_telling
from dosimeter.families.split.case.told import notes_of
from dosimeter.families.split.threat import ALL, AUXILIARY, VICTIMS, SplitThreat
from dosimeter.foundation.errors import ConfigError
from dosimeter.foundation.wording import quote
from dosimeter.jobs.job import Job
from dosimeter.models.architectures import as_float
from dosimeter.models.cuts.graph import ModelGraph
from dosimeter.models.cuts.halves import halves
from dosimeter.models.cuts.places import ModelCut
from dosimeter.models.last_layer import at_rest
from dosimeter.training.chain import Link
from dosimeter.training.deployment.portable import program_digest
from dosimeter.training.deployment.supplied import SuppliedHost, supplied_host, unlike
from dosimeter.training.recipe import FitsCut
from dosimeter.training.system import SuppliedSystem, TrainedSystem

MEMBERS = "members"
"""Name of the records that the model was trained on, if its user gives some."""
TRAINED = "needs a training, whose gradients it returns, but a supplied model is trained already"
"""Why no attack of a supplied model acts in its training."""
RELATIVE = 1e-6
"""Largest difference between halves and whole, as a share of the largest answer in float32."""


@dataclass(frozen=True)
class SuppliedCase(SplitCase):
    """One threat on a network of the user's; nothing is trained but attacks.

    Attributes:
        supplied: the model, with its records.
        network: the same, as jobs run it.
    """

    supplied: SuppliedSystem | None = None
    network: SuppliedHost | None = None

    @property
    def given(self) -> SuppliedSystem:
        """The model, with its records."""
        assert self.supplied is not None
        return self.supplied

    @property
    def members(self) -> Dataset | None:
        """Records that the model was trained on, if its user gave some."""
        return self.given.parts.get(MEMBERS)

    @cached_property
    def features(self) -> tuple[()]:
        """None, since no model is trained."""
        return ()

    @cached_property
    def packs(self) -> tuple[()]:
        """None, since no model is trained."""
        return ()

    @property
    def hosts(self) -> tuple[SuppliedHost, ...]:
        """The network."""
        assert self.network is not None
        return (self.network,)

    @cached_property
    def asked(self) -> tuple[()]:
        """None: adversaries of a training elsewhere are not here."""
        return ()

    def refusals(self) -> Mapping[str, str]:
        """Implements `Case`."""
        closed = self.hosts[0].closed
        return refusals(self.attacks, self.threat, self.people, closed=closed, finished=TRAINED)

    def phases(self) -> list[tuple[str, Sequence[Job]]]:
        """Implements `Case`."""
        own = ("queries", "attacks", "classifier", "judging")
        return [(name, jobs) for name, jobs in self._phases(()) if name in own]

    def datasets(self) -> list[Dataset]:
        """Implements `Case`."""
        return [self.people.victims, self.people.auxiliary, *([] if self.members is None else [self.members])]

    def records(self) -> int:
        """Implements `Case`."""
        return len(self.people.auxiliary if self.members is None else self.members)

    def notes(self) -> list[str]:
        """Implements `Case`."""
        known = self.members is not None
        notes = notes_of(
            self.system, self.threat, self.people, self.places, self.counterparts, left_out=self.left_out, known=known
        )
        if self.hosts[0].named:
            notes.append(
                "cuts: the model's operations cannot be read, so it is run up to each layer that is named, and on from "
                "there; its halves cannot be saved"
            )
        if self.hosts[0].closed:
            notes.append(f"knows: {self.hosts[0].closed}, so attacks that follow its weights do not run")
        return notes

    def _counted(self) -> dict[str, Any]:
        """What a result says of the records; of training records nothing where none are known."""
        told = super()._counted()
        unknown = {"trained": None, "victims_trained_on": None, "auxiliary_trained_on": None}
        return told if self.members is not None else {**told, **unknown}

    def _taken_away(self, folder: Path) -> dict[str, Any]:
        """What is left in a folder so that the halves can be taken away."""
        return given_away(self.hosts[0], self.system, self.people.victims, self.recordings[0], folder)

    def _gates(self) -> list[dict[str, Any]]:
        """Checks of how the model was asked."""
        return [asdict(one) for one in self.given.gates]


def supplied_case(system: SuppliedSystem, threat: SplitThreat, attacks: Sequence[NamedAttack]) -> SuppliedCase:
    """One threat on a network of the user's.

    Raises:
        AuditError: records, network and threat do not fit each other.
    """
    known = {"auxiliary": threat.auxiliary or AUXILIARY, "victims": threat.victims or VICTIMS}
    threat = threat.model_copy(update=known)
    chain = _chain(system, threat)
    people = people_of(threat, chain)
    some = as_float(torch.from_numpy(people.auxiliary.inputs[:FEW].copy()))
    members = system.parts.get(MEMBERS)
    host = supplied_host(system, "model", some, None if members is None else data_key(members))
    host, graph = _read(host, threat, some)
    host = replace(host, digest=f"{host.digest} {program_digest(graph)}")
    fitted = [type(one).__name__ for one in chain.releases if isinstance(one, FitsCut)]
    if fitted and members is None:
        raise ConfigError(
            f"{fitted[0]} takes scales from records that the model was trained on, got none: give some as `members`"
        )
    example = host.prepare(some[:2])
    places, left_out = named_cuts(threat, graph, example, "the model", strict=True)
    _composed(host, graph, places, some)
    # Scales are taken from members once they are in the store; whether a defense fits can be seen on any records.
    fitting(graph, places, chain.releases, host, some)
    case = SuppliedCase(chain, threat, tuple(attacks), people, places, left_out, system, host)
    require_telling(case.attacks, case.refusals())
    return case


def _read(host: SuppliedHost, threat: SplitThreat, some: Tensor) -> tuple[SuppliedHost, ModelGraph]:
    """The network with its graph; where its operations cannot be read, that of the layers that the threat names.

    Args:
        host: the network.
        threat: names layers.
        some: records, as fractions.

    Raises:
        ConfigError: its operations cannot be read, and no layers are named.
    """
    try:
        return host, host.graph(some)
    except ConfigError as error:
        if threat.cuts == ALL:
            told = error.problems[0].partition(": let `forward`")[0]
            raise ConfigError(
                f"threat.cuts: {told}, got 'all': name layers, up to which the model can be run"
            ) from error
    named = replace(host, named=tuple(threat.cuts))
    return named, named.graph(some)


def _composed(host: SuppliedHost, graph: ModelGraph, places: Sequence[ModelCut], records: Tensor) -> None:
    """Checks that both halves at each cut together answer as the network does.

    Args:
        host: the network.
        graph: of it.
        places: the cuts.
        records: some, as fractions.

    Raises:
        ConfigError: they do not.
    """
    problems = []
    with at_rest(host.module):
        whole = host.module(host.prepare(records))
        allowed = max(RELATIVE, 8 * torch.finfo(whole.dtype).eps if whole.is_floating_point() else 0.0)
        for cut in places:
            first, second = (one.eval() for one in halves(graph, cut))
            gap = unlike([whole], [second(*first(host.prepare(records)))[0]])
            if not gap <= allowed:
                problems.append(
                    f"threat.cuts: both halves at {quote(cut.name)} must answer as the model does, to {allowed:.0e} of "
                    f"its largest answer, got {gap:.2g}: cut elsewhere, or let no layer there act on what another keeps"
                )
    if problems:
        raise ConfigError(*problems)


def _chain(system: SuppliedSystem, threat: SplitThreat) -> TrainedSystem:
    """Records and seed of a supplied model in the form of a chain, of which nothing is trained.

    Args:
        system: the model.
        threat: names the records.
    """
    names = (MEMBERS, str(threat.auxiliary), *system.parts)
    name = next(one for one in names if one in system.parts)
    records = system.parts[name]
    link = Link("target", None, tuple(int(side) for side in records.inputs.shape[1:]), len(records.classes))
    parts = {one: part for one, part in system.parts.items() if one != MEMBERS}
    return TrainedSystem(
        system.store, system.device, system.seed, (link,), (records,), None, 0, (1.0,), (system.names.get(name),),
        (tuple(system.defenses),), parts,
    )  # fmt: skip
