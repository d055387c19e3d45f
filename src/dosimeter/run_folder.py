"""A run's folder: who may write into it, its arrays, and what a finished run left for measuring."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dosimeter._seeds import generator
from dosimeter._version import __version__
from dosimeter.calibration import Calibration
from dosimeter.canaries import CanaryScores
from dosimeter.crossfit import HALVES, CrossFit, halvings
from dosimeter.engagement import Evidence
from dosimeter.errors import StoreError
from dosimeter.exposure import individuals
from dosimeter.games import Array, Truth
from dosimeter.report.schema import summary_problems
from dosimeter.results import Material, choose_headline
from dosimeter.store import writing
from dosimeter.validity import Gate

FORMAT = 2
"""Version of `run.json` and of the arrays beside it; 1 was that of recipes alone."""
CANARIES = Path("truth") / "canaries.npz"
"""Where a run keeps the truth about planted records; runs without `[spike]` have none."""
BLIND = Path("evidence") / "blind.npz"
"""Where a run keeps the blind baseline's scores; runs of earlier releases have none."""


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
                f"{out}: holds another audit (key {found}, this one has {key}): choose another folder (--out, "
                f"out=), or delete it"
            )
    elif other:
        raise StoreError(f"{out}: must be a new or empty folder or an earlier run of this audit: choose another --out")


@dataclass(frozen=True)
class Left:
    """What a finished run left: arrays as stored.

    Attributes:
        summary: `run.json`.
        arrays: the truth.
        evidence: per attack id.
        blind: of each record the score of classifiers that never asked a model, NaN where there is none; None if the
            run made none.
        canaries: what the attacks said of planted records; None if there are none.
    """

    summary: Mapping[str, Any]
    arrays: Mapping[str, Array]
    evidence: Mapping[str, Evidence]
    blind: Array | None = None
    canaries: CanaryScores | None = None

    @property
    def rehearsed(self) -> bool:
        """Whether shadows played target."""
        return len(self.arrays["rehearsal_in"]) > 0


def read_run(folder: Path) -> Left:
    """Read what a finished run left.

    Raises:
        StoreError: the run is not finished, was made from a table, is of a newer format, or is damaged.
    """
    path = folder / "run.json"
    if not path.is_file():
        raise StoreError(f"{folder}: holds no finished run (no run.json): `dosimeter run` makes or finishes one")
    try:
        summary = _upgraded(json.loads(path.read_text(encoding="utf-8")), folder)
        arrays = _arrays(folder / "truth" / "truth.npz")
        evidence = {
            str(listed["id"]): Evidence(**_arrays(folder / "evidence" / f"{index:02d}.npz"))
            for index, listed in enumerate(summary["attacks"])
            if listed["status"] == "ok"
        }
        blind = _blind(folder / BLIND, len(arrays["record"]))
        return Left(summary, arrays, evidence, blind, read_canaries(folder, summary["attacks"]))
    except (OSError, ValueError, KeyError, IndexError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise StoreError(f"{folder}: is damaged ({type(error).__name__}: {error}): run the audit again") from error


def _upgraded(summary: Any, folder: Path) -> dict[str, Any]:
    """A summary in today's format.

    Raises:
        StoreError: it is newer than this version, or it is of a table.
    """
    written = summary["schema"]
    if written not in (1, FORMAT):
        by = summary.get("dosimeter", "another version")
        raise StoreError(
            f"{folder}: must be of format 1 or {FORMAT}, which dosimeter {__version__} reads, got {written!r}, written "
            f"by dosimeter {by}: use that version, or run the audit again"
        )
    if summary.get("door") == "scores":
        raise StoreError(
            f"{folder}: was measured from a table of scores, got no evidence beside it: run `dosimeter measure "
            "--scores` on the table again"
        )
    if written == 1:
        summary = {**summary, "schema": FORMAT, "door": "recipe", "gates": [summary["saturation"]]}
    broken = summary_problems(summary)
    if broken or type(summary["seed"]) is not int or not 0 < float(summary["leading_fpr"]) < 1:
        raise ValueError(broken[0] if broken else "seed and leading_fpr must be numbers")
    return dict(summary)


def material_of(left: Left) -> Material:
    """The material of a run: thresholds from rehearsals, or where no shadow rehearsed from halves of the records."""
    arrays, scores = left.arrays, {name: one.scores for name, one in left.evidence.items()}
    member, record = arrays["member"], arrays["record"]
    targets = len(member)
    calibration: Calibration | CrossFit
    if left.rehearsed:
        width = 2 * int(left.summary["threat"].get("fold_pairs", 1))
        folds = -(-targets // width)
        calibration = Calibration(
            source="shadow",
            block=np.arange(targets) // width,
            is_member=[arrays["rehearsal_in"]] * folds,
            scores={name: list(one.rehearsed) for name, one in left.evidence.items()},
        )
    else:
        halves = halvings(record, member, generator(int(left.summary["seed"]), HALVES))
        calibration = CrossFit(member, record, scores, halves)
    return Material(
        summary=left.summary,
        truth=Truth(arrays["ids"], member, record),
        scores=scores,
        calibration=calibration,
        null_scores={name: one.null for name, one in left.evidence.items()},
        null_truth=Truth(arrays["ids"], arrays["null_member"], record),
        correct=arrays["correct"],
        test_correct=arrays.get("test_correct"),
        groups=arrays.get("groups"),
        gates=tuple(Gate(**gate) for gate in left.summary["gates"]),
        blind=left.blind,
        apart={name: one.apart for name, one in left.evidence.items() if len(one.apart)},
        persons=arrays.get("persons"),
        canaries=left.canaries,
    )


def _blind(path: Path, n: int) -> Array | None:
    """The blind scores of all records."""
    if not path.is_file():
        return None
    found, scores = _arrays(path), np.full(n, np.nan)
    scores[found["rows"]] = found["scores"]
    return scores


def read_canaries(folder: Path, listed: Sequence[Mapping[str, Any]]) -> CanaryScores | None:
    """What the attacks said of planted records, or None if there are none."""
    if not (folder / CANARIES).is_file():
        return None
    places = {str(one["id"]): canary_evidence(folder, index) for index, one in enumerate(listed)}
    found = {name: _arrays(path) for name, path in places.items() if path.is_file()}
    return CanaryScores(
        **_arrays(folder / CANARIES),
        scores={name: one["scores"] for name, one in found.items()},
        rehearsed={name: one["rehearsed"] for name, one in found.items()},
    )


def canary_evidence(folder: Path, index: int) -> Path:
    """Where a run keeps what one attack said of planted records."""
    return folder / "evidence" / f"canaries-{index:02d}.npz"


def save_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write arrays without pickle under a temporary name and rename."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}")
        with draft.open("wb") as file:
            np.savez(file, **arrays)
        draft.replace(path)


def _arrays(path: Path) -> dict[str, Array]:
    """The arrays of an npz, read whole; the file is closed even if it is damaged."""
    with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def write_exposure(path: Path, material: Material) -> None:
    """One row per record, then per person, under the headline attack; no file where nothing is measurable."""
    material, headline = choose_headline(material)
    columns = individuals(material, headline, material.leading) if headline and material.leading else {}
    with writing(path):
        if not columns:
            path.unlink(missing_ok=True)
            return
        texts = {name: [_writable(one) for one in columns[name]] for name in ("kind", "id", "group")}
        draft = path.with_name(f".{path.name}")
        pq.write_table(pa.table({**columns, **texts}), draft)
        draft.replace(path)


def _writable(text: str) -> str:
    """Lone surrogates spelled out."""
    return str(text).encode("utf-8", "backslashreplace").decode()


def write_scores(path: Path, left: Left) -> None:
    """One row per attack, target and record."""
    member, ids = left.arrays["member"], left.arrays["ids"].astype(object)
    ids = np.array([_writable(one) for one in ids], object)
    targets, n = member.shape
    columns = {
        "target": np.repeat(np.arange(targets, dtype=np.int32), n),
        "id": np.tile(ids, targets),
    }
    last = {"is_member": member.ravel()}
    tables = [
        pa.table(
            {
                "attack": pa.array([name] * (targets * n)).dictionary_encode(),
                **columns,
                "score": one.scores.ravel(),
                **last,
            }
        )
        for name, one in left.evidence.items()
    ]
    if tables:
        with writing(path):
            draft = path.with_name(f".{path.name}")
            pq.write_table(pa.concat_tables(tables).unify_dictionaries(), draft)
            draft.replace(path)
