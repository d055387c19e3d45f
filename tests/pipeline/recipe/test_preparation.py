"""From an audit to its jobs: keys, problems, device."""

from __future__ import annotations

import dataclasses

import pytest
from audits import BASE, audit, table

from dosimeter.config.audit import parse
from dosimeter.config.tables import DataOptions
from dosimeter.data import Options
from dosimeter.foundation.errors import AuditError, ConfigError, DataError
from dosimeter.jobs.store import Store
from dosimeter.pipeline.recipe.prepare import prepare


def key(tmp_path, **changes):
    raw = table() | changes
    return prepare(parse(raw, base=BASE), store=Store(tmp_path)).key


def test_the_key_moves_with_what_can_change_a_result(tmp_path):
    stage = table()["stage"][0]
    changes = [
        {},
        {"seed": 1},
        {"stage": [{**stage, "epochs": 4}]},
        {"stage": [{**stage, "rows": "0:398"}]},
        {"threat": table()["threat"] | {"shadows": 10}},
        {"attack": [{"name": "loss"}]},
        {"report": {"leading_fpr": 0.1}},
    ]
    keys = [key(tmp_path, **change) for change in changes]
    assert len(set(keys)) == len(keys)
    assert key(tmp_path / "elsewhere") == keys[0]


def test_data_options_say_how_a_table_is_read(tmp_path):
    rows = ["number,segment,age,income"] + [f"c{i},{'ab'[i % 2]},{20 + i},{i * 0.5}" for i in range(40)]
    (tmp_path / "customers.csv").write_text("\n".join(rows))
    stage = {**table()["stage"][0], "data": "customers.csv", "data_options": {"label": "segment", "id": "number"}}
    del stage["rows"]
    raw = table(population=4) | {"stage": [stage]}
    found = prepare(parse(raw, base=tmp_path), store=Store(tmp_path / "store")).system.at_risk
    assert found.inputs.shape == (40, 2)
    assert found.classes == ("a", "b")
    assert found.ids[3] == "c3"
    stage["data_options"] = {"labl": "segment"}
    with pytest.raises(ConfigError, match=r"stage\[0\].data_options.labl: unknown key, did you mean 'label'"):
        parse(raw, base=tmp_path)


def test_the_keys_of_data_options_are_those_of_the_data_doors():
    assert set(DataOptions.model_fields) == {field.name for field in dataclasses.fields(Options)}


def test_a_model_is_shared_when_only_the_attack_changes(tmp_path):
    first, second = prepare(audit(), store=Store(tmp_path)), prepare(audit(access="probs"), store=Store(tmp_path))
    assert [job.key for job in first.case.jobs.packs] == [job.key for job in second.case.jobs.packs]
    assert first.key != second.key


@pytest.mark.parametrize(
    ("threat", "stage", "kind", "message"),
    [
        ({"population": 399}, {}, ConfigError, "population \\+ candidates must be at most 400"),
        ({"population": 396, "candidates": 5}, {}, ConfigError, "population \\+ candidates must be at most 400"),
        ({"population": 397}, {}, ConfigError, "must leave at least 4 records to train on, got 2 of 400"),
        ({"population": 41, "stratify": True}, {}, ConfigError, "must be a multiple of 10 classes"),
        ({}, {"rows": "0:4000"}, DataError, r"stage\[0\].data: digits\[0:4000\]: rows must lie in 0:1797"),
        ({}, {"test": "digits", "test_rows": "5000:"}, DataError, r"stage\[0\].test"),
        ({}, {"data": "nowhere.csv"}, DataError, r"stage\[0\].data: nowhere.csv\[0:400\]: no such file"),
        ({}, {"test": "orl-faces"}, DataError, "must have the classes and the input shape of the stage's data"),
    ],
)
def test_problems_name_the_key(threat, stage, kind, message, tmp_path):
    raw = table(**threat)
    raw["stage"][0] |= stage
    with pytest.raises(kind, match=message):
        prepare(parse(raw, base=BASE), store=Store(tmp_path))


def test_views_need_images(tmp_path):
    rows = "\n".join(f"{i % 7},{i % 5},{'ab'[i % 2]}" for i in range(60))
    (tmp_path / "t.csv").write_text("x,y,label\n" + rows)
    raw = table(population=4, views=["identity", "flip"])
    raw["stage"][0] |= {"data": "t.csv", "rows": "0:60"}
    with pytest.raises(AuditError, match="flips and shifts need images"):
        prepare(parse(raw, base=tmp_path), store=Store(tmp_path))
    raw["threat"]["views"] = "auto"
    prepare(parse(raw, base=tmp_path), store=Store(tmp_path))
