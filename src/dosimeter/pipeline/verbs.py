"""The verbs in order: plan, run, measure, report. Each reads the output of the ones before it."""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dosimeter.config.audit import AnyAudit
from dosimeter.data.entries import data_key, save_data
from dosimeter.families.family import Case
from dosimeter.foundation.package import __version__
from dosimeter.foundation.user_code import report_user_errors
from dosimeter.jobs.carried import carry_functions
from dosimeter.jobs.housekeeping import lease, make_room
from dosimeter.jobs.job import ensure
from dosimeter.jobs.remote_store import open_store
from dosimeter.jobs.runners import Workers, make_runner, one_thread
from dosimeter.jobs.store import canonical, write_text
from dosimeter.pipeline import variants
from dosimeter.pipeline.doors import about, plan_of, prepare_audit, time_left
from dosimeter.pipeline.durations import work_of
from dosimeter.pipeline.execution import Execution, Progress
from dosimeter.pipeline.page import close_run
from dosimeter.pipeline.plan import Plan
from dosimeter.pipeline.prepared import Prepared, jobs_of, require_attacks
from dosimeter.pipeline.progress import Display, interruptible, show_progress
from dosimeter.pipeline.run_folder import FORMAT, case_folder, check_folder, read_run
from dosimeter.pipeline.whole_result import whole_result
from dosimeter.results.rounding import round_numbers

logger = logging.getLogger(__name__)


def plan(
    audit: AnyAudit,
    *,
    store: Path | str,
    device: str = "cpu",
    workers: Workers | int | None = None,
    trust_pickle: bool = False,
) -> Plan:
    """The plan of `run`; trains nothing.

    Raises:
        AuditError: all that can be found without training.
    """
    prepared = prepare_audit(audit, store=open_store(store), device=device, trust_pickle=trust_pickle)
    return plan_of(prepared, workers)


@interruptible((), None)
@report_user_errors()
def run(
    audit: AnyAudit,
    out: Path,
    *,
    store: Path | str | None = None,
    device: str = "cpu",
    workers: Workers | int | None = None,
    progress: Progress | None = None,
    trust_pickle: bool = False,
    disk_cap: int | None = None,
) -> Path:  # eight parameters, because each is an option of the command line
    """Trains, observes, attacks, measures and writes the report; continues where an interrupted run stopped.

    Args:
        audit: the settings.
        out: the run's folder.
        store: the cache, a folder or a URL; `out`'s neighbour `.store` unless given.
        device: device on which models are trained.
        workers: who does the jobs, or a number of processes; None for one per core.
        progress: called with (phase, done, total); unless given, bars with the time left on a terminal, else nothing.
        trust_pickle: whether a supplied file that can run code may be loaded.
        disk_cap: bytes that the cache may hold; None for no limit.

    Returns:
        Path of the report.

    Raises:
        AuditError: with a remedy; what was trained stays in the store.
        KeyboardInterrupt: with a note of what is kept.
    """
    with show_progress(progress, workers=workers, device=device) as told:
        execution = Execution(out, store, device, workers, told, disk_cap)
        prepared = prepare_audit(audit, store=execution.open(), device=device, trust_pickle=trust_pickle)
        return run_prepared(prepared, execution)


def run_prepared(prepared: Prepared, execution: Execution) -> Path:
    """Runs an audit, and then each of its variants in a folder below.

    Raises:
        AuditError: with a remedy; what was trained stays in the store.
    """
    started, audit, store = time.time(), prepared.audit, prepared.system.store
    _claim(prepared, execution)
    with lease(store), interruptible(jobs_of(prepared.cases), store):
        if isinstance(execution.progress, Display):
            execution.progress.expect(time_left(prepared, execution.workers))
        # live models are asked before any training of the user's runs, which might change them
        cases = {name: case.begin(execution.progress) for name, case in prepared.cases.items()}
        seconds = _do_jobs(prepared, cases, execution)
        prepared.system.check_unchanged()
        entries = [
            {"id": row.id, "family": row.family.name, **cases[row.id].collect(case_folder(execution.out, row.id))}
            for row in audit.threats
        ]
    tried = variants.try_variants(prepared.variants, lambda name, one: run_prepared(one, execution.below(name)))
    summary = {
        "schema": FORMAT,
        "dosimeter": __version__,
        "audit_key": prepared.key,
        "name": audit.name,
        "seed": audit.seed,
        "leading_fpr": audit.report.leading_fpr,
        "door": prepared.door,
        **about(prepared),
        "threats": entries,
        **tried,
    }
    write_text(execution.out / "run.json", json.dumps(round_numbers(summary), indent=1, sort_keys=True))
    start = time.perf_counter()
    measure(execution.out, anew=False)
    seconds["measure"] = round(time.perf_counter() - start, 2)
    more = {"seed": audit.seed, "audit_key": prepared.key, "work": work_of(cases), **prepared.origin()}
    execution.progress("report", 0, 1)
    path = close_run(
        execution.out, base=audit.base, device=execution.device, started=started, seconds=seconds, more=more
    )
    execution.progress("report", 1, 1)
    return path


def _claim(prepared: Prepared, execution: Execution) -> None:
    """Claims the run's folder for this audit."""
    settings = prepared.audit.settings()
    check_folder(execution.out, prepared.key, settings)
    require_attacks(prepared)
    write_text(execution.out / "audit_key", prepared.key + "\n")
    write_text(execution.out / "audit.json", json.dumps(round_numbers(settings), indent=1, sort_keys=True))


def _do_jobs(prepared: Prepared, cases: Mapping[str, Case], execution: Execution) -> dict[str, float]:
    """Saves the data and does the missing jobs of each case, phase by phase; returns the seconds of each phase."""
    store, seconds = prepared.system.store, dict[str, float]()
    phases = [
        (phase if len(cases) == 1 else f"{name}: {phase}", todo)
        for name, case in cases.items()
        for phase, todo in case.phases()
    ]
    data = {data_key(dataset): dataset for case in cases.values() for dataset in case.datasets()}
    keys = [*data, *(job.key for _, todo in phases for job in todo)]
    store.sweep()
    apart = prepared.fit is not None
    with (
        carry_functions(prepared.fit),
        contextlib.closing(make_runner(execution.workers, execution.device, store, apart=apart)) as runner,
    ):
        for key in keys:
            store.touch(key)
        for dataset in data.values():
            save_data(dataset, store)
        for phase, todo in phases:
            if todo:
                start = time.perf_counter()
                made = ensure(todo, runner, functools.partial(execution.progress, phase))
                seconds[phase] = round(time.perf_counter() - start, 2)
                logger.info("%s: %d of %d made, %.1f s", phase, made, len(todo), seconds[phase])
            if execution.disk_cap is not None:
                make_room(store, execution.disk_cap, keys)
    return seconds


def measure(folder: Path, *, anew: bool = True) -> dict[str, Any]:
    """Computes `result.json` and the tables of scores again from evidence and truth; trains nothing.

    Args:
        folder: folder of a finished run.
        anew: whether the variants are measured again too.

    Returns:
        The content of `result.json`.
    """
    left = read_run(folder)
    for place in variants.folders(folder, left.summary) if anew else ():
        measure(place)
    with one_thread():  # so that sums do not depend on the number of cores
        content: dict[str, Any] = round_numbers(whole_result(left, folder))
    write_text(folder / "result.json", canonical(content) + "\n")
    return content
