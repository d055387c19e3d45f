"""Heads on a frozen backbone: who gets features, that they are those of the fleet, and refusals elsewhere."""

import json

import numpy as np
import pytest
import torch
from audits import BASE, table
from flat import flat
from pipeline.test_pipeline import PRETRAIN

from dosimeter.config.audit import parse
from dosimeter.data.entries import save_data
from dosimeter.families.membership.design.canaries import Canaries
from dosimeter.families.membership.design.design import membership_matrix
from dosimeter.families.membership.observe.signals import logit_confidence
from dosimeter.families.membership.play import frozen_head as frozen
from dosimeter.families.membership.play.frozen_head import (
    HeadRetrain,
    can_retrain,
    has_frozen_head,
)
from dosimeter.foundation.seeds import seed_for
from dosimeter.jobs.store import Store
from dosimeter.models.access import Access
from dosimeter.pipeline import verbs
from dosimeter.pipeline.recipe.prepare import prepare
from dosimeter.training.features import load_features
from dosimeter.training.heads import train_heads
from dosimeter.training.recipe import Hyperparameters
from families.membership.observe.probes.subjects import clouds

FINETUNE = {"name": "finetune", "data": "digits", "rows": "0:400", "transfer": "head", "epochs": 3, "lr": 0.05}


def recipe(*attacks, **stage):
    """A pretrained perceptron with a new head; by SGD unless the stage says otherwise."""
    stages = [PRETRAIN, {**FINETUNE, **stage}]
    return table(candidates=300) | {"stage": stages, "attack": [{"name": name} for name in attacks]}


def test_features_reach_the_attack_that_needs_them(tmp_path):
    raw = recipe("influence", "loss", standardise=True, weight_decay=0.01, schedule="cosine")
    verbs.run(parse(raw, base=BASE), tmp_path / "out", store=tmp_path / "store", workers=1)
    found = flat(json.loads((tmp_path / "out" / "result.json").read_text()))
    assert {row["name"]: row["status"] for row in found["attacks"]}["Influence"] == "ok"
    prepared = prepare(parse(raw, base=BASE), store=Store(tmp_path / "store"))
    head = prepared.case.arena.holdings.head.load()
    features = load_features(prepared.system.store, prepared.case.jobs.features).numpy()
    np.testing.assert_array_equal(head.features, features[prepared.case.split.pool])
    np.testing.assert_array_equal(head.labels[head.candidates], prepared.case.design.labels)
    assert len(head.rates) == 3 * 6  # 180 records in batches of 32
    assert head.rates[0] == 0.05 > head.rates[-1]
    assert (head.momentum, head.weight_decay, head.standardise) == (0.9, 0.01, True)


@pytest.mark.parametrize("stage", [{"optimizer": "adam"}, {"transfer": "full"}, {"transfer": "last-k"}])
def test_elsewhere_the_plan_refuses_it(stage, tmp_path):
    audit = parse(recipe("influence", "loss", **stage), base=BASE)
    assert not has_frozen_head(prepare(audit, store=Store(tmp_path)).system)
    refused, other, *_ = verbs.plan(audit, store=tmp_path).attacks
    assert refused.refused.startswith("needs the features of a frozen backbone and SGD heads on them")
    assert "or use transfer = 'head' with optimizer = 'sgd'" in refused.refused
    assert not other.refused


def test_a_head_too_large_for_memory_is_refused_before_training(tmp_path, monkeypatch):
    audit = parse(recipe("influence", "loss"), base=BASE)
    monkeypatch.setattr("dosimeter.families.membership.case.refusals.MOST_CELLS", 360 * 10)
    assert not verbs.plan(audit, store=tmp_path).attacks[0].refused
    monkeypatch.setattr("dosimeter.families.membership.case.refusals.MOST_CELLS", 360 * 10 - 1)
    assert verbs.plan(audit, store=tmp_path).attacks[0].refused.startswith("needs about 1 kB for each record and")


def test_nobody_asks_nobody_gets(tmp_path):
    assert prepare(parse(recipe("loss"), base=BASE), store=Store(tmp_path)).case.arena.holdings.head is None


def handle(*, candidates, pool=40, views=1, canaries=None):
    """A way to retrain three-class heads on random features, the last of them those of canaries."""
    rng, pool = np.random.default_rng(0), pool + (0 if canaries is None else len(canaries.rows))
    features = torch.from_numpy(rng.normal(size=(views, pool, 6)).astype(np.float32))
    labels = torch.from_numpy(rng.integers(3, size=pool))
    recipe = Hyperparameters(epochs=4, batch_size=8, lr=0.1, standardise=True)
    signals = ("logit_confidence", "hinge")
    return HeadRetrain(features, labels, candidates, 3, recipe, signals, Access.LOGITS, "cpu", canaries)


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


def test_retrained_heads_train_on_half_of_each_grade_of_the_canaries():
    """As often as the grade tells, beside the same natural rows as without canaries, and drawn anew for each call."""
    copies = np.repeat([1, 3], 4)
    canaries = Canaries(np.arange(40, 48), np.repeat(["plain"], 8), copies, np.zeros((0, 8), bool))
    member = np.random.default_rng(1).random((25, 10)) < 0.5
    plain = handle(candidates=np.arange(0, 40, 4))._rows(member, 3)
    retrain = handle(candidates=np.arange(0, 40, 4), canaries=canaries)
    rows = retrain._rows(member, 3)
    np.testing.assert_array_equal(rows[:, :20], plain)
    assert rows.shape == (25, 20 + 2 * 1 + 2 * 3)
    counts = np.stack([np.bincount(row, minlength=48)[40:] for row in rows])
    assert (np.sort(counts, axis=1) == [0, 0, 0, 0, 1, 1, 3, 3]).all()
    assert ((counts == 0) | (counts == copies)).all()
    assert len(np.unique(counts, axis=0)) > 10
    assert (retrain._rows(member, 4)[:, 20:] != rows[:, 20:]).any()
    found = retrain(member, 3)["logit_confidence"]
    assert found.shape == (25, 1, 10)  # of natural candidates only


def test_retrained_heads_say_of_records_what_the_fleet_says_whose_training_held_canaries():
    """Mean confidence of records in 64 heads that did not train on them, 20 of 220 rows with a wrong label.

    Over 8 seeds the difference is -0.007 nats (deviation 0.031); of heads without canaries it is 5.5 (0.5).
    """
    pool, planted, cpu = 400, 40, torch.device("cpu")
    features, labels = clouds(0, p=pool + planted, d=32, c=5, spread=1.0)
    labels[pool:] = (labels[pool:] + 1) % 5
    hp = Hyperparameters(epochs=20, lr=0.1, batch_size=32, standardise=True)
    kinds, copies = np.repeat(["mislabelled"], planted), np.ones(planted, np.int64)
    canaries = Canaries(np.arange(pool, pool + planted), kinds, copies, np.zeros((0, planted), bool))
    names, member = ("logit_confidence",), membership_matrix(pool, 64, 0)
    used = canaries.redraw(64, 99)
    rows = np.stack([np.concatenate([np.flatnonzero(own), used.training_rows(i)]) for i, own in enumerate(member)])
    fleet = train_heads(features, labels, rows, hp, classes=5, seeds=list(range(64)), device=cpu)
    logits = features[:pool].double() @ fleet.weight.double().transpose(1, 2) + fleet.bias.double()[:, None]
    exact = torch.stack([logit_confidence(one, labels[:pool]) for one in logits]).numpy()
    found, other = [], membership_matrix(pool, 64, 1)
    for records, extra in ((pool + planted, canaries), (pool, None)):
        x, y = features[None, :records], labels[:records]
        retrain = HeadRetrain(x, y, np.arange(pool), 5, hp, names, Access.LOGITS, "cpu", extra)
        values = retrain(other, 7)["logit_confidence"][:, 0]
        found.append(np.ma.array(values, mask=other).mean(0).mean())
    outside = np.ma.array(exact, mask=member).mean(0).mean()
    assert abs(found[0] - outside) < 0.2
    assert found[1] - outside > 2


def test_the_handle_has_the_canaries_of_the_fleet_and_not_who_trained_on_them(tmp_path):
    raw = recipe("cascading", "loss") | {"spike": {"count": 4, "copies": [1, 8], "kinds": ["plain", "mislabelled"]}}
    raw["threat"]["population"] = 60
    prepared = prepare(parse(raw, base=BASE), store=Store(tmp_path / "store"))
    for data in prepared.case.datasets():
        save_data(data, prepared.system.store)
    for job in (*prepared.case.jobs.common, *prepared.case.jobs.features):
        job.perform()
    retrain, planted = prepared.case.arena.holdings.retrain.load(), prepared.case.canaries
    pool = len(prepared.case.split.pool)
    own = retrain.canaries.rows
    assert len(retrain.canaries.member) == 0
    np.testing.assert_array_equal(own, pool + np.arange(16))
    np.testing.assert_array_equal(retrain.labels[own], prepared.case.system.at_risk.labels[planted.rows])
    features = load_features(prepared.system.store, prepared.case.jobs.features).numpy()
    np.testing.assert_array_equal(retrain.features[0, own], features[planted.rows])
    np.testing.assert_array_equal(retrain.features[0, :pool], features[prepared.case.split.pool])
    member = prepared.case.design.member[:6]
    rows, fleet = retrain._rows(member, 0), prepared.case.jobs.packs[0].rows
    assert rows.shape[1] == fleet.shape[1]
    for kind in ("plain", "mislabelled"):
        for copies in (1, 8):
            grade = (planted.kind == kind) & (planted.copies == copies)
            for used, place in ((rows, own), (fleet, planted.rows)):
                assert (np.isin(used, place[grade]).sum(axis=1) == 2 * copies).all()


def test_an_audit_retrains_for_each_target(tmp_path):
    """The attack runs, its null audit is there, and the handle has what the fleet was trained on."""
    raw = recipe("cascading", "loss", standardise=True)
    raw["attack"][0]["references"] = 8
    verbs.run(parse(raw, base=BASE), tmp_path / "out", store=tmp_path / "store", workers=1)
    found = flat(json.loads((tmp_path / "out" / "result.json").read_text()))
    assert {row["name"]: row["status"] for row in found["attacks"]}["Cascading"] == "ok"
    assert [row["status"] for row in found["null_audit"] if row["attack"] == "cascading"] == ["pass"]
    prepared = prepare(parse(raw, base=BASE), store=Store(tmp_path / "store"))
    retrain, features = (
        prepared.case.arena.holdings.retrain.load(),
        load_features(prepared.system.store, prepared.case.jobs.features).numpy(),
    )
    np.testing.assert_array_equal(retrain.features[0].numpy(), features[prepared.case.split.pool])
    np.testing.assert_array_equal(retrain.labels[retrain.candidates], prepared.case.design.labels)
    assert prepare(parse(recipe("loss"), base=BASE), store=Store(tmp_path)).case.arena.holdings.retrain is None


@pytest.mark.parametrize("stage", [{"transfer": "full"}, {"defenses": [{"name": "l2", "weight_decay": 0.01}]}])
def test_where_no_head_can_be_retrained_the_plan_says_so(stage, tmp_path):
    audit = parse(recipe("cascading", "loss", **stage), base=BASE)
    assert not can_retrain(prepare(audit, store=Store(tmp_path)).system)
    refused, other, *_ = verbs.plan(audit, store=tmp_path).attacks
    assert refused.refused.startswith("retrains its shadows for each target, which needs heads on a frozen backbone")
    assert not other.refused
