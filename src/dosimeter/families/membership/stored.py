"""Arrays that a run stores for the measurement: reading and writing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Bool

from dosimeter.families.family import CaseFolder
from dosimeter.families.membership.design.canaries import CanaryScores
from dosimeter.families.membership.design.design import Design
from dosimeter.families.membership.measures.calibration import Calibration
from dosimeter.families.membership.measures.cross_fitting import HALVES, CrossFit, halvings
from dosimeter.families.membership.measures.exposure import individuals
from dosimeter.families.membership.measures.material import Material, choose_headline
from dosimeter.families.membership.observe.observations import Observations
from dosimeter.families.membership.play.play import Played
from dosimeter.foundation.arrays import Array
from dosimeter.foundation.gate import Gate
from dosimeter.foundation.seeds import generator
from dosimeter.jobs.arrays import read_arrays, save_arrays, undamaged
from dosimeter.jobs.store import writing
from dosimeter.results.schema import summary_problems
from dosimeter.statistics.evidence import Truth

CANARIES = Path("truth") / "canaries.npz"
"""File for the truth about planted records, in a run's folder; runs without `[spike]` have none."""
BLIND = Path("evidence") / "blind.npz"
"""File for the blind baseline's scores, in a run's folder; runs of earlier releases have none."""


@dataclass(frozen=True)
class Left:
    """Arrays of a finished run, as stored.

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
    evidence: Mapping[str, Played]
    blind: Array | None = None
    canaries: CanaryScores | None = None

    @property
    def rehearsed(self) -> bool:
        """Returns whether shadows played target."""
        return len(self.arrays["rehearsal_in"]) > 0


def read_case(folder: CaseFolder) -> Left:
    """Reads the arrays of one threat of a finished run.

    Raises:
        StoreError: they are damaged.
    """
    path, summary = folder.path, folder.summary
    with undamaged(path):
        broken = summary_problems(summary)
        if broken:
            raise ValueError(broken[0])
        arrays = read_arrays(path / "truth" / "truth.npz")
        found = {
            str(listed["id"]): Played(**read_arrays(evidence(path, index)))
            for index, listed in enumerate(summary["attacks"])
            if listed["status"] == "ok"
        }
        blind = read_blind(path / BLIND, len(arrays["record"]))
        return Left(summary, arrays, found, blind, read_canaries(path, summary["attacks"]))


def material_of(left: Left) -> Material:
    """The material of a run: thresholds come from rehearsals or, if no shadow rehearsed, from halves of the records."""
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
        drawn = bool(left.summary["door"] == "recipe")
        halves = halvings(record, member, generator(int(left.summary["seed"]), HALVES), drawn=drawn)
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


def read_blind(path: Path, n: int) -> Array | None:
    """Blind scores of all records, NaN where there is none; None if the run has no such file."""
    if not path.is_file():
        return None
    found, scores = read_arrays(path), np.full(n, np.nan)
    scores[found["rows"]] = found["scores"]
    return scores


def read_canaries(folder: Path, listed: Sequence[Mapping[str, Any]]) -> CanaryScores | None:
    """Scores of planted records by all attacks, or None if there are none."""
    if not (folder / CANARIES).is_file():
        return None
    places = {str(one["id"]): canary_evidence(folder, index) for index, one in enumerate(listed)}
    found = {name: read_arrays(path) for name, path in places.items() if path.is_file()}
    return CanaryScores(
        **read_arrays(folder / CANARIES),
        scores={name: one["scores"] for name, one in found.items()},
        rehearsed={name: one["rehearsed"] for name, one in found.items()},
    )


def evidence(folder: Path, index: int) -> Path:
    """Path of the file for one attack's results."""
    return folder / "evidence" / f"{index:02d}.npz"


def canary_evidence(folder: Path, index: int) -> Path:
    """Path of the file for one attack's scores of planted records."""
    return folder / "evidence" / f"canaries-{index:02d}.npz"


def write_exposure(path: Path, material: Material) -> None:
    """Writes one row per record, then per person, under the headline attack; no file if nothing is measurable."""
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
    """The text, with lone surrogates spelled out, because UTF-8 cannot encode them."""
    return str(text).encode("utf-8", "backslashreplace").decode()


def write_scores(path: Path, left: Left) -> None:
    """Writes one row per attack, target and record."""
    member = left.arrays["member"]
    ids = [_writable(one) for one in left.arrays["ids"].tolist()]
    targets, n = member.shape
    columns = {
        "target": pa.array(np.repeat(np.arange(targets, dtype=np.int32), n)),
        "id": pa.concat_arrays([pa.array(ids, pa.string())] * targets),
    }
    last, first = {"is_member": pa.array(member.ravel())}, pa.array(np.zeros(targets * n, np.int32))
    tables = [
        pa.table(
            {
                "attack": pa.DictionaryArray.from_arrays(first, [name]),
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
            whole = pa.concat_tables(tables).unify_dictionaries()
            pq.write_table(whole, draft, use_dictionary=["attack", "target", "id"])  # scores hardly repeat
            draft.replace(path)


def save_game(out: Path, design: Design, observations: Observations, null_member: Bool[Array, "m n"]) -> None:
    """Writes what the attacks read, and the truth, which no attack reads.

    Args:
        out: the run's folder.
        design: the design of the audit.
        observations: signals of the fleet.
        null_member: the null audit's matrix.
    """
    targets, n = design.targets, len(design.ids)
    labelled = np.arange(n, design.training.shape[1])  # which are neither judged nor outside every model
    save_arrays(out / "games" / "outputs.npz", dict(observations.signals))
    arrays = {
        "ids": np.asarray(design.ids).astype(str),
        "member": design.member[:targets],
        "null_member": null_member[:targets],
        "record": design.record,
        "rehearsal_in": design.member[design.rehearsal_rows],
        "correct": np.delete(observations.correct[:targets], labelled, axis=1),
    }
    if design.groups is not None:
        arrays["groups"] = design.groups.astype(str)
    if design.persons is not None:
        arrays["persons"] = design.persons.astype(str)
    if observations.test_correct is not None:
        arrays["test_correct"] = observations.test_correct[:targets]
    save_arrays(out / "truth" / "truth.npz", arrays)
