"""Prepares a validated audit: data, split, design, and all jobs by key, which are known before training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dosimeter.config.audit import Audit
from dosimeter.families.family import Case
from dosimeter.foundation.user_code import import_from
from dosimeter.jobs.runners import one_thread
from dosimeter.jobs.store import Store
from dosimeter.pipeline.recipe.chain import check_rows, links_of, try_chains
from dosimeter.pipeline.recipe.data import read_data
from dosimeter.pipeline.recipe.prepared import PreparedRecipe, case_of
from dosimeter.training.preflight import Together, check_device, check_sources
from dosimeter.training.system import TrainedSystem

if TYPE_CHECKING:
    pass


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
                cases[row.id] = case_of(audit, system, row)
    if cases and sound:
        with one_thread():
            first = min(audit.threats, key=audit.index_of)
            records = cases[first.id].records() if first.id in cases else 2
            try_chains(audit, links, data, records, together)
    together.tell()
    assert system is not None
    return PreparedRecipe(audit, system, cases)
