"""Heads on a frozen backbone: who gets features, that they are those of the fleet, and refusals elsewhere."""

import json

import numpy as np
import pytest
import torch
from audits import BASE, table
from test_pipeline import PRETRAIN

from dosimeter import frozen, pipeline
from dosimeter._seeds import seed_for
from dosimeter.config import parse
from dosimeter.fleet import load_features
from dosimeter.frozen import HeadRetrain, can_retrain, frozen_head, has_frozen_head, head_retrain
from dosimeter.games import Access
from dosimeter.head_training import train_heads
from dosimeter.preparation import prepare
from dosimeter.signals import logit_confidence
from dosimeter.training import Hyperparameters

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


def test_a_head_too_large_for_memory_is_refused_before_training(tmp_path, monkeypatch):
    audit = parse(recipe("influence", "loss"), base=BASE)
    monkeypatch.setattr("dosimeter.refusals.MOST_CELLS", 360 * 10)
    assert not pipeline.plan(audit, store=tmp_path).attacks[0].refused
    monkeypatch.setattr("dosimeter.refusals.MOST_CELLS", 360 * 10 - 1)
    assert pipeline.plan(audit, store=tmp_path).attacks[0].refused.startswith("needs about 1 kB for each record and")


def test_nobody_asks_nobody_gets(tmp_path):
    assert frozen_head(prepare(parse(recipe("loss"), base=BASE), store=tmp_path)) is None


def handle(*, candidates, pool=40, views=1):
    """A way to retrain three-class heads on random features."""
    rng = np.random.default_rng(0)
    features = torch.from_numpy(rng.normal(size=(views, pool, 6)).astype(np.float32))
    labels = torch.from_numpy(rng.integers(3, size=pool))
    recipe = Hyperparameters(epochs=4, batch_size=8, lr=0.1, standardise=True)
    return HeadRetrain(features, labels, candidates, 3, recipe, ("logit_confidence", "hinge"), Access.LOGITS, "cpu")


def test_retrained_heads_are_those_of_the_recipe():
    """Signals of heads that are trained one by one on the asked rows, under both views."""
    retrain = handle(candidates=np.arange(40), views=2)
    member = np.stack([np.arange(40) % 2 == 0, np.arange(40) < 20])
    found = retrain(member, 5)
    assert {name: values.shape for name, values in found.items()} == dict.fromkeys(found, (2, 2, 40))
    for number, row in enumerate(member):
        rows, seeds = np.flatnonzero(row)[None], [seed_for(5, "retrained head", number)]
        one = train_heads(
            retrain.features[0],
            retrain.labels,
            rows,
            retrain.recipe,
            classes=3,
            seeds=seeds,
            device=torch.device("cpu"),
        )
        for view in range(2):
            logits = retrain.features[view].double() @ one.weight[0].double().T + one.bias[0].double()
            expected = logit_confidence(logits, retrain.labels).numpy()
            np.testing.assert_allclose(found["logit_confidence"][number, view], expected, rtol=1e-4, atol=1e-4)
    again, other = retrain(member, 5), retrain(member, 6)
    np.testing.assert_array_equal(found["hinge"], again["hinge"])
    assert not np.allclose(found["hinge"], other["hinge"])


def test_retrained_heads_train_on_half_of_the_pool_whatever_is_asked(monkeypatch):
    """Candidates as asked for, others at random: half of them on average, and every head as large as any other."""
    asked = []

    def spy(features, labels, rows, *rest, **more):
        asked.append(rows)
        return train_heads(features, labels, rows, *rest, **more)

    monkeypatch.setattr(frozen, "train_heads", spy)
    candidates = np.arange(0, 40, 4)
    member = np.random.default_rng(1).random((100, 10)) < 0.5
    handle(candidates=candidates)(member, 3)
    rows = np.concatenate(asked)
    assert rows.shape == (100, 20)
    inside = (rows[:, :, None] == np.arange(40)).any(axis=1)
    assert (inside.sum(axis=1) == 20).all()
    np.testing.assert_array_equal(inside[:, candidates], member)
    others = np.delete(inside, candidates, axis=1)
    assert np.abs(others.mean(axis=0) - 0.5).max() < 4 * 0.05
    with pytest.raises(ValueError, match="member must leave 20 to 20 candidates in each row, got 19"):
        handle(candidates=np.arange(40))(np.arange(40)[None] < 19, 0)


def test_an_audit_retrains_for_each_target(tmp_path):
    """The attack runs, its null audit is there, and the handle has what the fleet was trained on."""
    raw = recipe("cascading", "loss", standardise=True)
    raw["attack"][0]["references"] = 8
    pipeline.run(parse(raw, base=BASE), tmp_path / "out", store=tmp_path / "store", workers=1)
    found = json.loads((tmp_path / "out" / "result.json").read_text())
    assert {row["name"]: row["status"] for row in found["attacks"]}["Cascading"] == "ok"
    assert [row["status"] for row in found["null_audit"] if row["attack"] == "cascading"] == ["pass"]
    prepared = prepare(parse(raw, base=BASE), store=tmp_path / "store")
    retrain, features = head_retrain(prepared), load_features(prepared.store, prepared.jobs.features).numpy()
    np.testing.assert_array_equal(retrain.features[0].numpy(), features[prepared.split.pool])
    np.testing.assert_array_equal(retrain.labels[retrain.candidates], prepared.design.labels)
    assert head_retrain(prepare(parse(recipe("loss"), base=BASE), store=tmp_path)) is None


def test_where_no_head_can_be_retrained_the_plan_says_so(tmp_path):
    audit = parse(recipe("cascading", "loss", transfer="full"), base=BASE)
    assert not can_retrain(prepare(audit, store=tmp_path))
    refused, other = pipeline.plan(audit, store=tmp_path).attacks
    assert refused.refused.startswith("retrains its shadows for each target, which needs heads on a frozen backbone")
    assert not other.refused
