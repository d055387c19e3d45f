"""A model that is trained against adversaries: attacked by fresh ones, with those of the training beside them."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from audits import BASE

from dosimeter.config.audit import parse
from dosimeter.families.split.play.in_training import values_said
from dosimeter.foundation.errors import AuditError
from dosimeter.jobs.store import Store
from dosimeter.pipeline import verbs
from dosimeter.pipeline.recipe.prepare import prepare
from families.split.games import audit, people

ATTACKS = [
    {"name": "attribute_pool", "classifiers": ["logistic"]},
    {"name": "ridge"},
    {"name": "output_only", "mode": "attribute", "classifiers": ["logistic"]},
    {"name": "mean_input"},
]
FIGHT = {
    "name": "adversarial", "id": "fight", "cut": "4", "against": ["attribute:side", "input"], "weight": 3.0, "steps": 1,
}  # fmt: skip


def fought(**settings):
    """An audit with a variant that is trained against adversaries."""
    raw = audit(ATTACKS)
    raw["stage"][0] |= {"optimizer": "adam", "lr": 0.005, "epochs": 20}
    return raw | {"defense": [{**FIGHT, **settings}]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run of it."""
    place = tmp_path_factory.mktemp("fight")
    verbs.run(parse(fought(), base=BASE), place / "run", workers=1)
    return place / "run"


def threat(folder):
    """The only threat of a result."""
    (found,) = json.loads((folder / "result.json").read_text())["threats"]
    return found


def test_those_of_the_training_stand_beside_fresh_ones_and_decide_nothing(folder):
    assert threat(folder)["details"]["in_training"] == []
    found = threat(folder / "variants" / "fight")
    of_side, of_input = found["details"]["in_training"]
    assert (of_side["metric"], of_side["attribute"], of_side["cut"]) == ("attribute_auc", "side", "4")
    assert (of_input["metric"], of_input["attribute"]) == ("mse", None)
    (fresh,) = [
        row["value"]
        for row in found["estimates"]
        if row["metric"] == "attribute_auc" and row["attack"] == "attribute_pool" and row["conditions"]["cut"] == "4"
    ]
    assert of_side["fresh"] == pytest.approx(fresh)
    assert of_side["low"] <= of_side["value"] <= of_side["high"]
    assert all(test["attack"] in ("attribute_pool", "ridge") for test in found["details"]["tests"])
    page = (folder / "variants" / "fight" / "report.html").read_text()
    assert "The adversaries of the training" in page
    assert "The strongest fresh attack has" in page
    assert "The adversaries of the training" not in (folder / "report.html").read_text().split('id="cuts"')[0]


def test_fresh_attacks_find_less_than_of_the_plain_model(folder):
    def auc(content):
        rows = [row for row in content["estimates"] if row["metric"] == "attribute_auc"]
        return next(r["value"] for r in rows if r["attack"] == "attribute_pool" and r["conditions"]["cut"] == "4")

    assert auc(threat(folder / "variants" / "fight")) < auc(threat(folder)) - 0.05


def test_what_is_left_of_the_adversaries_is_no_part_of_the_model(tmp_path):
    prepared = prepare(parse(fought(), base=BASE), store=Store(tmp_path / "store"))
    ((_, variant),) = prepared.variants
    assert prepared.cases["split"].asked == ()
    (asked,) = variant.cases["split"].asked
    assert asked.source == 1
    assert asked.record.host.pack.key != prepared.cases["split"].packs[0].key


def test_a_plan_says_how_long_it_takes(tmp_path):
    assert verbs.plan(parse(fought(), base=BASE), store=tmp_path, workers=1).seconds > 0


def test_values_of_a_training_come_in_the_order_of_the_threat():
    said = np.log(np.array([[[0.2, 0.3, 0.5]]]))
    found = values_said(said, ["a", "b", "c"], ["c", "x", "a"])
    assert np.exp(found).tolist() == [[[pytest.approx(0.5), 0.0, pytest.approx(0.2)]]]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"cut": "nowhere"}, "adversarial: cut must name a layer of the model, got 'nowhere'"),
        ({"cut": ""}, "adversarial: cut must name a layer of the model, got ''"),
        ({"against": "attribute:sid"}, "attribute 'sid' must be known of the records of 'own', got none: did you mean"),
        ({"against": "attribute:same"}, "must have 2 to 20 values among the training records, got 1"),
        ({"against": "attribute:many"}, "must have 2 to 20 values among the training records, got 50"),
        ({"against": "side"}, "against must be 'input', 'attribute:NAME'"),
    ],
)
def test_what_does_not_fit_is_refused_before_training(settings, told, tmp_path):
    raw = audit(ATTACKS)
    raw["stage"][0]["defenses"] = [{**FIGHT, **settings}]
    with pytest.raises(AuditError) as caught:
        prepare(parse(raw, base=BASE), store=Store(tmp_path))
    assert told in str(caught.value), caught.value


@pytest.mark.parametrize(
    ("more", "stage", "told"),
    [
        ([{"name": "dp_sgd", "epsilon": 4.0}], {}, "bounds the gradient of the loss alone"),
        ([{"name": "selena"}], {}, "trains models on parts of the records"),
        ([{**FIGHT, "id": "again"}], {}, "one of them fights adversaries"),
        ([], {"fit": "families.split.games:net"}, "changes the built-in training"),
    ],
)
def test_what_cannot_stand_beside_it_is_refused(more, stage, told):
    raw = audit(ATTACKS)
    raw["stage"][0] |= {"defenses": [FIGHT, *more], **stage}
    with pytest.raises(AuditError, match=told):
        parse(raw, base=BASE)


def test_an_entry_of_data_holds_attributes_as_numbers(tmp_path):
    from dosimeter.data.entries import data_key, save_data

    data, store = people(0, count=60), Store(tmp_path)
    save_data(data, store)
    codes = store.load(data_key(data))["attribute side"].numpy()
    assert (codes == (data.attributes["side"] == "right")).all()
    plain = replace(data, attributes={})
    save_data(plain, store)
    assert set(store.load(data_key(plain))) == {"inputs", "labels"}
