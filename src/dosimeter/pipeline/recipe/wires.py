"""What a result and a plan say of a topology: who runs what, what crosses in how many bytes, and what is not tested."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dosimeter.families.derived import Answered, Unfit
from dosimeter.families.sights import StageRole
from dosimeter.families.topology import Edge, ModelPart
from dosimeter.models.cuts.graph import INPUT, OUTPUT
from dosimeter.models.cuts.places import ModelCut, find_cut
from dosimeter.pipeline.recipe.topology import StageCuts, TopologyPlan
from dosimeter.results import words

FLOAT = 4
"""Bytes of a weight."""


def about_topology(plan: TopologyPlan | None) -> dict[str, Any]:
    """Entries of `run.json`: `topology` and `not_tested`; none without a topology.

    Args:
        plan: what the topology means.
    """
    if plan is None or plan.topology is None:
        return {}
    cuts = {one.stage: one for one in plan.stages}
    return {
        "topology": {
            **plan.topology.settings(),
            "stages": [
                {
                    "stage": role.name,
                    "parts": [part.name for part in role.parts],
                    "crossings": _crossings(plan, role, cuts[role.name]),
                }
                for role in plan.roles
                if role.parts
            ],
            "risks": [_risk(one) for one in plan.rows],
        },
        "not_tested": [one.sentence for one in plan.rows if not one.threats],
    }


def topology_notes(plan: TopologyPlan, unfit: Mapping[str, Unfit]) -> list[str]:
    """Remarks for the reader of a plan: how much of a topology is tested, and what is not.

    Args:
        plan: what the topology means.
        unfit: threats that follow from it and do not fit the records, by id.
    """
    left = sum(not one.threats for one in plan.rows)
    names = list(dict.fromkeys(name for one in plan.rows for name in one.threats))
    all_rows = len(plan.rows)
    told = [f"topology: {all_rows - left} of {all_rows} rows are tested, by {', '.join(names) or 'nothing'}"]
    told += [
        f"topology: threat {name} is left out, it does not fit the records: {one.reason}" for name, one in unfit.items()
    ]
    if left:
        told.append(
            f"topology: {words.count(left, 'row')} not tested; `plan --topology` and the result list each with its "
            "reason"
        )
    return told


def _risk(one: Answered) -> dict[str, Any]:
    """A row of the table as JSON values."""
    risk = one.risk
    return {
        "adversary": list(risk.adversary), "rule": risk.rule.name, "learns": risk.rule.learns,
        "source": risk.rule.source, "stage": risk.stage, "at_risk": risk.at_risk, "holder": risk.holder,
        "data": risk.data, "attributes": list(risk.attributes), "access": risk.access, "knows": risk.knows,
        "ways": list(risk.ways), "threats": list(one.threats), "reason": one.reason,
    }  # fmt: skip


def _crossings(plan: TopologyPlan, role: StageRole, cuts: StageCuts) -> list[dict[str, Any]]:
    """What crosses from part to part: features, then what the edges say."""
    found = []
    for part, following in zip(role.parts, role.parts[1:], strict=False):
        cut = find_cut(cuts.cuts, part.last or OUTPUT)
        if part.at != following.at and cut is not None:
            found.append(_crossing(part, following, "features", cut, cut.bytes["float32"]))
    by_name = {part.name: part for part in role.parts}
    edges = () if plan.topology is None else plan.topology.edges
    everyone = {} if plan.topology is None else {part.name: part for part in plan.topology.parts}
    for edge in edges:
        sender, receiver = by_name.get(edge.sender), everyone[edge.receiver]
        if sender is not None and sender.at != receiver.at and edge.sends != "features":
            cut, size = _sent(edge, sender, by_name.get(edge.receiver), cuts)
            found.append(_crossing(sender, receiver, edge.sends, cut, size))
    return found


def _sent(
    edge: Edge, sender: ModelPart, receiver: ModelPart | None, cuts: StageCuts
) -> tuple[ModelCut | None, int | None]:
    """The cut whose numbers an edge carries, and its bytes for one record, None where they are not known.

    Gradients are as many numbers as the features that they belong to. Weights cross once and not with each record.
    """
    end = find_cut(cuts.cuts, sender.last or OUTPUT)
    if edge.sends == "weights":
        start = find_cut(cuts.cuts, sender.first or INPUT)
        return None, None if end is None or start is None else FLOAT * (end.parameters - start.parameters)
    if edge.sends == "gradients":
        back = None if receiver is None else find_cut(cuts.cuts, receiver.last or OUTPUT)
        return None, None if back is None else back.bytes["float32"]
    if edge.sends == "labels" or end is None:
        return None, None
    return end, end.bytes["float32"]


def _crossing(
    sender: ModelPart, receiver: ModelPart, sends: str, cut: ModelCut | None, size: int | None
) -> dict[str, Any]:
    """One thing that crosses, as JSON values."""
    return {
        "from": sender.name, "to": receiver.name, "sends": sends, "cut": None if cut is None else cut.name,
        "shapes": [] if cut is None else [list(one.shape) for one in cut.tensors], "bytes": size,
    }  # fmt: skip
