"""The plan: what is cached and why not, refusals, estimates, and that nothing is trained or hangs."""

from __future__ import annotations

import time

import pytest
from audits import BASE, audit, table

from dosimeter import pipeline
from dosimeter._terminal import plan_lines
from dosimeter.config import parse
from dosimeter.preparation import prepare


def test_a_plan_counts_and_writes_nothing(tmp_path):
    found = pipeline.plan(audit(), store=tmp_path / "store")
    (stage,) = found.stages
    assert (stage.models, stage.cached, stage.reason) == (10, 0, "")
    assert found.key == prepare(audit(), store=tmp_path).key
    assert not (tmp_path / "store").exists()
    assert found.free > found.disk > 0
    assert found.memory > 1e8
    assert [attack.id for attack in found.attacks if attack.refused or not attack.needs] == ["influence"]


def test_a_plan_after_a_run_says_what_is_cached_and_what_differs(tmp_path):
    raw = table(shadows=4, targets=2)
    raw["stage"][0] |= {"rows": "0:200", "epochs": 1}
    raw["attack"] = [{"name": "loss"}]
    store = tmp_path / ".store"
    pipeline.run(parse(raw, base=BASE), tmp_path / "run", workers=1)
    done = pipeline.plan(parse(raw, base=BASE), store=store)
    assert [(stage.models, stage.cached, stage.reason) for stage in done.stages] == [(6, 6, "")]
    raw["threat"]["shadows"] = 6
    more = pipeline.plan(parse(raw, base=BASE), store=store)
    assert (more.stages[0].models, more.stages[0].cached) == (8, 6)
    raw["stage"][0]["momentum"] = 0.5
    other = pipeline.plan(parse(raw, base=BASE), store=store)
    assert other.stages[0].cached == 0
    assert "stage.hyperparameters.momentum: 0.9 there, 0.5 here" in other.stages[0].reason
    assert other.seconds > done.seconds


@pytest.mark.parametrize(
    ("threat", "attack", "reason"),
    [
        ({"access": "labels"}, {"name": "loss"}, "needs probs, but threat.access grants labels: grant it"),
        ({"access": "topk"}, {"name": "entropy"}, "needs probs, but threat.access grants topk: grant it"),
        ({"access": "labels"}, {"name": "shokri"}, "needs topk, but threat.access grants labels: grant it"),
        ({"population": 0}, {"name": "rmia"}, "needs a population of 10, got 0: raise threat.population"),
        ({"shadows": 4, "targets": 1}, {"name": "lira", "mode": "online"}, "raise threat.shadows to 6"),
    ],
)
def test_refusals_say_why_and_what_to_do(threat, attack, reason, tmp_path):
    raw = table(**threat) | {"attack": [attack]}
    found = pipeline.plan(parse(raw, base=BASE), store=tmp_path)
    assert reason in found.attacks[0].refused
    assert any("REFUSED" in line and reason in line for line in plan_lines(found))


def test_a_huge_plan_is_quick(tmp_path):
    raw = table(shadows=2000)
    raw["stage"][0] |= {"epochs": 100_000}
    raw["attack"] = [{"name": "loss"}]
    start = time.process_time()
    found = pipeline.plan(parse(raw, base=BASE), store=tmp_path)
    assert time.process_time() - start < 15
    assert found.stages[0].models == 2002
    assert found.seconds > 10_000


def test_the_estimate_grows_with_the_work(tmp_path):
    def seconds(**stage):
        raw = table()
        raw["stage"][0] |= {"model": "mlp", **stage}
        return pipeline.plan(parse(raw, base=BASE), store=tmp_path, workers=1).seconds

    short, long = seconds(epochs=10), seconds(epochs=1000)
    assert long > 3 * short
    both = pipeline.plan(audit(), store=tmp_path, workers=1).seconds
    assert both is not None
    assert both > 0


def test_too_little_space_is_noted(tmp_path, monkeypatch):
    monkeypatch.setattr("dosimeter.planning.shutil.disk_usage", lambda _: type("U", (), {"free": 10})())
    found = pipeline.plan(audit(), store=tmp_path)
    assert any("free space or choose --store" in note for note in found.notes)
