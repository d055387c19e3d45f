"""Prepares a validated audit: data, split, design, and all jobs by key, which are known before training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from dosimeter.config.audit import Audit, VariantRow, with_variant
from dosimeter.families.membership.case import Case
from dosimeter.families.membership.design.canaries import Canaries, plant
from dosimeter.families.membership.design.design import Design, Split
from dosimeter.families.membership.design.draw import design_of, split_of
from dosimeter.foundation.user_code import import_from
from dosimeter.jobs.runners import one_thread
from dosimeter.jobs.store import Store, key_of
from dosimeter.pipeline.recipe.chain import check_rows, links_of, try_chains
from dosimeter.pipeline.recipe.data import read_data
from dosimeter.training.defending import DefenseRow, answering
from dosimeter.training.preflight import Together, about, check_device, check_sources
from dosimeter.training.system import TrainedSystem


@dataclass(frozen=True)
class Prepared:
    """An audit with its data read and its jobs listed; nothing is trained yet.

    Attributes:
        audit: the settings.
        case: its threat on its chain.
    """

    audit: Audit
    case: Case

    @property
    def system(self) -> TrainedSystem:
        """The chain and its data."""
        return self.case.system

    @cached_property
    def key(self) -> str:
        """The audit's key: equal for runs whose results must be equal."""
        threat = self.audit.threat.model_dump(mode="json")
        new = {"unit": "record", "knows": [], "fold_pairs": 1}  # of which releases without these settings knew nothing
        settings = {
            "seed": self.audit.seed,
            "threat": {key: value for key, value in threat.items() if (key, value) not in new.items()},
            "attacks": [[row.id, row.name, row.settings] for row in self.audit.attacks],
            "report": self.audit.report.model_dump(mode="json"),
            "observations": [job.key for job in self.case.jobs.observations],
            "name": self.audit.name,
        }
        if self.audit.variants:
            settings["variants"] = [[row.id, one.key] for row, one in self.variants]
        return key_of(settings)

    @cached_property
    def variants(self) -> tuple[tuple[DefenseRow | VariantRow, Prepared], ...]:
        """The same audit with each `[[defense]]` or `[[variant]]`: same data, split, matrix and seeds."""
        found = []
        for row in self.audit.variants:
            with about(f"variant {row.id!r}" if isinstance(row, VariantRow) else "defense"):
                audit = with_variant(self.audit, row)
                system = replace(self.system, links=links_of(audit, self.system.data), samples=_samples(audit))
                own = Prepared(audit, _case(audit, system, self.case.split, self.case.design, self.case.canaries))
                _ = own.key  # what a job cannot be asked for is told now
            found.append((row, own))
        return tuple(found)


def prepare(audit: Audit, *, store: Store, device: str = "cpu") -> Prepared:
    """Reads the data, draws the split, builds one model of each stage, and finds all that is wrong.

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
    at_risk = data[audit.at_risk]
    split = None
    if at_risk is not None:
        with together:
            check_rows(audit, data)
        with together:
            split = split_of(audit.threat, audit.seed, at_risk)
    if split is not None and sound:
        with one_thread():
            try_chains(audit, links, data, split, together)
    together.tell()
    assert at_risk is not None
    assert split is not None
    canaries = None
    if audit.spike is not None:
        at_risk, split, canaries = plant(at_risk, split, audit.spike, models=audit.threat.models, seed=audit.seed)
        data = tuple(at_risk if index == audit.at_risk else one for index, one in enumerate(data))
    system = TrainedSystem(store, device, audit.seed, links, data, test, audit.at_risk, _samples(audit))
    design = design_of(audit.threat, audit.seed, at_risk, split)
    return Prepared(audit, _case(audit, system, split, design, canaries))


def _samples(audit: Audit) -> tuple[float, ...]:
    """Share of its records that a model draws, for each stage."""
    return tuple(stage.sample for stage in audit.stages)


def _case(audit: Audit, system: TrainedSystem, split: Split, design: Design, canaries: Canaries | None) -> Case:
    """The audit's threat on its chain."""
    later = audit.defenses[audit.at_risk :]
    return Case(
        system=system,
        threat=audit.threat,
        views=audit.views,
        attacks=audit.attacks,
        answers=answering([row for rows in later for row in rows]),
        defended=bool(later[0]),
        split=split,
        design=design,
        canaries=canaries,
    )
