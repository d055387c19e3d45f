"""A chain that is trained here, with its data read and its jobs listed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from dosimeter.config.audit import Audit, VariantRow, with_variant
from dosimeter.config.stages.leg_audits import split
from dosimeter.config.threat_rows import ThreatRow
from dosimeter.families.derived import Unfit
from dosimeter.families.family import Case
from dosimeter.foundation.errors import AuditError
from dosimeter.pipeline.prepared import Prepared, jobs_of
from dosimeter.pipeline.recipe.chain import links_of
from dosimeter.pipeline.recipe.topology import TopologyPlan, read_topology, whole_plan
from dosimeter.training.defending import DefenseRow
from dosimeter.training.packs import PackJob
from dosimeter.training.preflight import about
from dosimeter.training.system import TrainedSystem

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class PreparedRecipe(Prepared):
    """An audit with its data read and its jobs listed; nothing is trained yet.

    Attributes:
        audit: the settings.
        system: the chain and its data; the stage at risk is the first that a threat is after.
        cases: the cases by id of their threat.
        topology: what the audit's topology means; None without one.
        unfit: threats that follow from it and do not fit the records, by id.
        legs: the single chains where joint stages branch off, each an audit of its own threats; `system` is that of
            the first. Empty where there is one chain.
        unasked: what the topology means for chains of which no threat asks.
    """

    audit: Audit
    system: TrainedSystem
    cases: Mapping[str, Case]
    topology: TopologyPlan | None = None
    unfit: Mapping[str, Unfit] = field(default_factory=dict)
    legs: tuple[PreparedRecipe, ...] = ()
    unasked: tuple[TopologyPlan, ...] = ()

    @property
    def chains(self) -> tuple[PreparedRecipe, ...]:
        """The single chains; the audit itself where there is one."""
        return self.legs or (self,)

    @property
    def door(self) -> str:
        """Implements `Prepared`."""
        return "recipe"

    @property
    def more_key(self) -> Mapping[str, Any]:
        """Implements `Prepared`: the result says of every row of the topology whether it was tested."""
        if self.topology is None or self.topology.topology is None:
            return {}
        return {
            "topology": self.topology.topology.settings(),
            "unfit": {name: one.reason for name, one in self.unfit.items()},
        }

    @property
    def case(self) -> Any:
        """The first case."""
        return next(iter(self.cases.values()))

    @cached_property
    def packs(self) -> Mapping[int, PackJob]:
        """For each stage that is trained, the first job that trains it."""
        found: dict[int, PackJob] = {}
        for job in jobs_of(self.cases):
            if isinstance(job, PackJob):
                found.setdefault(len(job.links) - 1, job)
        return found

    @cached_property
    def variants(self) -> tuple[tuple[DefenseRow | VariantRow, PreparedRecipe], ...]:
        """Implements `Prepared`: same data, splits, matrices and seeds."""
        found = []
        for row in self.audit.variants:
            with about(f"variant {row.id!r}" if isinstance(row, VariantRow) else "defense"):
                audit = with_variant(self.audit, row)
                audit = replace(audit, threats=tuple(one for one in audit.threats if one.id not in self.unfit))
                legs = [_changed(one, base) for (_, one), base in zip(split(audit), self.chains, strict=True)]
                own = joined(audit, legs, self.unasked)
                _ = own.key  # what a job cannot be asked for is told now
            found.append((row, own))
        return tuple(found)

    def origin(self) -> dict[str, Any]:
        """Implements `Prepared`."""
        risky = self.packs.get(self.system.index)  # a family may need no trained model
        return {
            "data_sha256": self.system.at_risk.fingerprint,
            **({} if risky is None else {"hashed": risky.definition}),
            "sources": {link.name: link.sources for one in self.chains for link in one.system.links if link.sources},
        }


def joined(
    audit: Audit, legs: Sequence[PreparedRecipe], unasked: Sequence[TopologyPlan] = ()
) -> PreparedRecipe:  # fmt: skip
    """One prepared audit of its chains; of a single one that one itself.

    Args:
        audit: the whole file.
        legs: its chains.
        unasked: what the topology means for chains of which no threat asks.
    """
    first = legs[0]
    if len(legs) == 1 and first.audit.stages == audit.stages:
        if first.audit.variants != audit.variants:  # a chain on its own has none; those of the file are of this one
            first = replace(first, audit=replace(first.audit, variants=audit.variants))
        return first
    cases = {name: case for one in legs for name, case in one.cases.items()}
    rows = tuple(row for row in audit.threats if row.id in cases)
    ordered = {row.id: cases[row.id] for row in rows}
    plans = [*(one.topology for one in legs if one.topology is not None), *unasked]
    unfit = {name: reason for one in legs for name, reason in one.unfit.items()}
    whole = whole_plan(plans, audit.topology) if plans else None
    return PreparedRecipe(
        replace(audit, threats=rows), first.system, ordered, whole, unfit, tuple(legs), tuple(unasked)
    )  # fmt: skip


def _changed(audit: Audit, base: PreparedRecipe) -> PreparedRecipe:
    """One chain of a variant, on the same data as the chain that it changes."""
    system = system_of(audit, base.system)
    cases = {one.id: case_of(audit, system, one) for one in audit.threats}
    plan = None if base.topology is None else read_topology(audit, system.links, system.data, base.unfit, cases)
    return PreparedRecipe(audit, system, cases, plan, base.unfit)


def system_of(audit: Audit, base: TrainedSystem) -> TrainedSystem:
    """The chain of another audit on the same data."""
    return replace(
        base,
        links=links_of(audit, base.data),
        samples=tuple(stage.sample for stage in audit.stages),
        defenses=audit.defenses,
        joint=None if base.joint is None else replace(base.joint, alignment=audit.stages[-1].alignment),
    )


def case_of(audit: Audit, system: TrainedSystem, row: ThreatRow) -> Case:
    """One threat on the chain.

    Raises:
        AuditError: it does not fit; of several threats, with its place.
    """
    try:
        return row.family.case(replace(system, index=audit.index_of(row)), row.threat, row.attacks)
    except AuditError as error:
        if row.place == "threat":
            raise
        told = [line.replace("threat", row.place, 1) if line.startswith("threat") else line for line in error.problems]
        raise type(error)(*told) from error
