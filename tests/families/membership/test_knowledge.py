"""What an adversary holds beside signals: whose records, in both doors, and that who does not ask gets none."""

import json

import numpy as np
import pytest
from audits import BASE, table
from flat import flat
from supplied_models import SERIAL, fit, records, target

import dosimeter
from dosimeter.config.audit import parse
from dosimeter.data.entries import save_data
from dosimeter.data.record_features import WIDE, few_columns
from dosimeter.families.membership.game import Holdings, Needs
from dosimeter.families.membership.play.holdings import HoldingsSource
from dosimeter.jobs.store import Store
from dosimeter.models.access import Access
from dosimeter.pipeline import verbs
from dosimeter.pipeline.recipe.prepare import prepare
from dosimeter.training.features import load_features
from families.membership.test_frozen import recipe


def test_inputs_of_a_recipe_are_those_of_its_candidates_and_population(tmp_path):
    """Digits have 64 pixels, which pictures give in components; near in them means near in pixels."""
    raw = table(candidates=100, population=50) | {"attack": [{"name": "quantile", "mode": "inputs"}]}
    prepared = prepare(parse(raw, base=BASE), store=Store(tmp_path))
    for dataset in prepared.case.datasets():
        save_data(dataset, prepared.system.store)
    columns = prepared.case.arena.holdings.columns
    columns.perform()
    inputs = columns.load()
    rows = np.concatenate([prepared.case.split.pool[prepared.case.split.candidates], prepared.case.split.population])
    pixels = prepared.system.at_risk.inputs[rows].reshape(len(rows), -1).astype(float)
    assert inputs.shape[0] == 150
    assert inputs.shape[1] <= WIDE
    one, other = ((x[:, None] - x[None]) ** 2 for x in (inputs, pixels))
    assert np.corrcoef(one.sum(2).ravel(), other.sum(2).ravel())[0, 1] > 0.5


def test_with_a_frozen_backbone_they_are_its_features(tmp_path):
    raw = recipe("proxy", "loss")
    raw["attack"][0]["proxies"] = "nearest"
    verbs.run(parse(raw, base=BASE), tmp_path / "out", store=tmp_path / "store", workers=1)
    found = flat(json.loads((tmp_path / "out" / "result.json").read_text()))
    assert {row["name"]: row["status"] for row in found["attacks"]}["Proxy"] == "ok"
    prepared = prepare(parse(raw, base=BASE), store=Store(tmp_path / "store"))
    features = load_features(prepared.system.store, prepared.case.jobs.features).numpy().astype(float)
    rows = prepared.case.jobs.observations[0].rows
    inputs = prepared.case.arena.holdings.columns.load()
    spread = features.std(axis=0)
    scaled = np.clip((features - features.mean(axis=0)) / np.where(spread > 0, spread, 1), -10, 10)
    np.testing.assert_allclose(inputs, scaled[rows], atol=1e-5)


def test_who_does_not_ask_gets_nothing(tmp_path):
    prepared = prepare(parse(table() | {"attack": [{"name": "loss"}]}, base=BASE), store=Store(tmp_path))
    assert prepared.case.arena.holdings == HoldingsSource()
    game = prepared.case.design.game(
        0, {"logit_confidence": np.zeros((10, 1, len(prepared.case.split.candidates) + 40))}
    )
    told = Holdings(inputs=np.zeros((len(game.ids) + 40, 2))).tell(game, Needs(Access.PROBS))
    assert told.inputs is None
    assert told.population.inputs is None


def test_a_brought_model_is_attacked_by_its_records_and_not_by_retraining(tmp_path):
    x, y = records(360)
    parts = [(x[rows], y[rows]) for rows in (slice(0, 120), slice(120, 240), slice(240, 360))]
    attacks = [
        "loss",
        {"name": "quantile", "mode": "inputs", "trees": 5},
        {"name": "proxy", "proxies": "nearest"},
        "cascading",
    ]
    names = ("members", "nonmembers", "population")
    found = dosimeter.audit(
        target(parts[0]),
        **dict(zip(names, parts, strict=True)),
        fit=fit,
        shadows=6,
        attacks=attacks,
        out=tmp_path / "a",
        workers=SERIAL,
    )
    listed = {row["id"]: row for row in flat(found.content)["attacks"]}
    assert [listed[name]["status"] for name in ("quantile inputs", "proxy", "cascading")] == ["ok", "ok", "refused"]
    assert listed["cascading"]["reason"].endswith("without defenses: leave the attack out")


@pytest.mark.parametrize(
    ("inputs", "columns"),
    [
        (np.random.default_rng(0).normal(size=(60, 7)), 7),
        (np.random.default_rng(0).normal(size=(60, 300)), 50),
        (np.random.default_rng(0).integers(256, size=(60, 3, 20, 20)).astype(np.uint8), 50),
        (np.random.default_rng(0).integers(1, 500, size=(60, 80)), 50),
        (np.random.default_rng(0).integers(5, size=(60, 4)), 4),
        (np.random.default_rng(0).normal(size=(30, 300)) > 0, 29),
    ],
    ids=["table", "wide", "pictures", "tokens", "whole numbers", "bits"],
)
def test_records_become_few_finite_columns(inputs, columns):
    tokens = inputs.ndim == 2 and inputs.dtype.kind == "i"
    found = few_columns(inputs, 0, tokens=tokens)
    assert found.shape == (len(inputs), columns)
    assert found.dtype == np.float64
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found, few_columns(inputs, 0, tokens=tokens))


def test_components_of_many_records_are_learned_on_some(monkeypatch):
    """Learned on every second record they span what those of all span: 3 directions and little noise."""
    rng = np.random.default_rng(0)
    wide = rng.normal(size=(400, 3)) @ rng.normal(size=(3, 300)) + 0.01 * rng.normal(size=(400, 300))
    whole = few_columns(wide, 0)[:, :3]
    monkeypatch.setattr("dosimeter.data.record_features.MOST_RECORDS", 200)
    some = few_columns(wide, 0)[:, :3]
    left = whole - some @ np.linalg.lstsq(some, whole, rcond=None)[0]
    assert (left**2).sum() < 0.01 * (whole**2).sum()
