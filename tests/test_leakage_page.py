"""The page on leakage per minute says what was measured, and the benchmark plays and judges as it says."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from synthetic import fleet

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks"
STORED = json.loads((BENCHMARKS / "results" / "leakage_per_minute.json").read_text(encoding="utf-8"))
MADE = ("leakage_per_minute", "leakage_page", "few_shadow_power", "shadow_free", "machine")


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import leakage_page
    import leakage_per_minute

    yield leakage_per_minute, leakage_page
    for name in MADE:
        sys.modules.pop(name, None)


def test_the_page_is_what_the_stored_figures_say(bench):
    _, page = bench
    text = page.PAGE.read_text(encoding="utf-8")
    assert page.filled(text, STORED) == text
    assert page.FIGURE.is_file()


def test_the_frontier_is_what_the_stored_figures_say(bench):
    for one in STORED["fleets"].values():
        assert [row["frontier"] for row in one["attacks"]] == bench[0].frontier(one["attacks"])


def row(tpr, seconds, labelled=0):
    return {"tpr": [tpr, 0.0], "seconds": {"train": seconds, "play": 0.0}, "labelled": labelled}


def test_the_frontier_weighs_seconds_and_labelled_records(bench):
    rows = [row(0.1, 1.0), row(0.2, 2.0), row(0.15, 2.0), row(0.3, 1.5, labelled=20), row(0.21, 2.03), row(0.2, 9.0)]
    assert bench[0].frontier(rows) == [True, False, False, True, True, False]
    assert bench[0].frontier([row(0.1, 1.0)]) == [True]


def test_every_line_of_the_list_is_judged_on_a_game(bench):
    """On a game of known leakage: figures in range, members found where something leaks, shadows counted."""
    leakage, _ = bench
    game, truth = fleet(0, leakage=2.0, n_shadows=64, n_targets=4)
    assert set(leakage.signal_names()) <= game.outputs.keys()
    for one in leakage.ROWS:
        shadows = one.shadows[-1] and 4
        if one.kind == "fused":
            shadows = 16
        assert leakage.serves(game, one, shadows)
        found = leakage.judged(game, truth.is_member, one, shadows, 2.0)
        assert found["seconds"]["train"] == 2.0 * shadows
        assert found["seconds"]["play"] >= 0
        assert found["auc"][0] > 0.55
        assert 0 <= found["tpr"][0] <= 1
        assert found["dose"][1] <= found["dose"][0] <= found["dose"][2]
    assert not leakage.serves(game, leakage.Row("none", "not_there"), 4)


def test_what_is_trained_is_kept(bench, tmp_path):
    made = []

    def make():
        made.append(1)
        return {"x": np.arange(3)}

    for _ in range(2):
        assert bench[0].kept(tmp_path / "work", "one", make)["x"].tolist() == [0, 1, 2]
    assert made == [1]
