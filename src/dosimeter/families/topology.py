"""Who holds and runs what: parties, parts of models, what crosses between them, and whose data they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Trust = Literal["full", "honest-but-curious", "malicious"]
"""How far the others trust a party: it is no adversary; it follows the protocol and looks; it may do anything."""
Sent = Literal["features", "logits", "probabilities", "labels", "gradients", "weights"]
"""What may cross an edge."""


@dataclass(frozen=True)
class Party:
    """One who holds data or runs a part of a model.

    Attributes:
        name: its name.
        trust: how far the others trust it.
        auxiliary: named part of data that it has beside what it is given, or None.
    """

    name: str
    trust: Trust
    auxiliary: str | None = None


@dataclass(frozen=True)
class ModelPart:
    """A part of a stage's model, and who runs it.

    Attributes:
        name: its name.
        stage: name of the stage whose model it is a part of.
        at: name of the party that runs it.
        first: layer at which it begins, or None for the input.
        last: layer at which it ends, or None for the output.
    """

    name: str
    stage: str
    at: str
    first: str | None = None
    last: str | None = None


@dataclass(frozen=True)
class Edge:
    """What one part sends to another.

    Attributes:
        sender: name of the part that sends.
        receiver: name of the part that receives.
        sends: what crosses.
    """

    sender: str
    receiver: str
    sends: Sent


@dataclass(frozen=True)
class Holding:
    """Whose data they are.

    Attributes:
        party: name of the party that holds them.
        data: name of the part of data.
        attributes: private attributes of these records that are at risk.
    """

    party: str
    data: str
    attributes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Topology:
    """Parties, parts of models, edges and holdings; all names that they refer to exist.

    Attributes:
        parties: by distinct names.
        parts: by distinct names.
        edges: distinct.
        holds: distinct pairs of party and data.
        covered: stages whose parts are told with another chain, which has them too.
        elsewhere: data that only stages of other chains are trained on.
    """

    parties: tuple[Party, ...]
    parts: tuple[ModelPart, ...]
    edges: tuple[Edge, ...] = ()
    holds: tuple[Holding, ...] = ()
    covered: frozenset[str] = frozenset()
    elsewhere: frozenset[str] = frozenset()

    def parts_of(self, stage: str) -> tuple[ModelPart, ...]:
        """The parts of a stage's model, as the file has them; none if another chain tells of them."""
        return tuple(one for one in self.parts if one.stage == stage and stage not in self.covered)

    def settings(self) -> dict[str, Any]:
        """The table of the audit file, as JSON values."""
        return {
            "parties": [{"name": one.name, "trust": one.trust, "auxiliary": one.auxiliary} for one in self.parties],
            "parts": [
                {"name": one.name, "stage": one.stage, "from": one.first, "to": one.last, "at": one.at}
                for one in self.parts
            ],
            "edges": [{"from": one.sender, "to": one.receiver, "sends": one.sends} for one in self.edges],
            "holds": [{"party": one.party, "data": one.data, "attributes": list(one.attributes)} for one in self.holds],
        }
