"""Heads on a frozen backbone: who gets features, that they are those of the fleet, and refusals elsewhere."""

import json

import numpy as np
import pytest
from audits import BASE, table
from test_pipeline import PRETRAIN

from dosimeter import pipeline
from dosimeter.config import parse
from dosimeter.fleet import load_features
from dosimeter.frozen import frozen_head, has_frozen_head
from dosimeter.preparation import prepare

FINETUNE = {"name": "finetune", "data": "digits", "rows": "0:400", "transfer": "head", "epochs": 3, "lr": 0.05}


def recipe(*attacks, **stage):
    """A pretrained perceptron with a new head; by SGD unless the stage says otherwise."""
    stages = [PRETRAIN, {**FINETUNE, **stage}]
    return table(candidates=300) | {"stage": stages, "attack": [{"name": name} for name in attacks]}


def test_features_reach_the_attack_that_needs_them(tmp_path):
    raw = recipe("influence", "loss", standardise=True, weight_decay=0.01, schedule="cosine")
    pipeline.run(parse(raw, base=BASE), tmp_path / "out", store=tmp_path / "store", workers=1)
    found = json.loads((tmp_path / "out" / "result.json").read_text())
    assert {row["name"]: row["status"] for row in found["attacks"]}["Influence"] == "ok"
    prepared = prepare(parse(raw, base=BASE), store=tmp_path / "store")
    head = frozen_head(prepared)
    features = load_features(prepared.store, prepared.jobs.features).numpy()
    np.testing.assert_array_equal(head.features, features[prepared.split.pool])
    np.testing.assert_array_equal(head.labels[head.candidates], prepared.design.labels)
    assert len(head.rates) == 3 * 6  # 180 records in batches of 32
    assert head.rates[0] == 0.05 > head.rates[-1]
    assert (head.momentum, head.weight_decay, head.standardise) == (0.9, 0.01, True)


@pytest.mark.parametrize("stage", [{"optimizer": "adam"}, {"transfer": "full"}, {"transfer": "last-k"}])
def test_elsewhere_the_plan_refuses_it(stage, tmp_path):
    audit = parse(recipe("influence", "loss", **stage), base=BASE)
    assert not has_frozen_head(prepare(audit, store=tmp_path))
    refused, other = pipeline.plan(audit, store=tmp_path).attacks
    assert refused.refused.startswith("needs the features of a frozen backbone and SGD heads on them")
    assert "or use transfer = 'head' with optimizer = 'sgd'" in refused.refused
    assert not other.refused


def test_nobody_asks_nobody_gets(tmp_path):
    assert frozen_head(prepare(parse(recipe("loss"), base=BASE), store=tmp_path)) is None
