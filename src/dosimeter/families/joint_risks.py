"""What those who train a stage together could learn of each other's batches, beside all other risks of a topology."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from dosimeter.families.risks import Risk, as_written, risks
from dosimeter.families.rules import MESSAGES
from dosimeter.families.sights import WIRE, StageRole
from dosimeter.families.topology import Holding, Topology

KEEPER = "coordinator"
"""What a threat of exchange calls whoever keeps the shared layers."""
WITHOUT = ("soft",)
"""Joint methods in which nobody keeps shared layers."""


def all_risks(
    topology: Topology, stages: Sequence[StageRole], available: Mapping[str, Collection[str]]
) -> tuple[Risk, ...]:
    """All that the adversaries of a topology could learn; arguments as of `risks.risks`.

    Of a stage that parties train together these are the messages: each party that is not trusted in full, whoever runs
    the stage's model and so keeps the shared layers, and anyone on the wire, about each other party. Its model
    itself is judged by no other family in this release.
    """
    joint = {stage.name for stage in stages if stage.members}
    found = [_left(one) if joint & {one.stage, one.at_risk} else one for one in risks(topology, stages, available)]
    more = [one for stage in stages if stage.members for one in _of_stage(topology, stage, available)]
    return (*found, *more)


def _left(risk: Risk) -> Risk:
    """A risk of the model of a joint stage, which no threat tests."""
    if not risk.tested:
        return risk
    told = f"no threat of family {risk.rule.family} can be asked of a stage that parties train together"
    return replace(risk, tested=False, remark=told, threat={})


def _of_stage(topology: Topology, stage: StageRole, available: Mapping[str, Collection[str]]) -> Iterator[Risk]:
    """The messages of one joint stage, by who reads them and whose batches they are of."""
    members = dict(stage.members)
    holders = {one.data: one for one in topology.holds}
    owners = {name: holders.get(data) for name, data in members.items()}
    for who, role in _readers(topology, stage, owners):
        trust = {one.name: one.trust for one in topology.parties}.get(who, "honest-but-curious")
        for name, data in members.items():
            owner = owners[name]
            if (owner is not None and owner.party == who) or role == name:
                continue
            attributes = () if owner is None else owner.attributes
            for attribute in attributes or (None,):
                yield _judged(topology, stage, available, (who, role), (name, data, owner, attribute), trust)


def _readers(
    topology: Topology, stage: StageRole, owners: Mapping[str, Holding | None]
) -> Iterator[tuple[str, str | None]]:
    """Who reads messages, and what a threat calls them: a party of the stage, its keeper, or None on the wire."""
    keepers = {part.at for part in stage.parts} if stage.method not in WITHOUT else set()
    for party in topology.parties:
        own = [name for name, held in owners.items() if held is not None and held.party == party.name]
        if party.trust == "full":
            continue
        if party.name in keepers and (not own or len(owners) > 2):
            yield party.name, KEEPER  # sees each part, where a party sees the sum of the others'
        else:
            yield from ((party.name, name) for name in own)
    yield WIRE, None


def _judged(
    topology: Topology, stage: StageRole, available: Mapping[str, Collection[str]], reader: tuple[str, str | None],
    victim: tuple[str, str, Holding | None, str | None], trust: str,
) -> Risk:  # fmt: skip
    """One row: what one reader learns of one party's batches, with the threat that tests it or the reason why not."""
    (who, role), (name, data, owner, attribute) = reader, victim
    own = next((one.auxiliary for one in topology.parties if one.name == who), None)
    risk = Risk(
        (who,), trust == "malicious", MESSAGES, stage.name, stage.name, None if owner is None else owner.party, data,
        () if attribute is None else (attribute,), "weights", (f"messages of {stage.method}",), "", False, "",
    )  # fmt: skip
    if reason := _reason(available, role, own, owner, attribute):
        return replace(risk, remark=reason)
    threat: dict[str, Any] = {
        "family": MESSAGES.family, "at_risk": stage.name, "access": "weights", "victim": name, "adversary": role,
        "property": attribute, "auxiliary": own,
        **({"active": True} if trust == "malicious" and role != KEEPER else {}),
    }  # fmt: skip
    return replace(risk, tested=True, remark=as_written(threat), threat=threat)


def _reason(
    available: Mapping[str, Collection[str]], role: str | None, own: str | None, owner: Holding | None,
    attribute: str | None,
) -> str:  # fmt: skip
    """Why a row is not tested; empty if it is."""
    if MESSAGES.family not in available:
        return f"this release has no attacks of family {MESSAGES.family}"
    if role is None:
        return "who reads the wire is no party of the training: a threat with adversary = 'coordinator' sees as much"
    if own is None:
        return f"attacks of family {MESSAGES.family} need records of others: name them as `auxiliary` of the party"
    if owner is None:
        return "no party holds these records: name it in `holds`, with the private attributes that they have"
    if attribute is None:
        return "no private attribute of these records is named: name one as `attributes` of the row in `holds`"
    return ""
