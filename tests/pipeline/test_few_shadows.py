"""Audits with two shadows and with none: what runs, where thresholds come from, and what is said of it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from audits import BASE, material_in, table
from families.membership.measures.test_exposure import people
from flat import flat, problems
from supplied_models import SERIAL, fit, records, target

import dosimeter
from dosimeter.cli.screen import plan_lines
from dosimeter.config.audit import parse
from dosimeter.families.membership.measures.cross_fitting import CrossFit
from dosimeter.foundation.errors import ConfigError
from dosimeter.jobs.store import Store
from dosimeter.pipeline import verbs
from dosimeter.pipeline.recipe.prepare import prepare

REMEMBERS = {"rows": "0:400", "epochs": 80, "lr": 0.2}
NOT_CONTROLS = ["loss", "base online", "base offline"]
INPUTS, LABELS = records(600)
PARTS = {"members": (INPUTS[:300], LABELS[:300]), "nonmembers": (INPUTS[300:], LABELS[300:])}
MODEL = target(PARTS["members"])


def audit(folder, raw):
    """The result of an audit, and its folder."""
    verbs.run(parse(raw, base=BASE), folder / "run", workers=1)
    found = flat(json.loads((folder / "run" / "result.json").read_text()))
    assert problems(found) == []
    return found


def recipe(**threat):
    """A linear model that remembers digits."""
    raw = table(targets=1, **threat) if "targets" not in threat else table(**threat)
    raw["stage"][0] |= REMEMBERS
    return raw


def ran(found):
    """Ids of the attacks that ran and are no controls."""
    return [one["id"] for one in found["attacks"] if one["status"] == "ok" and not one["control"]]


def tpr(found, attack):
    """The row of the true positive rate at 10 %."""
    rows = [row for row in found["estimates"] if (row["attack"], row["metric"], row["fpr"]) == (attack, "tpr", 0.1)]
    return next(row for row in rows if row["threshold"] != "oracle")


@pytest.fixture(scope="module")
def with_two(tmp_path_factory):
    """Four models, all of them targets in turn, each before two shadows."""
    folder = tmp_path_factory.mktemp("two")
    return folder, audit(folder, recipe(shadows=2, targets=4))


def test_two_shadows_attack_and_halves_of_the_records_set_thresholds(with_two):
    folder, found = with_two
    assert ran(found) == NOT_CONTROLS
    assert {row["threshold"] for row in found["estimates"]} == {None, "split", "oracle"}
    material = material_in(folder / "run")
    assert isinstance(material.calibration, CrossFit)
    assert material.truth.is_member.shape[0] == 4
    assert found["verdict"]["status"] == "shown"
    assert found["verdict"]["attack"].startswith(("base", "choice"))
    row = tpr(found, "base online")
    assert row["low"] > 0.1 > row["fpr_low"]
    assert {gate["id"]: gate["status"] for gate in found["gates"]}["N1"] == "pass"
    assert found["exposure"]["status"] == "ok"
    assert found["exposure"]["models"] == 4


def test_two_shadows_beat_none(with_two, tmp_path):
    alone = audit(tmp_path, recipe(shadows=0, targets=2))
    assert ran(alone) == ["loss"]
    (area,) = [
        row["value"] for row in with_two[1]["estimates"] if (row["attack"], row["metric"]) == ("base online", "auc")
    ]
    (loss,) = [row["value"] for row in alone["estimates"] if (row["attack"], row["metric"]) == ("loss", "auc")]
    assert area > loss + 0.03
    assert alone["threat"]["shadows"] == 0
    assert "no shadow model, and such an audit may show leakage, never its absence" in alone["not_tested"][0]
    assert not [line for line in with_two[1]["not_tested"] if "no shadow model" in line]
    (control,) = [row for row in alone["estimates"] if (row["attack"], row["metric"]) == ("count", "auc")]
    assert control["value"] == 0.5
    assert "no shadow model" in " ".join(alone["verdict"]["sentences"]) or alone["verdict"]["status"] == "shown"


def test_an_audit_by_person_needs_no_rehearsal(tmp_path):
    raw = people(tmp_path, True)
    raw["threat"] |= {"shadows": 2, "targets": 4}
    raw["attack"] = [{"name": "base"}, {"name": "count"}]
    verbs.run(parse(raw, base=tmp_path), tmp_path / "run", workers=1)
    found = flat(json.loads((tmp_path / "run" / "result.json").read_text()))
    assert problems(found) == []
    pooled = found["exposure"]["persons"]["attack"]
    assert pooled["auc"]["low"] > 0.5
    assert pooled["reached"]["value"] == pytest.approx(pooled["fpr"], abs=0.06)
    material = material_in(tmp_path / "run")
    halves = material.calibration.halves
    for person in np.unique(material.persons):
        assert len(np.unique(halves[:, material.persons == person], axis=1).T) == 1


def test_canaries_are_judged_by_thresholds_of_all_halves(tmp_path):
    raw = recipe(shadows=2, targets=4, population=100, spike={"kinds": ["plain", "noise"], "count": 20, "copies": [8]})
    raw["attack"] = [{"name": "loss"}, {"name": "base"}]
    raw["stage"][0]["rows"] = "0:500"
    found = audit(tmp_path, raw)
    plain, noise = found["canaries"]
    assert (plain["status"], noise["status"]) == ("ok", "ok")
    assert noise["excess_low"] > 0  # a model remembers eight copies of noise
    material = material_in(tmp_path / "run")
    cuts = material.thresholds_of_canaries("base online", material.leading)
    own = material.thresholds("base online", material.leading)
    assert len(set(cuts)) == 1
    assert own.min() <= cuts[0] <= own.max()


def test_where_nothing_leaks_nothing_is_shown_and_the_limit_is_told(tmp_path):
    raw = table(shadows=2, targets=2)
    raw |= {"seed": 1, "attack": [{"name": "loss"}, {"name": "base"}]}
    raw["stage"][0] |= {"rows": "0:300", "epochs": 1, "lr": 0.001}
    found = audit(tmp_path, raw)
    assert found["verdict"]["status"] == "not_shown"
    assert "with 2\xa0shadow models" in found["verdict"]["sentences"][1]
    assert 0.1 < found["detection_limit"]["tpr"] < 1
    raw["threat"]["shadows"] = 0
    alone = audit(tmp_path / "none", raw)
    assert "with no shadow model" in alone["verdict"]["sentences"][1]


def test_a_supplied_model_with_two_shadows_is_attacked_with_them(tmp_path):
    wanted = {**PARTS, "workers": SERIAL, "attacks": ["loss", "base", "lira"]}
    found = flat(dosimeter.audit(MODEL, **wanted, fit=fit, shadows=2, out=tmp_path / "two").content)
    assert ran(found) == ["loss", "base online"]
    assert tpr(found, "base online")["threshold"] == "split"
    assert tpr(found, "base online")["value"] > tpr(found, "loss")["value"]
    (reason,) = [one["reason"] for one in found["attacks"] if one["status"] == "refused"]
    assert reason == "needs 2 shadows per record and side, got 1: raise shadows to 6"
    none = flat(dosimeter.audit(MODEL, **wanted, fit=fit, shadows=0, out=tmp_path / "none").content)
    assert ran(none) == ["loss"]
    assert none["threat"]["shadows"] == 0
    assert {one["reason"] for one in none["attacks"] if one["id"] == "base online"} == {
        "needs 1 shadows per record and side, got 0: raise shadows to 2"
    }


def test_a_plan_says_what_two_four_and_sixteen_shadows_would_cost_and_show(tmp_path):
    found = verbs.plan(parse(recipe(shadows=2), base=BASE), store=tmp_path / "store")
    assert "shadows: 2, so none rehearses; halves of the records set thresholds for each other" in found.notes
    two, four, sixteen = [note for note in found.notes if note.startswith("with ")]
    assert two.startswith(f"with 2 shadows: {', '.join(NOT_CONTROLS)} would run, and halves of the records set")
    assert "shadows that rehearse set thresholds (6 models, about" in four
    assert "lira online" in sixteen
    assert "(18 models, about" in sixteen
    assert any(line == f"Note: {two}" for line in plan_lines(found))
    raw = recipe(shadows=0)
    lines = plan_lines(verbs.plan(parse(raw, base=BASE), store=tmp_path / "store"))
    assert "  base online: REFUSED, needs 1 shadows per record and side, got 0: raise threat.shadows to 2" in lines
    assert not (tmp_path / "store").exists()


def test_the_sizes_of_a_plan_are_the_audits_that_would_be_run(tmp_path):
    given = {"targets": 6, "population": 60, "spike": {"count": 2}}
    case = prepare(parse(recipe(shadows=8, **given), base=BASE), store=Store(tmp_path)).case
    for told, other in case.sizes().items():
        shadows = int(told.split()[1])
        most = {2: 4, 4: 2, 16: 6}[shadows]
        raw = recipe(shadows=shadows, **{**given, "targets": most})
        same = prepare(parse(raw, base=BASE), store=Store(tmp_path)).case
        assert [job.key for job in other.jobs.observations] == [job.key for job in same.jobs.observations]
        assert other.definition() == same.definition()


@pytest.mark.parametrize(
    ("threat", "message"),
    [
        ({"shadows": 1}, "threat.shadows: must be even, since shadows come in complementary pairs, got 1: use 2"),
        (
            {"shadows": 2, "targets": 5},
            "threat.targets: must be at most 4, the number of models (shadows + 2 fold_pairs)",
        ),
        ({"shadows": 0, "targets": 3}, "threat.targets: must be at most 2, the number of models"),
        ({"shadows": 4, "targets": 3}, "threat.targets: must be at most shadows - 2 = 2, since two pairs of models"),
        (
            {"shadows": 2, "targets": 7, "fold_pairs": 3},
            "threat.targets: whole folds of 6 models must be whole, got 7 targets of 8 models",
        ),
        ({"shadows": -2}, "threat.shadows: must be at least 0"),
    ],
)
def test_impossible_numbers_are_refused_in_one_line(threat, message):
    with pytest.raises(ConfigError) as caught:
        parse(table(**{"targets": 1, **threat}), base=BASE)
    assert any(line.startswith(message) for line in caught.value.problems), caught.value.problems
