"""Audits of a supplied language model that saw neither half of the texts: how often is a leak claimed all the same?

One small model, finetuned on real texts that every Python has, is audited 200 times at the door of supplied models.
Each audit draws other halves of the texts that neither the model nor its base ever saw, and runs five attacks of the
default list that need no shadows. Figures are written after each audit: an interrupted run goes on where it stopped.
About ten minutes on one core. `tests/test_null_claims.py` holds the stored figures to the
bounds. The detection limit and the report, which never move a verdict, are left out.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from unittest.mock import patch

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "language_nulls.json"
AUDITS = 200
HALF = 100
"""Texts of each half."""
READ = ("text_loss", "min_k", "base_reference", "ez_mia", "wbc", "count")


def audited(number: int, folder: Path) -> dict[str, object]:
    """One audit: its verdict, the ends of the headline's AUC, checks that failed, and the lower end of the dose.

    Args:
        number: of the audit, which draws the halves.
        folder: an empty one.
    """
    import language_models as world

    import dosimeter
    from dosimeter.families.membership import measure
    from dosimeter.families.membership.measures.detection_limit import Detection

    unseen = [*world.texts()[: world.OF_BASE.start], *world.texts()[world.INNOCENT.stop :]]
    drawn = np.random.default_rng([7, number]).permutation(len(unseen))
    members, others = ([unseen[row] for row in rows] for rows in (drawn[:HALF], drawn[HALF : 2 * HALF]))
    with (
        patch.object(measure, "detect", lambda material, *_: Detection(material.leading, None, None, 0, "top scores")),
        patch("dosimeter.pipeline.verbs.close_run", lambda out, **_: out),
    ):
        found = dosimeter.audit(
            world.innocent(), base=world.base(), members=members, nonmembers=others,
            attacks=READ, options=world.OPTIONS, seed=number, out=folder / "run", progress=lambda *_: None,
        )  # fmt: skip
    (threat,) = json.loads((folder / "run" / "result.json").read_text())["threats"]
    headline = threat["verdict"]["attack"]
    auc = next(one for one in threat["estimates"] if (one["attack"], one["metric"]) == (headline, "auc"))
    failed = [one["id"] for one in threat["gates"] if one["status"] == "fail"]
    dose = (threat["dose"] or {}).get("shown") or 0.0
    return {"status": found.status, "low": auc["low"], "high": auc["high"], "failed": failed, "dose_shown": dose}


def main() -> None:
    """Does the audits that are missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="no audit is begun after so many")
    asked = parser.parse_args()
    sys.path.append(str(ROOT / "tests"))
    from machine import hardware

    start = time.perf_counter()
    done = json.loads(RESULTS.read_text(encoding="utf-8"))["audits"] if RESULTS.exists() else {}
    for number in range(AUDITS):
        if str(number) in done or time.perf_counter() - start > 60 * asked.minutes:
            continue
        with tempfile.TemporaryDirectory() as folder:
            done[str(number)] = audited(number, Path(folder))
        partial = RESULTS.with_suffix(".partial")
        partial.write_text(json.dumps({"machine": hardware(), "audits": done}, indent=1, sort_keys=True) + "\n")
        partial.replace(RESULTS)
    print(f"{AUDITS - len(done)} audits of {AUDITS} are left")


if __name__ == "__main__":
    main()
