"""A model that gives labels only, or its highest classes, audited from end to end."""

import json

import numpy as np
import pytest
from audits import BASE, table
from flat import flat

from dosimeter.config.audit import parse
from dosimeter.pipeline import verbs

NAMES = ("gap", "augmentation", "shokri", "entropy", "loss", "constant", "count")


@pytest.mark.parametrize(("access", "runs"), [("labels", 2), ("topk", 3)])
def test_attacks_that_need_no_more_run_and_the_others_are_refused(access, runs, tmp_path):
    raw = table(access=access, shadows=6, targets=2) | {"attack": [{"name": name} for name in NAMES]}
    verbs.run(parse(raw, base=BASE), out=tmp_path / "run", store=tmp_path / "store", workers=1)
    out = tmp_path / "run"
    result = flat(json.loads((out / "result.json").read_text("utf-8")))
    status = {row["id"]: row["status"] for row in result["attacks"]}
    assert [name for name in NAMES if status[name] == "ok"] == [*NAMES[:runs], "constant", "count"]
    kept = np.load(out / "threats/membership/games/outputs.npz").files
    assert set(kept) <= {"correctness", "top1", "top2", "top3"}
    (gap,) = [row for row in result["estimates"] if row["attack"] == "gap" and row["metric"] == "auc"]
    accuracy = {row["split"]: row["value"] for row in result["utility"]}
    assert gap["value"] == pytest.approx(0.5 + (accuracy["train"] - accuracy["nonmember"]) / 2, abs=0.03)
