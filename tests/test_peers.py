"""The page beside other tools says what was measured, and the comparison itself is right on known scores."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
RESULTS = BENCHMARKS / "results" / "peers.json"


@pytest.fixture
def peers(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import peers

    yield peers
    sys.modules.pop("peers", None)


def test_the_page_is_what_the_stored_figures_say(peers):
    found = json.loads(RESULTS.read_text(encoding="utf-8"))
    assert peers.PAGE.read_text(encoding="utf-8") == peers.page(found)


def test_every_verdict_of_the_stored_figures_follows_from_them():
    found = json.loads(RESULTS.read_text(encoding="utf-8"))
    for row in found["power"]:
        assert row["targets"] >= 8
        for side in ("compared", "to_headline"):
            for one in row[side].values():
                assert one["gain"][0] == pytest.approx(one["own"][0] - one["peer"][0], abs=1e-12)
                assert one["ok"] == (one["gain"][0] >= -2 * one["gain"][1])
    for claims in found["nulls"].values():
        assert all(row["fleets"] >= 50 for row in claims.values() if isinstance(row, dict))


def test_both_sides_are_measured_as_scikit_learn_does(peers):
    rng = np.random.default_rng(0)
    member = rng.random((3, 400)) < 0.5
    scores = np.round(rng.normal(size=(3, 400)) + member, 1)
    found = peers.measured(scores, member)
    for i in range(3):
        fpr, tpr, _ = roc_curve(member[i], scores[i], drop_intermediate=False)
        assert found["auc"][i] == pytest.approx(roc_auc_score(member[i], scores[i]), abs=1e-12)
        assert found["tpr"][i] == pytest.approx(tpr[fpr <= 0.01].max(), abs=1e-12)


def test_ours_is_worse_only_beyond_two_standard_errors(peers):
    theirs = {"auc": np.full(8, 0.7), "tpr": np.full(8, 0.2)}
    wobble = np.array([0.01, -0.01] * 4)
    near = {"auc": theirs["auc"] - 0.001 + wobble, "tpr": theirs["tpr"] - 0.05 + wobble}
    found = peers.compared(theirs, near)
    assert found["auc"]["ok"]
    assert not found["tpr"]["ok"]
