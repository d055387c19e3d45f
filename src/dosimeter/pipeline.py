"""The verbs in order: plan, run, measure, report. Each reads what stands to its left and writes to its right."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import functools
import json
import logging
import os
import platform
import subprocess
import time
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from threadpoolctl import threadpool_limits

from dosimeter._version import __version__
from dosimeter.config import Audit
from dosimeter.engagement import Evidence, engage
from dosimeter.errors import StoreError
from dosimeter.fleet import Job, ensure, membership_matrix
from dosimeter.games import Array, Truth
from dosimeter.observe import Observations, gather
from dosimeter.planning import Plan, make_plan, refusal, require_attack
from dosimeter.preparation import Prepared, prepare, save_data
from dosimeter.results import Material, result, rounded
from dosimeter.runners import make_runner
from dosimeter.store import canonical, write_text, writing
from dosimeter.validity import Gate, saturation

logger = logging.getLogger(__name__)
Progress = Callable[[str, int, int], None]
STORE = ".store"


def silent(phase: str, done: int, total: int) -> None:
    """The progress that shows nothing."""


def plan(audit: Audit, *, store: Path, device: str = "cpu", workers: int | None = None) -> Plan:
    """What `run` would do; trains nothing.

    Raises:
        AuditError: all that can be found without training.
    """
    return make_plan(prepare(audit, store=store, device=device), workers=workers)


def run(
    audit: Audit,
    out: Path,
    *,
    store: Path | None = None,
    device: str = "cpu",
    workers: int | None = None,
    progress: Progress = silent,
) -> Path:
    """Train, observe, attack, measure and write the report; continues where an interrupted run stopped.

    Args:
        audit: the settings.
        out: the run's folder.
        store: the cache; `out`'s neighbour `.store` unless given.
        device: where models are trained.
        workers: processes; None for one per core.
        progress: called with (phase, done, total).

    Returns:
        Path of the report.

    Raises:
        AuditError: with a remedy; what was trained stays in the store.
    """
    started = time.time()
    prepared = prepare(audit, store=store or out.parent / STORE, device=device)
    check_folder(out, prepared.key)
    require_attack(prepared)
    write_text(out / "audit_key", prepared.key + "\n")
    write_text(out / "audit.json", json.dumps(audit.settings(), indent=1, sort_keys=True))
    seconds = train(prepared, workers=workers, progress=progress)
    start = time.perf_counter()
    attack(prepared, out, progress)
    seconds["attacks"] = round(time.perf_counter() - start, 2)
    measure(out)
    provenance = _provenance(prepared, started, seconds)
    write_text(out / "provenance.json", json.dumps(provenance, indent=1, sort_keys=True))
    progress("report", 0, 1)
    path = report(out)
    progress("report", 1, 1)
    return path


def check_folder(out: Path, key: str) -> None:
    """Refuse a folder that holds another audit or anything else.

    Raises:
        StoreError: it does, or it cannot be read.
    """
    marker = out / "audit_key"
    try:
        found = marker.read_text(encoding="utf-8").strip() if marker.is_file() else None
        held = [path for path in out.iterdir() if not path.name.startswith(".")] if out.is_dir() else [out]
        other = found is None and out.exists() and bool(held)  # drafts of an interrupted run begin with a dot
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{out}: must be a folder that can be read, got {type(error).__name__}: choose another --out"
        ) from error
    if found is not None:
        if found != key:
            raise StoreError(
                f"{out}: holds another audit (key {found}, this one has {key}): choose another folder with --out or "
                f"another `name`, or delete it"
            )
    elif other:
        raise StoreError(f"{out}: must be a new or empty folder or an earlier run of this audit: choose another --out")


def train(prepared: Prepared, *, workers: int | None, progress: Progress) -> dict[str, float]:
    """Make every cached thing that is missing; returns the seconds of each phase."""
    jobs, store = prepared.jobs, prepared.store
    store.sweep()
    for dataset in (*prepared.data, prepared.test):
        if dataset is not None:
            save_data(dataset, store)

    phases: list[tuple[str, Sequence[Job]]] = [(f"stage {job.links[-1].name}", [job]) for job in jobs.common]
    phases += [("features", jobs.features), ("models", jobs.packs), ("queries", jobs.observations)]
    seconds: dict[str, float] = {}
    with contextlib.closing(make_runner(workers, prepared.device)) as runner:
        for phase, todo in phases:
            if todo:
                start = time.perf_counter()
                made = ensure(todo, runner, functools.partial(progress, phase))
                seconds[phase] = round(time.perf_counter() - start, 2)
                logger.info("%s: %d of %d made, %.1f s", phase, made, len(todo), seconds[phase])
    return seconds


def attack(prepared: Prepared, out: Path, progress: Progress) -> None:
    """Write the games, the truth, and the evidence of every attack that is not refused."""
    design, audit = prepared.design, prepared.audit
    observations = gather(prepared.jobs.observations)
    null = membership_matrix(len(prepared.split.pool), len(design.member), audit.seed, purpose="null membership")
    null_member = null[:, prepared.split.candidates]
    _save(out / "games" / "outputs.npz", dict(observations.signals))
    _save(out / "truth" / "truth.npz", _truth_arrays(prepared, observations, null_member))
    rows = audit.attacks
    listed: list[dict[str, Any]] = []
    for index, row in enumerate(rows):
        progress("attacks", index, len(rows))
        refused = refusal(row, prepared)
        if not refused:
            with threadpool_limits(1):
                evidence = engage(row, design, observations, null_member=null_member, seed=audit.seed)
            _save(out / "evidence" / f"{len(listed):02d}.npz", dataclasses.asdict(evidence))
        listed.append(
            {
                "id": row.id,
                "name": type(row.attack).__name__,
                "mode": getattr(row.attack, "mode", None),
                "paper": row.attack.paper,
                "control": row.attack.control,
                "settings": row.settings,
                "status": "refused" if refused else "ok",
                "reason": refused,
            }
        )
    progress("attacks", len(rows), len(rows))
    gate = saturation(observations.signals, audit.threat.granted)
    summary = {**_summary(prepared), "attacks": listed, "saturation": dataclasses.asdict(gate)}
    write_text(out / "run.json", json.dumps(rounded(summary), indent=1, sort_keys=True))


def _save(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write arrays without pickle under a temporary name and rename."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}")
        with draft.open("wb") as file:
            np.savez(file, **arrays)
        draft.replace(path)


def _truth_arrays(prepared: Prepared, observations: Observations, null_member: Array) -> dict[str, Array]:
    """What the auditor knows, as arrays."""
    design, targets = prepared.design, prepared.design.targets
    arrays = {
        "ids": np.asarray(design.ids).astype(str),
        "member": design.member[:targets],
        "null_member": null_member[:targets],
        "record": design.record,
        "rehearsal_in": design.member[design.rehearsal_rows],
        "correct": observations.correct[:targets],
    }
    if observations.test_correct is not None:
        arrays["test_correct"] = observations.test_correct[:targets]
    return arrays


def _summary(prepared: Prepared) -> dict[str, Any]:
    """What measuring and reporting need to know of the audit, beside arrays."""
    audit, dataset, design = prepared.audit, prepared.at_risk, prepared.design
    owners = {"persons": dataset.persons, "groups": dataset.groups}
    count = {name: None if values is None else len(np.unique(values)) for name, values in owners.items()}
    chain = []
    for index, (stage, link) in enumerate(zip(audit.stages, prepared.links, strict=False)):
        settings = {**dataclasses.asdict(link.hyperparameters), "options": dict(link.options)}
        if stage.given:
            settings = {"weights": stage.weights, "options": dict(link.options)}
        elif stage.fit:
            settings = {"fit": stage.fit, "options": dict(link.options)}
        chain.append(
            {
                "stage": stage.name,
                "data": stage.data,
                "model": stage.model,
                "transfer": "given" if stage.given else stage.transfer,
                "given": stage.given,
                "at_risk": index == audit.at_risk,
                "settings": settings,
            }
        )
    return {
        "schema": 1,
        "audit_key": prepared.key,
        "name": audit.name,
        "seed": audit.seed,
        "noun": audit.report.noun or dataset.noun,
        "leading_fpr": audit.report.leading_fpr,
        "data": {
            "name": audit.stages[audit.at_risk].data,
            "records": len(dataset),
            "candidates": len(design.ids),
            "population": len(prepared.split.population),
            "classes": len(dataset.classes),
            "members_per_target": len(prepared.split.pool) // 2,
            **count,
        },
        "chain": chain,
        "threat": {
            "at_risk": audit.stages[audit.at_risk].name,
            "access": audit.threat.access,
            "shadows": audit.threat.shadows,
            "targets": audit.threat.targets,
            "population": len(prepared.split.population),
            "views": list(audit.views),
        },
    }


def _provenance(prepared: Prepared, started: float, seconds: Mapping[str, float]) -> dict[str, Any]:
    """Times, hosts and versions: what may differ between two runs that give the same result."""
    names = ("dosimeter", "torch", "numpy", "scipy", "scikit-learn", "pydantic", "pyarrow", "safetensors")
    versions = {name: metadata.version(name) for name in names if name != "dosimeter"}
    return {
        "versions": {"dosimeter": __version__, "python": platform.python_version(), **versions},
        "git": _revision(prepared.audit.base),
        "started": datetime.datetime.fromtimestamp(started, datetime.UTC).isoformat(timespec="seconds"),
        "seconds": {**seconds, "total": round(time.time() - started, 2)},
        "hardware": {
            "machine": platform.machine(),
            "system": platform.system(),
            "cores": os.cpu_count(),
            "device": prepared.device,
        },
        "seed": prepared.audit.seed,
        "audit_key": prepared.key,
        "data_sha256": prepared.at_risk.fingerprint,
        "hashed": prepared.jobs.packs[-1].definition,
        "sources": {link.name: link.sources for link in prepared.links if link.sources},
    }


def _revision(folder: Path) -> str | None:
    """The git revision of the folder of the audit file, if it is in a repository."""
    try:
        found = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() or None


def load_material(folder: Path) -> Material:
    """Read what a finished run left for measuring.

    Raises:
        StoreError: the run is not finished, or its files cannot be read.
    """
    path = folder / "run.json"
    if not path.is_file():
        raise StoreError(f"{folder}: holds no finished run (no run.json): `dosimeter run` makes or finishes one")
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
        arrays = _arrays(folder / "truth" / "truth.npz")
        evidence = {}
        for index, listed in enumerate(summary["attacks"]):
            if listed["status"] == "ok":
                evidence[str(listed["id"])] = Evidence(**_arrays(folder / "evidence" / f"{index:02d}.npz"))
        return Material(
            summary=summary,
            truth=Truth(arrays["ids"], arrays["member"], arrays["record"]),
            rehearsal_in=arrays["rehearsal_in"],
            null_truth=Truth(arrays["ids"], arrays["null_member"], arrays["record"]),
            evidence=evidence,
            correct=arrays["correct"],
            test_correct=arrays.get("test_correct"),
            saturation=Gate(**summary["saturation"]),
        )
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise StoreError(f"{folder}: is damaged ({type(error).__name__}: {error}): run the audit again") from error


def _arrays(path: Path) -> dict[str, Array]:
    """The arrays of an npz, read whole; the file is closed even if it is damaged."""
    with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def measure(folder: Path) -> dict[str, Any]:
    """Compute `result.json` and `scores.parquet` anew from evidence and truth; trains nothing.

    Args:
        folder: of a finished run.

    Returns:
        The content of `result.json`.
    """
    material = load_material(folder)
    with threadpool_limits(1):  # so that sums do not depend on the number of cores
        content: dict[str, Any] = rounded(result(material))
    _write_scores(folder / "scores.parquet", material)
    write_text(folder / "result.json", canonical(content) + "\n")
    return content


def _write_scores(path: Path, material: Material) -> None:
    """One row per attack, target and record."""
    targets, n = material.truth.is_member.shape
    tables = [
        pa.table(
            {
                "attack": pa.array([attack] * (targets * n)).dictionary_encode(),
                "target": np.repeat(np.arange(targets, dtype=np.int32), n),
                "id": np.tile(material.truth.ids, targets),
                "score": evidence.scores.ravel(),
                "is_member": material.truth.is_member.ravel(),
            }
        )
        for attack, evidence in material.evidence.items()
    ]
    if tables:
        with writing(path):
            draft = path.with_name(f".{path.name}")
            pq.write_table(pa.concat_tables(tables).unify_dictionaries(), draft)
            draft.replace(path)


def report(folder: Path) -> Path:
    """Write `report.html` anew from `result.json`; computes nothing."""
    from dosimeter.report.render import write_report  # Matplotlib takes a second to load

    try:
        return write_report(folder)
    except StoreError as error:
        raise StoreError(*[f"{folder}: {problem}" for problem in error.problems]) from error
