"""Prepares a validated audit: data, split, design, and all jobs by key, which are known before training."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from dosimeter.config.audit import AnyAudit, Audit
from dosimeter.config.stages.leg_audits import split
from dosimeter.config.threat_rows import ThreatRow
from dosimeter.data import Dataset
from dosimeter.families.derived import Unfit
from dosimeter.families.family import Case
from dosimeter.foundation.errors import AuditError, ConfigError
from dosimeter.foundation.user_code import import_from
from dosimeter.jobs.runners import one_thread
from dosimeter.jobs.store import Store
from dosimeter.pipeline.recipe.chain import check_rows, links_of, try_chains
from dosimeter.pipeline.recipe.data import read_data
from dosimeter.pipeline.recipe.not_yet import refuse_what_cannot_run
from dosimeter.pipeline.recipe.parties import joint_of
from dosimeter.pipeline.recipe.parts import read_parts
from dosimeter.pipeline.recipe.prepared import PreparedRecipe, case_of, joined
from dosimeter.pipeline.recipe.texts import refuse_other_tokens
from dosimeter.pipeline.recipe.topology import TopologyPlan, check_shapes, read_topology, whole_plan
from dosimeter.training.chain import Link
from dosimeter.training.preflight import Together, check_device, check_sources
from dosimeter.training.system import JointStage, TrainedSystem


def prepare(audit: Audit, *, store: Store, device: str = "cpu") -> PreparedRecipe:
    """Reads the data, draws what the threats draw, builds one model of each stage, and finds all that is wrong.

    Where joint stages branch off, each chain is prepared for itself; stages that they share have one key.

    Args:
        audit: the settings.
        store: the cache.
        device: "cpu", "cuda", "cuda:1", "mps" ...

    Raises:
        AuditError: every problem found, one line each.
    """
    together, found, unasked = Together(), list[PreparedRecipe](), list[TopologyPlan]()
    for leg, own in split(audit, asked=audit.topology is None):
        with together, _placed(leg):
            if own.threats:
                found.append(_prepare(own, store=store, device=device))
            else:
                unasked.append(_topology_of(own))
    together.tell()
    return joined(audit, found, unasked)


def plan_topology(audit: AnyAudit) -> TopologyPlan:
    """Reads the models of an audit as graphs, and derives from `[topology]` who sees and could learn what.

    Models are built for the records of their stages, with fresh weights.

    Raises:
        AuditError: every problem found, one line each.
    """
    if not isinstance(audit, Audit):
        raise ConfigError(
            "plan --topology: needs a model that can be cut, from [[stage]], got [target]: describe the model in a "
            "stage"
        )
    together, plans = Together(), list[TopologyPlan]()
    for leg, own in split(audit, asked=False):
        with together, _placed(leg):
            plans.append(_topology_of(own))
    together.tell()
    return plans[0] if len(plans) == 1 else whole_plan(plans, audit.topology)


def _topology_of(audit: Audit) -> TopologyPlan:
    """What the topology of one chain means; raises as `plan_topology`."""
    check_shapes(audit)
    import_from(audit.base)
    together = Together()
    parts = read_parts(audit.parts, audit.topology, seed=audit.seed, base=audit.base, together=together)
    joint = joint_of(audit, parts, together)
    data, test = read_data(audit, parts, together, joint)
    together.tell()
    links = links_of(audit, data)
    if not audit.threats:
        return read_topology(audit, links, data)
    system = _system(audit, Store(Path()), "cpu", links, (data, test), parts, joint)  # from which nothing is read
    cases, unfit = _cases(audit, system, Together())  # what is wrong with a threat, `plan` tells
    return read_topology(audit, links, data, unfit, cases)


def _system(
    audit: Audit, store: Store, device: str, links: tuple[Link, ...],
    data: tuple[tuple[Dataset | None, ...], Dataset | None], parts: Mapping[str, Dataset], joint: JointStage | None,
) -> TrainedSystem:  # fmt: skip
    """The chain of an audit; `data` are those of each stage, and the test records."""
    samples, sources = tuple(one.sample for one in audit.stages), tuple(one.data for one in audit.stages)
    return TrainedSystem(
        store, device, audit.seed, links, *data, audit.at_risk, samples, sources, audit.defenses, parts, joint
    )


@contextmanager
def _placed(leg: Sequence[int]) -> Iterator[None]:
    """Tells problems with a stage of a chain with the stage's position in the file."""
    try:
        yield
    except AuditError as error:
        place = re.compile(r"^stage\[(\d+)\]")
        told = [place.sub(lambda found: f"stage[{leg[int(found[1])]}]", line) for line in error.problems]
        raise type(error)(*told) from error


def _prepare(audit: Audit, *, store: Store, device: str) -> PreparedRecipe:
    """Prepares one chain; arguments and errors as of `prepare`."""
    import_from(audit.base)
    together = Together()
    with together:
        check_device(device)
    with together:
        refuse_what_cannot_run(audit)
    parts = read_parts(audit.parts, audit.topology, seed=audit.seed, base=audit.base, together=together)
    joint = joint_of(audit, parts, together)
    data, test = read_data(audit, parts, together, joint)
    known = all(own is not None or stage.given for own, stage in zip(data, audit.stages, strict=True))
    links = links_of(audit, data) if known else ()
    before = len(together.errors)
    for link in links:
        with together:
            check_sources(link)
    sound = known and len(together.errors) == before
    with together:
        check_rows(audit, data)
        refuse_other_tokens(audit, data)
    cases: Mapping[str, Case] = {}
    unfit: Mapping[str, Unfit] = {}
    system = None
    if known:
        system = _system(audit, store, device, links, (data, test), parts, joint)
        cases, unfit = _cases(audit, system, together)
        audit = replace(audit, threats=tuple(row for row in audit.threats if row.id not in unfit))
    if cases and sound:
        with one_thread():
            first = min(audit.threats, key=audit.index_of)
            records = cases[first.id].records() if first.id in cases else 2
            try_chains(audit, links, data, records, together)
    plan = None
    if audit.topology is not None and sound:
        with together:
            plan = read_topology(audit, links, data, unfit, cases)
    together.tell()
    assert system is not None
    return PreparedRecipe(audit, system, cases, plan, unfit)


def _cases(audit: Audit, system: TrainedSystem, together: Together) -> tuple[dict[str, Case], dict[str, Unfit]]:
    """The cases of all threats that fit the records, and the threats that need not and do not."""
    cases: dict[str, Case] = {}
    unfit: dict[str, Unfit] = {}
    for row in audit.threats:
        with together:
            try:
                cases[row.id] = case_of(audit, system, row)
            except AuditError as error:
                if not _may_be_left_out(audit, row):
                    raise
                told = [line.removeprefix(row.place).lstrip(".: ") for line in error.problems]
                unfit[row.id] = Unfit(row.threat, "; ".join(told))
    return cases, unfit


def _may_be_left_out(audit: Audit, row: ThreatRow) -> bool:
    """Returns whether a threat that does not fit its records may be told as not tested instead of refused.

    It may if it follows from a topology that does not name its records, as it names those that cross a cut, and another
    threat is left.
    """
    others = [one for one in audit.threats if one.derived and hasattr(one.threat, "victims")]
    return row.derived and bool(others) and row not in others
