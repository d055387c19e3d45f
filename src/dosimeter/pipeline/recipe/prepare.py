"""Prepares a validated audit: data, split, design, and all jobs by key, which are known before training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from dosimeter.config.audit import Audit, VariantRow, with_variant
from dosimeter.config.threat_rows import ThreatRow
from dosimeter.families.family import Case
from dosimeter.foundation.errors import AuditError
from dosimeter.foundation.user_code import import_from
from dosimeter.jobs.runners import one_thread
from dosimeter.jobs.store import Store
from dosimeter.pipeline.prepared import Prepared, jobs_of
from dosimeter.pipeline.recipe.chain import check_rows, links_of, try_chains
from dosimeter.pipeline.recipe.data import read_data
from dosimeter.training.defending import DefenseRow
from dosimeter.training.packs import PackJob
from dosimeter.training.preflight import Together, about, check_device, check_sources
from dosimeter.training.system import TrainedSystem

if TYPE_CHECKING:
    from dosimeter.jobs.runners import Workers
    from dosimeter.pipeline.plan import Plan


@dataclass(frozen=True)
class PreparedRecipe(Prepared):
    """An audit with its data read and its jobs listed; nothing is trained yet.

    Attributes:
        audit: the settings.
        system: the chain and its data; the stage at risk is the first that a threat is after.
        cases: the cases by id of their threat.
    """

    audit: Audit
    system: TrainedSystem
    cases: Mapping[str, Case]

    @property
    def door(self) -> str:
        """Implements `Prepared`."""
        return "recipe"

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
                system = _system(audit, self.system)
                own = PreparedRecipe(audit, system, {one.id: _case(audit, system, one) for one in audit.threats})
                _ = own.key  # what a job cannot be asked for is told now
            found.append((row, own))
        return tuple(found)

    def about(self) -> dict[str, Any]:
        """Implements `Prepared`."""
        from dosimeter.pipeline.recipe.summary import about_recipe

        return about_recipe(self)

    def origin(self) -> dict[str, Any]:
        """Implements `Prepared`."""
        risky = self.packs[self.system.index]
        return {
            "data_sha256": self.system.at_risk.fingerprint,
            "hashed": risky.definition,
            "sources": {link.name: link.sources for link in self.system.links if link.sources},
        }

    def plan(self, workers: Workers | int | None) -> Plan:
        """Implements `Prepared`."""
        from dosimeter.pipeline.recipe.plan import make_plan

        return make_plan(self, workers=workers)

    def seconds_left(self, workers: Workers | int | None) -> float | None:
        """Implements `Prepared`."""
        from dosimeter.pipeline.recipe.plan import seconds_left

        return seconds_left(self, workers=workers)


def prepare(audit: Audit, *, store: Store, device: str = "cpu") -> PreparedRecipe:
    """Reads the data, draws what the threats draw, builds one model of each stage, and finds all that is wrong.

    Args:
        audit: the settings.
        store: the cache.
        device: "cpu", "cuda", "cuda:1", "mps" ...

    Raises:
        AuditError: every problem found, one line each.
    """
    import_from(audit.base)
    together = Together()
    with together:
        check_device(device)
    data, test = read_data(audit, together)
    known = all(own is not None or stage.given for own, stage in zip(data, audit.stages, strict=True))
    links = links_of(audit, data) if known else ()
    before = len(together.errors)
    for link in links:
        with together:
            check_sources(link)
    sound = len(together.errors) == before
    with together:
        check_rows(audit, data)
    cases: dict[str, Case] = {}
    system = None
    if known:
        samples, sources = tuple(one.sample for one in audit.stages), tuple(one.data for one in audit.stages)
        system = TrainedSystem(
            store, device, audit.seed, links, data, test, audit.at_risk, samples, sources, audit.defenses
        )
        for row in audit.threats:
            with together:
                cases[row.id] = _case(audit, system, row)
    if cases and sound:
        with one_thread():
            first = min(audit.threats, key=audit.index_of)
            records = cases[first.id].records() if first.id in cases else 2
            try_chains(audit, links, data, records, together)
    together.tell()
    assert system is not None
    return PreparedRecipe(audit, system, cases)


def _system(audit: Audit, base: TrainedSystem) -> TrainedSystem:
    """The chain of another audit on the same data."""
    return replace(
        base,
        links=links_of(audit, base.data),
        samples=tuple(stage.sample for stage in audit.stages),
        defenses=audit.defenses,
    )


def _case(audit: Audit, system: TrainedSystem, row: ThreatRow) -> Case:
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
