"""The doors by which a model comes: trained here, supplied, or recorded. Only this file asks which one it is."""

from __future__ import annotations

from typing import Any

from dosimeter.config.audit import AnyAudit, SuppliedAudit
from dosimeter.config.recorded import RecordedAudit
from dosimeter.jobs.runners import Workers
from dosimeter.jobs.store import Store
from dosimeter.pipeline.plan import Plan
from dosimeter.pipeline.prepared import Prepared
from dosimeter.pipeline.recipe.plan import make_plan, seconds_left
from dosimeter.pipeline.recipe.prepare import prepare
from dosimeter.pipeline.recipe.prepared import PreparedRecipe
from dosimeter.pipeline.recipe.summary import about_recipe
from dosimeter.pipeline.supplied.plan import plan_supplied, supplied_seconds_left
from dosimeter.pipeline.supplied.prepare import prepare_supplied, read_supplied
from dosimeter.pipeline.supplied.prepared import PreparedSupplied
from dosimeter.pipeline.supplied.summary import about_supplied
from dosimeter.pipeline.transcript.prepared import (
    PreparedRecorded,
    about_recorded,
    plan_recorded,
    prepare_recorded,
    read_recorded,
    recorded_seconds_left,
)


def prepare_audit(audit: AnyAudit, *, store: Store, device: str, trust_pickle: bool) -> Prepared:
    """An audit with its data read.

    Raises:
        AuditError: every problem found, one line each.
    """
    if isinstance(audit, SuppliedAudit):
        return prepare_supplied(read_supplied(audit, trust_pickle=trust_pickle), store=store, device=device)
    if isinstance(audit, RecordedAudit):
        return prepare_recorded(read_recorded(audit), store=store, device=device)
    return prepare(audit, store=store, device=device)


def plan_of(prepared: Prepared, workers: Workers | int | None) -> Plan:
    """What a run would do and cost; trains nothing."""
    if isinstance(prepared, PreparedSupplied):
        return plan_supplied(prepared)
    if isinstance(prepared, PreparedRecorded):
        return plan_recorded(prepared)
    assert isinstance(prepared, PreparedRecipe)
    return make_plan(prepared, workers=workers)


def time_left(prepared: Prepared, workers: Workers | int | None) -> float | None:
    """Rough duration of a run that is about to begin; None if it cannot be told."""
    if isinstance(prepared, PreparedSupplied):
        return supplied_seconds_left(prepared)
    if isinstance(prepared, PreparedRecorded):
        return recorded_seconds_left()
    assert isinstance(prepared, PreparedRecipe)
    return seconds_left(prepared, workers=workers)


def about(prepared: Prepared) -> dict[str, Any]:
    """What `run.json` says of the run: `noun` and `chain`."""
    if isinstance(prepared, PreparedSupplied):
        return about_supplied(prepared)
    if isinstance(prepared, PreparedRecorded):
        return about_recorded(prepared)
    assert isinstance(prepared, PreparedRecipe)
    return about_recipe(prepared)
