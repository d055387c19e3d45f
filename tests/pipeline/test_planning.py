"""The plan: what is cached and why not, refusals, estimates, and that nothing is trained or hangs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from audits import BASE, audit, table
from families.membership.test_frozen import recipe

from dosimeter.cli.screen import plan_lines
from dosimeter.config.audit import parse
from dosimeter.families.attack import NamedAttack
from dosimeter.families.membership.attacks import Cascading
from dosimeter.families.membership.observe.probes import iha
from dosimeter.families.membership.play import job as play_job
from dosimeter.foundation.errors import AuditError
from dosimeter.jobs.store import Store
from dosimeter.pipeline import verbs
from dosimeter.pipeline.recipe import durations
from dosimeter.pipeline.recipe.prepare import prepare


def test_a_plan_counts_and_writes_nothing(tmp_path):
    found = verbs.plan(audit(), store=tmp_path / "store")
    (stage,) = found.stages
    assert (stage.models, stage.cached, stage.reason) == (10, 0, "")
    assert found.key == prepare(audit(), store=Store(tmp_path)).key
    assert not (tmp_path / "store").exists()
    assert found.free > found.disk > 0
    assert found.memory > 1e8
    assert [attack.id for attack in found.attacks if attack.refused or not attack.needs] == ["influence"]


def test_a_plan_after_a_run_says_what_is_cached_and_what_differs(tmp_path):
    raw = table(shadows=4, targets=2)
    raw["stage"][0] |= {"rows": "0:200", "epochs": 1}
    raw["attack"] = [{"name": "loss"}]
    store = tmp_path / ".store"
    verbs.run(parse(raw, base=BASE), tmp_path / "run", workers=1)
    done = verbs.plan(parse(raw, base=BASE), store=store)
    assert [(stage.models, stage.cached, stage.reason) for stage in done.stages] == [(6, 6, "")]
    raw["threat"]["shadows"] = 6
    more = verbs.plan(parse(raw, base=BASE), store=store)
    assert (more.stages[0].models, more.stages[0].cached) == (8, 6)
    raw["stage"][0]["momentum"] = 0.5
    other = verbs.plan(parse(raw, base=BASE), store=store)
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
    found = verbs.plan(parse(raw, base=BASE), store=tmp_path)
    assert reason in found.attacks[0].refused
    assert any("REFUSED" in line and reason in line for line in plan_lines(found))


def test_attacks_stand_below_their_threat_where_there_are_several(tmp_path):
    raw = table() | {"attack": [{"name": "loss"}]}
    one = plan_lines(verbs.plan(parse(raw, base=BASE), store=tmp_path))
    again = raw | {"threat": [raw["threat"], {**raw["threat"], "id": "by-label", "access": "labels"}]}
    two = plan_lines(verbs.plan(parse(again, base=BASE), store=tmp_path))
    own, below = one.index("Attacks"), two.index("Attacks of threat membership")
    assert one[own + 1].startswith("  loss: needs ")
    assert two[below + 1 : below + 6] == [*one[own + 1 : own + 4], "", "Attacks of threat by-label"]
    assert two[below + 6].startswith("  loss: REFUSED, needs probs, but threat.access grants labels")
    assert two[below + 9] == ""  # after both controls


def test_a_huge_plan_trains_nothing(tmp_path, even_clock):
    """Its 2,002 models of 100,000 epochs would take days."""
    raw = table(shadows=2000)
    raw["stage"][0] |= {"epochs": 100_000}
    raw["attack"] = [{"name": "loss"}]
    found = verbs.plan(parse(raw, base=BASE), store=tmp_path, workers=1)
    assert found.stages[0].models == 2002
    assert found.seconds > 10_000


def test_the_estimate_grows_with_the_work(tmp_path, even_clock, monkeypatch):
    monkeypatch.setattr(durations, "LOADING", 0.0)  # which depends on what was imported before

    def seconds(**stage):
        raw = table()
        raw["stage"][0] |= {"model": "mlp", **stage}
        return verbs.plan(parse(raw, base=BASE), store=tmp_path, workers=1).seconds

    short, long = seconds(epochs=10), seconds(epochs=1000)
    assert long > 3 * short
    both = verbs.plan(audit(), store=tmp_path, workers=1).seconds
    assert both is not None
    assert both > 0


def test_too_little_space_is_noted(tmp_path, monkeypatch):
    monkeypatch.setattr("dosimeter.pipeline.plan.shutil.disk_usage", lambda _: type("U", (), {"free": 10})())
    found = verbs.plan(audit(), store=tmp_path)
    assert any("free space or choose --store" in note for note in found.notes)


@pytest.fixture
def by_the_book(monkeypatch):
    """A machine that takes 1 ms for a record and an epoch of a pack, 1 ns for a multiplication, and else nothing."""
    monkeypatch.setattr(durations, "_pace", lambda *_: 1e-3)
    monkeypatch.setattr(iha, "_products_per_second", lambda _: 1e9)
    monkeypatch.setattr(durations.Pace, "answer", lambda *_: 0.0)
    monkeypatch.setattr(durations, "JOB_SECONDS", 0.0)
    for name in ("SECONDS", "GAME_SECONDS"):
        monkeypatch.setattr(play_job, name, 0.0)
    real = durations.probe_prefix
    monkeypatch.setattr(durations, "probe_prefix", lambda one: (p := real(one)) and replace(p, seconds=0.0))


def seconds_of(tmp_path, *attacks, options=None, **stage):
    """The estimate of ten heads, each on half of a pool of 340, with these attacks."""
    raw = recipe(*attacks, **stage)
    raw["threat"] |= {"population": 60, "access": "weights"}
    raw["attack"][-1] |= options or {}
    return verbs.plan(parse(raw, base=BASE), store=tmp_path, workers=1).seconds


def test_shadows_that_an_attack_trains_anew_are_in_the_estimate(tmp_path, by_the_book):
    without = seconds_of(tmp_path, "loss")
    options = {"rounds": 2, "references": 8}
    # 4 targets, 4 null targets, 6 models that rehearse in each of 2 folds; half of 8 shadows are too few for lists
    games = 4 + 4 + 2 * 6
    each = 170 * 3 * 1e-3 / 10  # half of a pool of 340, 3 epochs, ten heads in a pack
    assert seconds_of(tmp_path, "loss", "cascading", options=options) - without == pytest.approx(16 * games * each)
    refused = seconds_of(tmp_path, "loss", "cascading", options=options, transfer="full")
    assert refused == pytest.approx(seconds_of(tmp_path, "loss", transfer="full"))


def test_students_and_hessians_are_in_the_estimate(tmp_path, by_the_book):
    without = seconds_of(tmp_path, "loss")
    assert seconds_of(tmp_path, "trajectory") - without == pytest.approx(10 * 60 * 1e-3)  # epochs, population
    prepared = prepare(parse(recipe("iha"), base=BASE), store=Store(tmp_path))
    width = durations.probe_prefix(prepared.system).one.numel()
    each = iha.hessian_seconds(400, 340, width=width, classes=10)
    assert seconds_of(tmp_path, "iha") - without == pytest.approx(10 * each)


@pytest.mark.parametrize(("width", "classes"), [(20, 3), (600, 40)])
def test_the_work_of_a_hessian(width, classes, by_the_book):
    side = min(width + 1, 400)
    unknowns = classes * side
    found = iha.hessian_seconds(400, 300, width=width, classes=classes)
    if width == 20:  # one matrix: its products, its factor, and two triangles for each record
        expected = 300 * unknowns**2 + unknowns**3 / 6 + 400 * unknowns**2 + 300 * classes * side**2
    else:
        step = 400 * (2 * 300 * unknowns + classes * side**2)
        expected = iha.GRADIENT_STEPS * step + 300 * classes * side**2
    assert found == pytest.approx(expected / 1e9)


def test_training_by_a_plug_in_is_said_not_to_be_in_the_estimate(tmp_path, monkeypatch):
    monkeypatch.delattr(Cascading, "trainings")
    found = verbs.plan(parse(recipe("loss", "cascading"), base=BASE), store=tmp_path)
    assert "time: the estimate leaves out the models that cascading trains" in found.notes


def test_needs_are_told_in_words(tmp_path):
    found = verbs.plan(parse(recipe("influence", "cascading", "proxy"), base=BASE), store=tmp_path).attacks
    told = {one.id: one.needs for one in found}
    assert "features of a frozen backbone" in told["influence"]
    assert "shadows trained anew" in told["cascading"]


def test_what_an_attack_says_of_its_settings_and_trainings_is_checked():
    class Odd(Cascading):
        trainings = "many"

        def effective(self, classes):
            return None

    row = NamedAttack("odd", "odd", Odd())
    with pytest.raises(AuditError, match=r"attack 'odd': `trainings` must be a whole number from 0, got 'many'"):
        _ = row.trainings
    with pytest.raises(AuditError, match=r"attack 'odd': `effective` must give a table of settings, got None"):
        row.settings_for(2)
    assert NamedAttack("own", "cascading", Cascading(rounds=2, references=8)).trainings == 16
