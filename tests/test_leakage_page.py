"""The page on leakage per minute says what was measured, and the benchmark plays and judges as it says."""

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
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


def test_the_text_names_who_is_on_the_frontier():
    """What the list "What is seen" says of each fleet; a new measurement that moves it needs new words."""
    found = {
        name: {(one["attack"], one["shadows"]) for one in fleet["attacks"] if one["frontier"]}
        for name, fleet in STORED["fleets"].items()
    }
    both = {("loss", 0), ("fused online", 64)}
    both |= {("base online", 2), ("base online", 4), ("learned_ratio", 4), ("learned_ratio", 16)}
    few = {("simple_shot 1 shot", 0), ("simple_shot 5 shots", 0), ("simple_shot 10 shots", 0)}
    few |= {("laplacian_shot 5 shots", 0)}
    assert found["faces"] == both | {("influence", 0), ("learned_ratio", 64)}
    assert found["cifar10"] == both | few | {("fused online", 16)}


def row(tpr, seconds, labelled=0):
    return {"tpr": [tpr, 0.0], "seconds": {"train": seconds, "play": 0.0}, "labelled": labelled}


def test_the_frontier_weighs_seconds_and_labelled_records(bench):
    rows = [row(0.1, 1.0), row(0.2, 2.0), row(0.15, 2.0), row(0.3, 1.5, labelled=20), row(0.21, 2.03), row(0.2, 9.0)]
    assert bench[0].frontier(rows) == [True, False, False, True, True, False]
    assert bench[0].frontier([row(0.1, 1.0)]) == [True]


def test_every_line_of_the_list_is_judged_on_a_game(bench, monkeypatch):
    """On a game of known leakage: figures in range, members found where something leaks, shadows counted."""
    leakage, _ = bench
    monkeypatch.setattr(leakage, "PATIENCE", 0)
    game, truth = fleet(0, leakage=2.0, n_shadows=64, n_targets=4, n_records=300)
    assert set(leakage.signal_names()) <= game.outputs.keys()
    for one in leakage.ROWS:
        shadows = 16 if one.kind == "fused" else min(one.shadows[-1], 4)
        few = (("episodes", 3),) if "shots" in dict(one.settings) else ()
        tuned = (("epochs", 1),) if one.tunes else ()
        one = dataclasses.replace(one, settings=(*one.settings, *few, *tuned))
        assert leakage.serves(game, one, shadows)
        found = leakage.judged(game, truth.is_member, one, shadows, 2.0)
        assert found["seconds"]["train"] == 2.0 * shadows
        assert found["seconds"]["play"] >= 0
        assert found["labelled"] == 2 * dict(one.settings).get("shots", 0)
        assert found["auc"][0] > 0.55
        assert 0 <= found["tpr"][0] <= 1
        assert found["dose"][1] <= found["dose"][0] <= found["dose"][2]
    assert not leakage.serves(game, leakage.Row("none", "not_there"), 4)
    few = {"kind": "simple_shot", "settings": (("shots", 10),)}
    assert not leakage.serves(dataclasses.replace(game, known=None), leakage.Row("few", **few), 0)
    assert not leakage.serves(dataclasses.replace(game, weights=None), leakage.ROWS[-1], 0)


def test_known_records_are_not_judged_and_keep_their_own_answers(bench):
    leakage, _ = bench
    game, truth = fleet(0, leakage=1.0, n_shadows=8, n_targets=4)
    game = dataclasses.replace(game, known=None, weights=None, inputs=None, retrain=None)
    inputs = torch.arange(400.0)[:, None]
    told, is_member = leakage.tell(game, truth.is_member, lambda row: None, inputs)
    known = told.known
    assert (len(told.ids), len(known.ids), known.fewest >= 10) == (350, leakage.KNOWN, True)
    assert sorted([*told.ids, *known.ids]) == list(range(400))
    for part, bits, of, ids in (
        (told.outputs, is_member, game.outputs, told.ids),
        (known.outputs, known.is_member, game.outputs, known.ids),
        (told.shadow_outputs, told.shadow_in, game.shadow_outputs, told.ids),
        (known.shadow_outputs, known.shadow_in, game.shadow_outputs, known.ids),
    ):
        truth_of = truth.is_member if of is game.outputs else game.shadow_in
        assert np.array_equal(bits, truth_of[:, ids])
        assert np.array_equal(part["logit_confidence"], of["logit_confidence"][:, :, ids])
    assert told.weights.inputs[:, 0].tolist() == [*told.ids, *known.ids]
    assert told.weights.shadow_rows.tolist() == list(range(4, 12))
    one = leakage.some_targets(told, 2)
    assert (one.n_targets, len(one.known.is_member), len(one.weights.rows)) == (2, 2, 2)


def test_log_mia_without_a_leak_is_no_more_than_chance_gives(bench):
    for seed in range(3):
        rng = np.random.default_rng(seed)
        first = rng.permutation(600) < 300
        is_member = np.stack([first, ~first])
        found = bench[0].corrected(rng.normal(size=is_member.shape), is_member)
        assert found["members"] == 600
        for regime in ("A", "B"):
            value, low, high = found[regime]
            assert low < 0.15
            assert low <= value <= high
        leak = bench[0].corrected(rng.normal(size=is_member.shape) + 3 * is_member, is_member)
        assert leak["B"][0] > 0.5


def test_what_is_trained_is_kept(bench, tmp_path):
    made = []

    def make():
        made.append(1)
        return {"x": np.arange(3)}

    for _ in range(2):
        assert bench[0].kept(tmp_path / "work", "one", make)["x"].tolist() == [0, 1, 2]
    assert made == [1]
