"""`plan --topology`: the cuts of each model, who sees what, and what they could learn. Nothing is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from dosimeter.config.audit import Audit
from dosimeter.config.stages.joint import role_of
from dosimeter.config.threat_rows import ThreatRow, exposed
from dosimeter.data import Dataset
from dosimeter.families.attack import NamedAttack
from dosimeter.families.derived import FLAGS, Answered, Listed, Unfit, access_words, answered, by_names
from dosimeter.families.family import Case, LeavesOutDefaults
from dosimeter.families.joint_risks import all_risks
from dosimeter.families.registry import FAMILIES
from dosimeter.families.risks import Risk
from dosimeter.families.sights import Sight, StageRole, edge_problems, sights
from dosimeter.families.topology import ModelPart, Topology
from dosimeter.foundation.checks import suggest
from dosimeter.foundation.errors import ConfigError
from dosimeter.foundation.wording import quote
from dosimeter.models.architectures import as_float
from dosimeter.models.cuts.graph import INPUT, OUTPUT, Operation, read_graph
from dosimeter.models.cuts.places import ModelCut, cuts, find_cut
from dosimeter.training.chain import Link, build_chain
from dosimeter.training.preflight import Together, about, check_sources


@dataclass(frozen=True)
class StageCuts:
    """The places at which the model of a stage can be cut.

    Attributes:
        stage: name of the stage.
        how: what read the model, "fx" or "export".
        operations: of the model, in order.
        cuts: from the input to the output.
        used: names of the cuts between parts of the topology.
    """

    stage: str
    how: str
    operations: tuple[Operation, ...]
    cuts: tuple[ModelCut, ...]
    used: tuple[str, ...] = ()


@dataclass(frozen=True)
class TopologyPlan:
    """What a topology means.

    Attributes:
        stages: cuts of each model that somebody runs; of the last stage's without a topology.
        topology: who holds and runs what, or None.
        sights: who sees what.
        risks: what they could learn.
        roles: the chain, with the parts of each stage in the order in which they run.
        rows: the risks, each with the threats that test it.
    """

    stages: tuple[StageCuts, ...]
    topology: Topology | None = None
    sights: tuple[Sight, ...] = ()
    risks: tuple[Risk, ...] = ()
    roles: tuple[StageRole, ...] = ()
    rows: tuple[Answered, ...] = ()


def whole_plan(plans: Sequence[TopologyPlan], topology: Topology | None) -> TopologyPlan:
    """What a topology means for all chains of a file.

    Args:
        plans: of each chain.
        topology: of the whole file, or None.
    """
    stages = {one.stage: one for plan in plans for one in plan.stages}
    return TopologyPlan(
        tuple(stages.values()),
        topology,
        tuple(dict.fromkeys(one for plan in plans for one in plan.sights)),
        tuple(one for plan in plans for one in plan.risks),
        tuple(role for plan in plans for role in plan.roles if role.parts),
        tuple(one for plan in plans for one in plan.rows),
    )


def check_shapes(audit: Audit) -> None:
    """Refuses stages without records, whose shape is needed."""
    absent = [stage.name for stage in audit.stages if stage.data is None and not (stage.given or stage.joint)]
    if (audit.stages[-1].data is None and not audit.stages[-1].joint) or absent:
        raise ConfigError(
            f"plan --topology: needs the shape of the records, got stage {(absent or [audit.stages[-1].name])[0]!r} "
            "without `data`: name its data"
        )


def read_topology(
    audit: Audit,
    links: Sequence[Link],
    data: Sequence[Dataset | None],
    unfit: Mapping[str, Unfit] | None = None,
    cases: Mapping[str, Case] | None = None,
) -> TopologyPlan:
    """What the topology of an audit means for its models, which are built with fresh weights.

    Args:
        audit: the settings.
        links: its chain.
        data: of each stage, None for one without.
        unfit: threats that follow from the topology and do not fit the records, by id.
        cases: of the threats, by id, which say what attacks cannot run.

    Raises:
        AuditError: every problem found, one line each.
    """
    check_shapes(audit)
    parts = audit.topology.parts if audit.topology else ()
    names = [stage.name for stage in audit.stages]
    wanted = [name for name in names if audit.topology and audit.topology.parts_of(name)] or names[-1:]
    found = dict(_graphs(links, data, wanted))
    if audit.topology is None:
        return TopologyPlan(tuple(found.values()))
    roles, problems = [], list[str]()
    for stage in audit.stages:
        own = audit.topology.parts_of(stage.name)
        ordered, wrong = in_order(own, parts, found[stage.name].cuts) if own else ((), [])
        problems += wrong
        bare = {part.name for part in ordered if _bare(found[stage.name], part)}
        roles.append(replace(role_of(stage), parts=ordered, bare=frozenset(bare)))
    problems = problems or edge_problems(audit.topology, roles) or _misread(audit, roles)
    if problems:
        raise ConfigError(*problems)
    used = {role.name: tuple(part.last for part in role.parts if part.last) for role in roles}
    learned = all_risks(audit.topology, roles, {name: access_words(one.settings) for name, one in FAMILIES.items()})
    return TopologyPlan(
        tuple(replace(one, used=used[name]) for name, one in found.items()),
        audit.topology,
        sights(audit.topology, roles),
        learned,
        tuple(roles),
        _answered(learned, _threats(audit, roles), names[-1], unfit or {}, cases or {}),
    )


def _answered(
    learned: Sequence[Risk],
    rows: Sequence[ThreatRow],
    last: str,
    unfit: Mapping[str, Unfit],
    cases: Mapping[str, Case],
) -> tuple[Answered, ...]:
    """Every row of the table, with the threats of the audit that test it."""
    attacks = {row.id: _listed(row, cases.get(row.id)) for row in rows}
    return answered(learned, {row.id: row.threat for row in rows}, last, unfit, attacks)


def _listed(row: ThreatRow, case: Case | None) -> list[Listed]:
    """Attacks of a threat of which a finding could be made, each with the reason why its case refuses it."""
    there = case.shown_attacks if isinstance(case, LeavesOutDefaults) else row.attacks
    refused = {} if case is None else case.refusals()
    return [
        Listed(
            one.id,
            str(getattr(one.attack.needs, "goal", "")),
            {key: bool(getattr(one.attack.needs, key)) for key in FLAGS if hasattr(one.attack.needs, key)},
            refused.get(one.id, ""),
        )
        for one in there
        if _decides(one)
    ]


def _decides(row: NamedAttack) -> bool:
    """Returns whether a finding may be made of an attack: no control, no yardstick, no naive one."""
    attack = row.attack
    aside = attack.control or getattr(attack, "reference", False) or not getattr(attack, "adaptive", True)
    return not aside and getattr(attack.needs, "reads", "features") in ("features", "messages")


def _threats(audit: Audit, roles: Sequence[StageRole]) -> Sequence[ThreatRow]:
    """Threats of an audit; none if it has but the one that stands where a file says nothing."""
    follows = audit.written or (audit.topology is not None and exposed(audit.topology, roles))
    return audit.threats if follows else ()


def _misread(audit: Audit, roles: Sequence[StageRole]) -> list[str]:
    """Refuses a topology whose threats were derived from another order of its parts than the model has."""
    if audit.written or audit.topology is None:
        return []
    read = by_names(audit.topology, [role_of(stage) for stage in audit.stages])
    if exposed(audit.topology, read) == exposed(audit.topology, roles):
        return []
    return [
        "topology.parts: must be written in the order in which they run where one place of a model has several names, "
        f"got {', '.join(repr(part.name) for one in read for part in one.parts)}: reorder them, or begin each part "
        "with the name at which the one before it ends"
    ]


def _graphs(
    links: Sequence[Link], data: Sequence[Dataset | None], wanted: Sequence[str]
) -> list[tuple[str, StageCuts]]:
    """The cuts of the models of some stages."""
    whole, together, found = tuple(replace(link, weights=None) for link in links), Together(), []
    for index, link in enumerate(whole):
        if link.name not in wanted:
            continue
        own = next(one for one in data[index:] if one is not None)
        example = as_float(torch.from_numpy(own.inputs[:2].copy()))
        with together, about(f"stage {link.name!r}"):
            check_sources(link)
            graph = read_graph(build_chain(whole, index, 0, None), example)
            found.append((link.name, StageCuts(link.name, graph.program.how, graph.operations, cuts(graph))))
    together.tell()
    return found


def _bare(stage: StageCuts, part: ModelPart) -> bool:
    """Returns whether the records cross after a part, beside its features."""
    cut = find_cut(stage.cuts, part.last or OUTPUT)
    return cut is not None and cut.bare


def in_order(
    own: Sequence[ModelPart], parts: Sequence[ModelPart], known: Sequence[ModelCut]
) -> tuple[tuple[ModelPart, ...], list[str]]:
    """The parts of one model in the order in which they run, or the problems with them.

    A part begins with the output of the layer `from`, and ends with that of the layer `to`. Together the parts are the
    whole model.

    Args:
        own: parts of the model's stage.
        parts: all parts, by whose order messages name places.
        known: cuts of the model.
    """
    spans, problems = [], list[str]()
    for part in own:
        ends = []
        for key, layer, usual in (("from", part.first, INPUT), ("to", part.last, OUTPUT)):
            cut = find_cut(known, layer or usual)
            if cut is None:
                names = [name for one in known for name in one.names]
                problems.append(
                    f"topology.parts[{parts.index(part)}].{key}: the model of stage {part.stage!r} has no cut at such "
                    f"a layer, got {quote(layer)}, {suggest(str(layer), names)}"
                )
            else:
                ends.append(cut)
        if len(ends) == 2:
            spans.append((ends[0], ends[1], part))
    if problems:
        return (), problems
    spans.sort(key=lambda one: (one[0].position, one[1].position))
    before, last = known[0], known[-1]
    for first, end, part in spans:
        place = f"topology.parts[{parts.index(part)}]"
        if end.position <= first.position:
            problems.append(f"{place}: must end after it begins, got {first.name!r} to {end.name!r}: correct it")
        if first.position > before.position:
            problems.append(_gap(part.stage, before, first))
        elif first.position < before.position:
            problems.append(
                f"{place}: must begin where the part before it ends, {before.name!r}, got {first.name!r}: correct one "
                "of them"
            )
        before = end
    if before.position < last.position:
        problems.append(_gap(own[0].stage, before, last))
    return tuple(part for _, _, part in spans), problems


def _gap(stage: str, first: ModelCut, end: ModelCut) -> str:
    """A piece of a model that nobody runs."""
    return (
        f"topology.parts: somebody must run the whole model of stage {stage!r}, got none from {first.name!r} to "
        f"{end.name!r}: add a part, or correct `from` and `to`"
    )
