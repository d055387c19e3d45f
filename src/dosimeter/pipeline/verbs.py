"""The verbs in order: plan, run, measure, report. Each reads the output of the ones before it."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dosimeter.config.audit import Audit, SuppliedAudit
from dosimeter.data import Dataset
from dosimeter.data.duplicates import contents
from dosimeter.data.entries import data_key, save_data
from dosimeter.data.gates import copies
from dosimeter.families.attack import NamedAttack
from dosimeter.families.membership.gates.numbers import saturation
from dosimeter.families.membership.gates.supplied import gates_before, judge_blindly, supplied_null
from dosimeter.families.membership.holdings import recipe_holdings, supplied_holdings
from dosimeter.families.membership.measures.material import Material
from dosimeter.families.membership.play import Played, play_attack
from dosimeter.families.membership.play_canaries import judge_canaries
from dosimeter.families.membership.refusals import Offer, offer, refusal, require_attack, supplied_offer
from dosimeter.families.membership.stored import BLIND, material_of, save_game, write_exposure, write_scores
from dosimeter.foundation.errors import StoreError
from dosimeter.foundation.gate import Gate
from dosimeter.foundation.provenance import provenance
from dosimeter.foundation.user_code import users_errors_told
from dosimeter.jobs import runners
from dosimeter.jobs.arrays import save_arrays
from dosimeter.jobs.carried import carry_functions
from dosimeter.jobs.housekeeping import lease, make_room
from dosimeter.jobs.job import Job, ensure
from dosimeter.jobs.remote_store import open_store
from dosimeter.jobs.runners import Workers, make_runner, one_thread
from dosimeter.jobs.store import Store, canonical, write_text
from dosimeter.pipeline import variants
from dosimeter.pipeline.execution import Execution, Progress
from dosimeter.pipeline.plan import Plan, make_plan, seconds_left
from dosimeter.pipeline.plan_supplied import plan_supplied, supplied_seconds_left
from dosimeter.pipeline.progress import Display, interruptible, show_progress
from dosimeter.pipeline.recipe.prepare import Prepared, prepare
from dosimeter.pipeline.run_folder import check_folder, read_run
from dosimeter.pipeline.summary import recipe_summary, supplied_summary
from dosimeter.pipeline.supplied.prepare import prepare_supplied, read_supplied
from dosimeter.pipeline.supplied.prepared import Supplied
from dosimeter.pipeline.whole_result import whole_result
from dosimeter.results.rounding import round_numbers

logger = logging.getLogger(__name__)


def plan(
    audit: Audit | SuppliedAudit,
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
    cache = open_store(store)
    if isinstance(audit, SuppliedAudit):
        supplied = read_supplied(audit, trust_pickle=trust_pickle)
        return plan_supplied(prepare_supplied(supplied, store=cache, device=device))
    prepared = prepare(audit, store=cache, device=device)
    return make_plan(prepared, workers=runners.workers_for(workers, device, cache))


@interruptible((), None)
@users_errors_told()
def run(
    audit: Audit | SuppliedAudit,
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
        place = Execution(out, store, device, workers, told, disk_cap)
        if isinstance(audit, SuppliedAudit):
            return run_supplied(read_supplied(audit, trust_pickle=trust_pickle), place)
        return _recipe(prepare(audit, store=place.open(), device=device), place)


def _recipe(prepared: Prepared, place: Execution) -> Path:
    """Runs a recipe, and then each of its variants in a folder below."""
    started, audit, given = time.time(), prepared.audit, offer(prepared.case)
    _open(place, prepared.key, audit.settings(), audit.attacks, given)
    with lease(prepared.system.store), interruptible(prepared.case.jobs.everything, prepared.system.store):
        if isinstance(place.progress, Display):
            place.progress.expect(
                seconds_left(prepared, workers=runners.workers_for(place.workers, place.device, prepared.system.store))
            )
        seconds = _train(prepared, place)
        start = time.perf_counter()
        observations, knowledge = prepared.case.jobs.gathered(), recipe_holdings(prepared.case)
        design, null = prepared.case.design, prepared.case.null_matrix
        play = _plays(place, design, observations, null, audit.seed, knowledge)
        listed = _attack(audit.attacks, given, play, place)
        for row, one in zip(audit.attacks, listed, strict=True):
            one["settings"] = row.settings_for(prepared.system.links[-1].classes)
        judge_canaries(prepared.case, listed, place.out)
    seconds["attacks"] = round(time.perf_counter() - start, 2)
    tried = variants.try_variants(prepared.variants, lambda name, one: _recipe(one, place.below(name)))
    gates = [saturation(observations.signals, audit.threat.granted), _copies(prepared)]
    _finish(recipe_summary(prepared) | tried, listed, gates, place)
    more = {
        "seed": audit.seed,
        "audit_key": prepared.key,
        "data_sha256": prepared.system.at_risk.fingerprint,
        "hashed": prepared.case.jobs.packs[-1].definition,
        "sources": {link.name: link.sources for link in prepared.system.links if link.sources},
    }
    return close_run(place, audit.base, started, seconds, more)


def _copies(prepared: Prepared) -> Gate:
    """P9: judged records that occur more than once, or also in another stage's data."""
    judged = prepared.system.at_risk.inputs[prepared.case.split.pool[prepared.case.split.candidates]]
    others = {
        f"stage {stage.name}": own for stage, own in zip(prepared.audit.stages, prepared.system.data, strict=True)
    }
    del others[f"stage {prepared.audit.stages[prepared.audit.at_risk].name}"]
    found = {}
    for place, own in others.items():
        if own is not None:
            content = contents(judged, own.inputs)
            found[place] = int(np.isin(content[: len(judged)], content[len(judged) :]).sum())
    return copies(contents(judged), found)


def run_supplied(supplied: Supplied, place: Execution) -> Path:
    """Audits a supplied model: trains shadows with the user's `fit`, queries, attacks, measures, reports.

    Raises:
        AuditError: with a remedy; what was trained stays in the store.
    """
    started = time.time()
    prepared = prepare_supplied(supplied, store=place.open(), device=place.device)
    given = supplied_offer(prepared.case)
    _open(place, prepared.key, supplied.settings, supplied.attacks, given)
    with lease(prepared.system.store), interruptible(prepared.case.jobs, prepared.system.store):
        if isinstance(place.progress, Display):
            place.progress.expect(supplied_seconds_left(prepared))
        place.progress("queries", 0, 1)
        asked = prepared.case.ask()  # before any training of the user's runs, which might change the model
        place.progress("queries", 1, 1)
        with carry_functions(supplied.fit):
            seconds = _phases(
                [("shadows", prepared.case.jobs)], [prepared.system.pool], prepared.system.store, place, apart=True
            )
        prepared.system.check_unchanged()
        start = time.perf_counter()
        answers = prepared.case.answers(asked)
        observations = prepared.case.observations(answers)
    null = supplied_null(prepared.case)
    knowledge = supplied_holdings(prepared.case)
    design = prepared.case.design
    play = _plays(place, design, observations, null, supplied.seed, knowledge)
    listed = _attack(supplied.attacks, given, play, place)
    place.progress("blind baseline", 0, 1)
    blind = judge_blindly(prepared.case)
    save_arrays(place.out / BLIND, dataclasses.asdict(blind))
    place.progress("blind baseline", 1, 1)
    gates = gates_before(prepared.case, observations, answers, blind)
    _finish(supplied_summary(prepared), listed, gates, place)
    seconds["attacks"] = round(time.perf_counter() - start, 2)
    more = {
        "seed": supplied.seed,
        "audit_key": prepared.key,
        "data_sha256": prepared.system.pool.fingerprint,
        "target_sha256": prepared.system.adapted.fingerprint,
        "sources": {"fit": dict(prepared.supplied.sources)} if prepared.supplied.sources else {},
        **({"hashed": prepared.case.jobs[-1].definition} if prepared.case.jobs else {}),
    }
    return close_run(place, supplied.base, started, seconds, more)


def _open(place: Execution, key: str, settings: Mapping[str, Any], rows: Sequence[NamedAttack], given: Offer) -> None:
    """Claims the run's folder for this audit."""
    check_folder(place.out, key, settings)
    require_attack(rows, given)
    write_text(place.out / "audit_key", key + "\n")
    write_text(place.out / "audit.json", json.dumps(round_numbers(settings), indent=1, sort_keys=True))


def _train(prepared: Prepared, place: Execution) -> dict[str, float]:
    """Makes all missing entries of a recipe; returns the seconds of each phase."""
    data = [dataset for dataset in (*prepared.system.data, prepared.system.test) if dataset is not None]
    return _phases(prepared.case.jobs.phases, data, prepared.system.store, place)


def _phases(
    phases: Sequence[tuple[str, Sequence[Job]]], data: Sequence[Dataset], store: Store, place: Execution, *,
    apart: bool = False,
) -> dict[str, float]:  # fmt: skip
    """Saves the data and does the missing jobs of each phase in order; `apart` as in `make_runner`."""
    seconds: dict[str, float] = {}
    keys = [*(data_key(dataset) for dataset in data), *(job.key for _, todo in phases for job in todo)]
    store.sweep()
    with contextlib.closing(make_runner(place.workers, place.device, store, apart=apart)) as runner:
        for key in keys:
            store.touch(key)
        for dataset in data:
            save_data(dataset, store)
        for phase, todo in phases:
            if todo:
                start = time.perf_counter()
                made = ensure(todo, runner, functools.partial(place.progress, phase))
                seconds[phase] = round(time.perf_counter() - start, 2)
                logger.info("%s: %d of %d made, %.1f s", phase, made, len(todo), seconds[phase])
            if place.disk_cap is not None:
                make_room(store, place.disk_cap, keys)
    return seconds


def _plays(
    place: Execution, design: Design, observations: Observations, null: Array, seed: int, knowledge: Holdings
) -> Callable[[NamedAttack], Played]:
    """Writes what attacks read, and the truth; returns the function that plays one attack."""
    save_game(place.out, design, observations, null)
    return functools.partial(
        play_attack, design=design, observations=observations, null_member=null, seed=seed, knowledge=knowledge
    )


def _attack(
    rows: Sequence[NamedAttack], given: Offer, play: Callable[[NamedAttack], Played], place: Execution
) -> list[dict[str, Any]]:
    """Stores the evidence of every attack that is not refused; lists all attacks."""
    listed: list[dict[str, Any]] = []
    for index, row in enumerate(rows):
        place.progress("attacks", index, len(rows))
        refused = refusal(row, given)
        if not refused:
            with one_thread():
                played = play(row)
            save_arrays(place.out / "evidence" / f"{len(listed):02d}.npz", dataclasses.asdict(played))
        listed.append(
            {
                "id": row.id,
                "name": type(row.attack).__name__,
                "mode": getattr(row.attack, "mode", None),
                "paper": row.attack.paper,
                "control": row.attack.control,
                **({"reference": True} if getattr(row.attack, "reference", False) else {}),
                "settings": row.settings,
                "status": "refused" if refused else "ok",
                "reason": refused,
            }
        )
    place.progress("attacks", len(rows), len(rows))
    return listed


def _finish(
    summary: Mapping[str, Any], listed: Sequence[Mapping[str, Any]], gates: Sequence[Gate], place: Execution
) -> None:
    """Writes `run.json`, which marks the evidence as complete, and measures."""
    content = {**summary, "attacks": list(listed), "gates": [dataclasses.asdict(gate) for gate in gates]}
    write_text(place.out / "run.json", json.dumps(round_numbers(content), indent=1, sort_keys=True))
    measure(place.out, anew=False)


def close_run(
    place: Execution, base: Path, started: float, seconds: Mapping[str, float], more: Mapping[str, Any]
) -> Path:
    """Writes the origin of the numbers (provenance), and the report."""
    device = None if place.device == "none" else place.device
    content = provenance(base=base, device=device, started=started, seconds=seconds, more=more)
    write_text(place.out / "provenance.json", json.dumps(content, indent=1, sort_keys=True))
    place.progress("report", 0, 1)
    path = report(place.out)
    place.progress("report", 1, 1)
    return path


def measure(folder: Path, *, anew: bool = True) -> dict[str, Any]:
    """Computes `result.json` and `scores.parquet` again from evidence and truth; trains nothing.

    Args:
        folder: folder of a finished run.
        anew: whether the variants are measured again too.

    Returns:
        The content of `result.json`.
    """
    left = read_run(folder)
    for place in variants.folders(folder, left.summary) if anew else ():
        measure(place)
    write_scores(folder / "scores.parquet", left)
    write_exposure(folder / "exposure.parquet", material := material_of(left))
    return write_result(material, folder)


def write_result(material: Material, folder: Path) -> dict[str, Any]:
    """Computes and writes `result.json`, with the figures of the variants that were measured before."""
    with one_thread():  # so that sums do not depend on the number of cores
        content: dict[str, Any] = round_numbers(whole_result(material, folder))
    write_text(folder / "result.json", canonical(content) + "\n")
    return content


def report(folder: Path) -> Path:
    """Writes `report.html` again from `result.json`; computes nothing."""
    from dosimeter.pipeline.page import write_report  # Matplotlib takes a second to load

    try:
        return write_report(folder)
    except StoreError as error:
        raise StoreError(*[f"{folder}: {problem}" for problem in error.problems]) from error
