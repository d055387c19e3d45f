"""The universal ratio: its trees against scikit-learn's, its columns, pairs, the file, and the stored figures."""

import dataclasses
import hashlib
import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from audits import BASE as FOLDER
from audits import audit, gaussian, material
from flat import result
from oracles import auc
from sklearn.ensemble import HistGradientBoostingClassifier
from synthetic import fleet, signals_of

from dosimeter.config.audit import parse
from dosimeter.families.membership.attacks import UniversalRatio
from dosimeter.families.membership.attacks.elsewhere import universal_ratio
from dosimeter.families.membership.attacks.elsewhere.trees import Trees, load
from dosimeter.families.membership.attacks.elsewhere.universal_ratio import SHA256, TREES, pair_columns
from dosimeter.foundation.errors import DataError
from dosimeter.pipeline import verbs

ROOT = Path(__file__).parents[5]
STORED = json.loads((ROOT / "benchmarks" / "results" / "universal_ratio.json").read_text("utf-8"))["held_out"]
PAGE = (ROOT / "docs" / "attacks.md").read_text("utf-8")
MADE = ("universal_ratio", "few_shadow_power", "few_shadow_fleets", "leakage_per_minute", "shadow_free", "machine")
ROWS = parse(
    {"stage": [{"name": "s", "data": "digits", "model": "linear"}], "attack": [{"name": "universal_ratio"}]},
    base=FOLDER,
).attacks


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    yield importlib.import_module("universal_ratio")
    for name in MADE:
        sys.modules.pop(name, None)


def test_trees_give_the_odds_of_scikit_learn(bench):
    x = rng().normal(size=(3000, 5))
    y = x[:, 0] * x[:, 1] + x[:, 2] > rng(1).normal(size=len(x))
    fit = HistGradientBoostingClassifier(max_iter=20, max_leaf_nodes=15, random_state=0).fit(x, y)
    arrays = bench.flat(fit)
    trees = Trees(**{name: arrays[name] for name in arrays if name != "start"}, start=float(arrays["start"][0]))
    np.testing.assert_allclose(trees.odds(x), fit.decision_function(x), atol=1e-9)
    assert trees.odds(x[:0]).shape == (0,)


def test_the_columns_are_those_that_the_trees_learned_from(bench):
    game, truth = fleet(3, leakage=1.0, n_shadows=2, n_records=200)
    _, found, _ = bench.rows_of(game, truth.is_member, 2, 0)
    np.testing.assert_array_equal(pair_columns(game, 0), found.values)
    assert load(TREES, SHA256).feature.max() < found.values.shape[2]


def test_the_file_is_the_one_that_the_attack_was_made_with(tmp_path):
    assert hashlib.sha256(TREES.read_bytes()).hexdigest() == SHA256
    assert len(load(TREES, SHA256).root) == 150
    other = tmp_path / TREES.name
    other.write_bytes(TREES.read_bytes() + b" ")
    with pytest.raises(DataError, match=r"universal_ratio.safetensors: must have the SHA-256 .* install it again"):
        load(other, SHA256)


def test_pairs_of_shadows_are_asked_one_by_one_and_averaged():
    game, _ = fleet(4, leakage=1.0, n_shadows=6, n_records=150)

    def pair(first):
        rows = slice(first, first + 2)
        shadows = {name: values[rows] for name, values in game.shadow_outputs.items()}
        one = dataclasses.replace(
            game, shadow_outputs=shadows, shadow_in=game.shadow_in[rows], population=None, known=None, weights=None
        )
        return UniversalRatio().run(one, rng()).values

    np.testing.assert_allclose(UniversalRatio().run(game, rng()).values, np.mean([pair(i) for i in (0, 2, 4)], axis=0))


def test_a_little_more_confidence_gives_no_lower_score():
    game, _ = fleet(5, leakage=1.0, n_shadows=2, n_records=300)
    before = UniversalRatio().run(game, rng()).values
    phi = signals_of(game.outputs["logit_confidence"] + 0.5)
    after = UniversalRatio().run(dataclasses.replace(game, outputs=phi), rng()).values
    # The ratio of normal laws falls where the one in-shadow is less sure than the other, as it should.
    rises = game.shadow_outputs["logit_confidence"][0, 0] > game.shadow_outputs["logit_confidence"][1, 0]
    rises = rises == game.shadow_in[0]
    assert (after >= before - 1e-9)[:, rises].mean() > 0.95


def test_it_tells_members_with_two_shadows():
    game, truth = fleet(6, leakage=2.0, n_shadows=2, n_records=600)
    found = UniversalRatio().run(game, rng()).values
    assert min(auc(row, bits) for row, bits in zip(found, truth.is_member, strict=True)) > 0.7


@pytest.mark.parametrize("leakage", [0.0, 2.5])
def test_an_audit_with_two_shadows_shows_a_leak_and_nothing_else(leakage):
    found = result(material(*gaussian(7, leakage=leakage, n=700, shadows=2, targets=2), rows=ROWS))
    assert found["verdict"]["status"] == ("shown" if leakage else "not_shown")
    assert {gate["id"]: gate["status"] for gate in found["gates"]}["N1"] == "pass"


def test_two_shadows_are_enough_and_none_is_refused_in_a_plan(tmp_path):
    for shadows, reason in ((2, ""), (0, "needs 1 shadows per record and side, got 0: raise threat.shadows to 2")):
        one = audit(shadows=shadows, targets=1)
        one = dataclasses.replace(one, threats=(dataclasses.replace(one.threats[0], attacks=ROWS),))
        found, *_ = verbs.plan(one, store=tmp_path).attacks
        assert found.refused == reason


def test_the_rule_by_which_it_is_shipped_holds_in_the_stored_figures():
    """On six held-out sets or more never behind `base` by more than two standard errors, and ahead on four."""
    gains = {
        name: [one["gain"][key] for one in sizes.values() for key in ("tpr", "auc")] for name, sizes in STORED.items()
    }
    never = [name for name, found in gains.items() if all(gain >= -2 * error for gain, error in found)]
    ahead = [name for name in never if any(gain > 2 * error for gain, error in gains[name])]
    assert len(gains) == 8
    assert set(gains) - set(never) == {"mnist"}
    assert len(ahead) >= 4
    two = [sizes["2"]["gain"]["tpr"] for sizes in STORED.values()]
    assert sum(gain > 2 * error for gain, error in two) == 7


@pytest.mark.parametrize("name", STORED)
def test_the_page_shows_what_was_gained(name):
    cells = [
        text.replace("-", "−")
        for size in ("2", "4", "8")
        for text in (
            "{:+.3f} ± {:.3f}".format(*STORED[name][size]["gain"]["tpr"]),
            "{:+.4f} ± {:.4f}".format(*STORED[name][size]["gain"]["auc"]),
        )
    ]
    assert f"| {' | '.join(cells)} |" in PAGE


def test_the_trees_lie_beside_the_attack():
    assert TREES.parent == Path(universal_ratio.__file__).parent
