"""The third door: a table of scores, measured without a model."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from dosimeter.config.tables import Report
from dosimeter.families.membership.family import MEMBERSHIP
from dosimeter.families.membership.measure import measure
from dosimeter.families.membership.measures.material import Material
from dosimeter.families.membership.table.gates import missing_scores, table_as_read
from dosimeter.families.membership.table.summary import scores_summary
from dosimeter.families.membership.table.table import ScoresTable, read_scores
from dosimeter.foundation.gate import Gate
from dosimeter.foundation.package import __version__
from dosimeter.foundation.table import arguments
from dosimeter.jobs.store import canonical, key_of, write_text
from dosimeter.pipeline.page import close_run
from dosimeter.pipeline.run_folder import FORMAT, check_folder
from dosimeter.pipeline.whole_result import one_threat
from dosimeter.results.rounding import round_numbers
from dosimeter.results.whole.compose import compose


def measure_scores(
    scores: Path, out: Path, *, seed: int = 0, noun: str = "record", leading_fpr: float = 0.01
) -> dict[str, Any]:
    """Measures a table of scores and membership bits, and writes the report; no model is needed.

    Args:
        scores: `.csv` or `.parquet`, see `table.table.read_scores`.
        out: the run's folder.
        seed: seed of the split into calibration and test records, and of the bootstrap.
        noun: noun for one record, in the singular.
        leading_fpr: false positive rate of the verdict.

    Returns:
        The content of `result.json`.

    Raises:
        AuditError: the table or an argument is wrong, or the folder holds another audit.
    """
    started = time.time()
    arguments(Report, {"noun": "--noun", "leading_fpr": "--fpr"}, noun=noun, leading_fpr=leading_fpr)
    table = read_scores(scores, seed=seed)
    settings = {"door": "scores", "table": table.fingerprint, "seed": seed, "noun": noun, "leading_fpr": leading_fpr}
    key = key_of(settings)
    check_folder(out, key, {**settings, "file": str(scores)})
    summary = {"schema": FORMAT, "dosimeter": __version__} | scores_summary(
        table, key=key, seed=seed, noun=noun, leading_fpr=leading_fpr
    )
    write_text(out / "audit_key", key + "\n")
    write_text(out / "audit.json", json.dumps({**settings, "file": str(scores)}, indent=1, sort_keys=True))
    with threadpool_limits(1):  # so that sums do not depend on the number of cores; PyTorch is not needed here
        found = one_threat(MEMBERSHIP.name, MEMBERSHIP, measure(table_material(table, summary)), summary)
        content: dict[str, Any] = round_numbers(compose(summary, [found]))
    write_text(out / "result.json", canonical(content) + "\n")
    write_text(out / "run.json", json.dumps(round_numbers(summary), indent=1, sort_keys=True))
    more = {"seed": seed, "audit_key": key, "data_sha256": table.fingerprint}
    close_run(out, device=None, started=started, seconds={"measure": round(time.time() - started, 2)}, more=more)
    return content


def table_material(table: ScoresTable, summary: Mapping[str, Any]) -> Material:
    """Material for measuring a table of scores."""
    return Material(
        summary=summary,
        truth=table.truth,
        scores=table.scores,
        calibration=table.calibration,
        null_scores={},
        null_truth=None,
        correct=None,
        test_correct=None,
        groups=table.groups,
        gates=(_counted(table), *table_as_read(table.notes)),
    )


def _counted(table: ScoresTable) -> Gate:
    """I3 over all attacks."""
    counts = table.counts.values()
    missing, rows = (np.array([getattr(one, what) for one in counts]) for what in ("missing", "rows"))
    return missing_scores(missing, sum(one.lowest for one in counts), sum(one.highest for one in counts), rows)
