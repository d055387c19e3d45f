"""Who sees what: the tensors, labels, gradients and weights that a topology shows to each party."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from dosimeter.families.topology import Edge, Holding, ModelPart, Topology

Seen = Literal["inputs", "features", "logits", "probabilities", "labels", "true labels", "gradients", "weights"]
"""What a party may see; `labels` are the model's, `true labels` those of the records."""
OUTPUTS: tuple[Seen, ...] = ("labels", "probabilities", "logits")
"""Answers of a model, the least telling first."""
WIRE = "anyone on the wire"
"""Who reads what crosses between parties; stands beside the parties of every topology."""


@dataclass(frozen=True)
class StageRole:
    """A stage as a topology uses it.

    Attributes:
        name: name of the stage.
        data: what it is trained on, or None if that is not known.
        parts: parts of its model in the order in which they run; empty if the topology has none.
        bare: names of parts after which the records themselves cross too, since a later layer takes them.
        members: of a stage that parties train together, each with its part of data, in order; else empty.
        method: by which they do; else empty.
    """

    name: str
    data: str | None
    parts: tuple[ModelPart, ...] = ()
    bare: frozenset[str] = frozenset()
    members: tuple[tuple[str, str], ...] = ()
    method: str = ""

    @property
    def trained(self) -> tuple[str | None, ...]:
        """All data that it is trained on, those of each party of a joint stage; None for what is not known."""
        return tuple(data for _, data in self.members) or (self.data,)

    def before(self, part: ModelPart) -> tuple[ModelPart, ...]:
        """Parts that run before one."""
        return self.parts[: self.parts.index(part)]


@dataclass(frozen=True)
class Sight:
    """One thing that a party sees.

    Attributes:
        party: name of the party, or `WIRE`.
        sees: what.
        stage: name of the stage.
        part: part of the model whose input, values, gradients or weights they are.
        way: how it gets there: "device -> rest", or "runs rest".
        cut: layer at which the features leave, for features.
        data: name of the data, for inputs; None for all that pass.
    """

    party: str
    sees: Seen
    stage: str
    part: str
    way: str
    cut: str | None = None
    data: str | None = None

    @property
    def crosses(self) -> bool:
        """Returns whether it came from another party, and not by running a part."""
        return "->" in self.way


def sights(topology: Topology, stages: Sequence[StageRole]) -> tuple[Sight, ...]:
    """Everything that every party sees, and that anyone on the wire sees.

    Features cross wherever a part hands on to a part of another party, whether or not `edges` says so. Who runs a part
    knows its weights; who runs the last part knows the model's answers; who runs the first part sees the records.
    What a party with trust "full" sees is listed too.

    Args:
        topology: parties, parts, edges and holdings.
        stages: the chain in order, with the parts of each.
    """
    found: list[Sight] = []
    for stage in stages:
        for part in stage.parts:
            found.append(Sight(part.at, "weights", stage.name, part.name, f"runs {part.name}"))
        if stage.parts:
            last = stage.parts[-1]
            found.append(Sight(last.at, "logits", stage.name, last.name, f"runs {last.name}"))
            found += _records(topology, stage, stages)
            found += _features(stage)
            found += _edges(topology, stage)
    return tuple(dict.fromkeys(found))


def asks(topology: Topology, holding: Holding, stage: StageRole, stages: Sequence[StageRole]) -> bool:
    """Returns whether the records of a holding pass through a deployed stage.

    They do if their holder runs its first part, or if no stage is trained on them, since then it is all that they are
    there for.
    """
    if not stage.parts:
        return False
    trained = {data for one in stages for data in one.trained} | topology.elsewhere
    return stage.parts[0].at == holding.party or holding.data not in trained


def _both(receiver: str, sees: Seen, stage: str, part: str, way: str, **more: str | None) -> Iterator[Sight]:
    """A sight of the receiver of something, and that of anyone on the wire."""
    for party in (receiver, WIRE):
        yield Sight(party, sees, stage, part, way, **more)


def _records(topology: Topology, stage: StageRole, stages: Sequence[StageRole]) -> Iterator[Sight]:
    """Who sees the records themselves, beside their holder."""
    first = stage.parts[0]
    for one in topology.holds:
        if first.at != one.party and asks(topology, one, stage, stages):
            yield from _both(first.at, "inputs", stage.name, first.name, f"{one.party} -> {first.name}", data=one.data)


def _features(stage: StageRole) -> Iterator[Sight]:
    """What crosses from part to part."""
    for part, following in zip(stage.parts, stage.parts[1:], strict=False):
        if part.at != following.at:
            way = f"{part.name} -> {following.name}"
            yield from _both(following.at, "features", stage.name, part.name, way, cut=part.last)
            if part.name in stage.bare:
                yield from _both(following.at, "inputs", stage.name, part.name, way)


def _edges(topology: Topology, stage: StageRole) -> Iterator[Sight]:
    """What the edges of a topology say beside the features."""
    parts = {part.name: part for part in stage.parts}
    everyone = {part.name: part for part in topology.parts}
    for edge in topology.edges:
        sender, receiver = parts.get(edge.sender), everyone[edge.receiver]
        if sender is None or sender.at == receiver.at or edge.sends == "features":
            continue
        way = f"{sender.name} -> {receiver.name}"
        yield from _both(receiver.at, _kind(edge, sender is stage.parts[-1]), stage.name, sender.name, way)


def _kind(edge: Edge, is_last: bool) -> Seen:
    """What an edge shows: labels from the last part are the model's, others belong to the records."""
    if edge.sends == "labels":
        return "labels" if is_last else "true labels"
    if edge.sends == "features":
        raise ValueError("features follow from the order of the parts")
    return edge.sends


def edge_problems(topology: Topology, stages: Sequence[StageRole]) -> list[str]:
    """Edges that do not fit the order of the parts, one line each."""
    roles = {part.name: stage for stage in stages for part in stage.parts}
    problems = []
    for index, edge in enumerate(topology.edges):
        if edge.sender not in roles:  # of another chain
            continue
        stage, place = roles[edge.sender], f"topology.edges[{index}]"
        names = [part.name for part in stage.parts]
        here = names.index(edge.sender)
        following = names[here + 1] if here + 1 < len(names) else None
        if edge.sends == "features" and edge.receiver != following:
            remedy = f"send them to {following!r}" if following else "it gives the answers: send logits"
            problems.append(
                f"{place}: features must go to the part that runs next, got {edge.sender!r} to {edge.receiver!r}: "
                f"{remedy}"
            )
        if edge.sends in ("logits", "probabilities") and following is not None:
            problems.append(
                f"{place}: {edge.sends} must come from the last part of a model, got {edge.sender!r} before "
                f"{following!r}: name {names[-1]!r}"
            )
    return problems
