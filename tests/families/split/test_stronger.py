"""Audits of split with attacks that use a half of the model, with repeated queries, and with the classifier's rows."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import torch

from dosimeter.families.family import CaseFolder
from dosimeter.families.split.measures.measured import Measured
from dosimeter.families.split.measures.shown import Decisions
from dosimeter.families.split.play.halves import CutModel
from dosimeter.families.split.play.recogniser import recognisable
from dosimeter.families.split.stored import read_left
from dosimeter.jobs.store import Store
from dosimeter.models.architectures import as_float
from families.split.games import audit, people
from families.split.test_case import done, prepared, rows_of, run, sided

FOLLOWING = ("white_box", "latent_prior principal")
WEAK = {"name": "output_only", "mode": "input", "epochs": 1, "penalties": [10.0]}
"""A floor that is much weaker than it could be."""
STRONG = [
    {"name": "white_box", "steps": 40},
    {"name": "latent_prior", "steps": 40, "latent": 9},
    {"name": "shadow", "epochs": 8},
    {"name": "decensor", "epochs": 8},
    {"name": "attribute_pool", "classifiers": ["logistic"]},
    {"name": "output_only", "mode": "input", "epochs": 5},
    {"name": "output_only", "mode": "attribute", "classifiers": ["logistic"]},
    {"name": "raw_input", "classifiers": ["logistic"]},
    {"name": "random_decoder", "epochs": 3, "queries": 100},
    {"name": "mean_input"},
]


@dataclass(frozen=True)
class Shaken:
    """Add Gaussian noise."""

    paper: ClassVar[str] = "none; a toy"
    place: ClassVar[str] = "cut"
    ladder: ClassVar = ({"spread": 0.5}, {"spread": 1.0}, {"spread": 2.0})
    spread: float = 1.0

    def send(self, features, rng):
        return features + self.spread * torch.from_numpy(rng.standard_normal(tuple(features.shape), dtype=np.float32))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def finished(tmp_path_factory, store):
    folder = tmp_path_factory.mktemp("strong") / "run"
    return run(audit(STRONG, lineup=30), folder, store), folder


def at(rows, cut):
    (row,) = [row for row in rows if row["conditions"].get("cut") == cut]
    return row


def test_stronger_attacks_are_at_each_cut_and_on_the_answers(finished):
    result, folder = finished
    (threat,) = result["threats"]
    assert {one["status"] for one in threat["attacks"]} == {"ok"}
    assert {gate["id"] for gate in threat["gates"] if gate["status"] != "pass"} <= {"S1"}  # trained for few epochs
    mean = rows_of(threat, "mse", "mean_input")[0]["value"]
    for name in FOLLOWING:
        rows = rows_of(threat, "mse", name)
        assert [row["conditions"].get("cut") for row in rows] == ["2", "4", None]
        assert at(rows, "2")["value"] < 0.7 * mean
        assert at(rows, "2")["value"] < at(rows, None)["value"]
    assert [row["conditions"].get("cut") for row in rows_of(threat, "attribute_auc", "decensor")] == ["2", "4", None]
    assert [row["conditions"].get("cut") for row in rows_of(threat, "mse", "random_decoder")] == ["2", "4"]
    assert not any(one["attack"] == "random_decoder" for one in threat["details"]["tests"])
    page = (folder / "report.html").read_text("utf-8")
    for text in ("the same attack on answers alone", "yardstick: no finding is made of it", "Class recognised"):
        assert text in page
    open_ends = " ".join(threat["not_tested"])
    assert "averages out" in open_ends
    assert "follow the weights" not in open_ends


def test_a_classifier_recognises_the_class_of_reconstructions_beside_true_inputs(finished):
    result, folder = finished
    (threat,) = result["threats"]
    true = threat["details"]["recogniser"]
    assert true["low"] <= true["value"] <= true["high"]
    assert true["value"] > 0.8
    rows = {name: at(rows_of(threat, "recognised_class", name), "2") for name in FOLLOWING}
    assert all(0.4 < row["value"] <= true["value"] + 0.05 for row in rows.values())
    assert rows_of(threat, "recognised_class", "mean_input")[0]["value"] < 0.4
    assert f"{true['value']:.0%}".rstrip("%") in (folder / "report.html").read_text("utf-8")


def test_the_twin_keeps_a_strong_attack_from_beating_a_weak_floor(tmp_path, store):
    """Features that answers hold too are not to blame: only the attack is better than `output_only` is here."""
    raw = audit([{"name": "white_box", "steps": 60}, WEAK, {"name": "mean_input"}], model="turned", attributes=[])
    (threat,) = run(raw, tmp_path / "run", store)["threats"]
    (test,) = threat["details"]["tests"]
    assert test["above_chance"]
    assert not test["shown"]
    left = left_of(tmp_path / "run")
    for one in left.summary["attacks"]:
        one["counterpart"] = False
    (without,) = Decisions(Measured(left)).all
    assert without.shown


def left_of(folder):
    """What a run left of its only threat."""
    whole = json.loads((folder / "run.json").read_text())
    return read_left(CaseFolder(folder / "threats" / "split", {**whole, **whole["threats"][0]}))


def test_who_knows_nothing_of_the_first_half_attacks_with_the_second_one(tmp_path, store):
    raw = audit([{"name": "shadow", "epochs": 20}, {"name": "ridge"}, {"name": "mean_input"}], knows="nothing")
    raw["threat"]["attributes"] = []
    (threat,) = run(raw, tmp_path / "run", store)["threats"]
    status = {one["id"]: one["status"] for one in threat["attacks"]}
    assert status == {"shadow": "ok", "ridge": "refused", "mean_input": "ok"}
    assert all(one["p_floor"] is not None for one in threat["details"]["tests"])  # its counterpart, on the answers


def test_who_has_no_weights_cannot_follow_them(tmp_path):
    case = prepared(audit(STRONG, knows="queries"), tmp_path).cases["split"]
    assert set(case.refusals()) == {"white_box", "latent_prior principal"}


def test_games_hold_what_an_attack_may_know_and_no_more(tmp_path):
    case = done(audit(STRONG), tmp_path)
    for own in case.plays:
        knows, game = own.row.attack.needs.knows, own.all[0].game()
        assert (game.half is not None) == (knows == "weights")
        assert (game.asked is None) == (knows == "nothing" or own.row.attack.needs.reads == "inputs")
        assert (game.rest is not None) == (own.row.name == "shadow")
        assert len(game.auxiliary.seen) == (0 if knows == "nothing" else len(game.auxiliary.inputs))


def test_halves_of_a_game_are_those_of_the_model(tmp_path):
    case = done(audit(STRONG[:1] + STRONG[2:3] + STRONG[-1:], attributes=[]), tmp_path)
    white, shadow, *_ = case.plays
    known = as_float(Store(tmp_path).load(white.all[0].record.data[1])["inputs"])
    answers = white.all[0].record.load(None)[1]
    for play, other in zip(white.real[0][0], shadow.real[0][0], strict=True):
        game, kept = play.game(), known.clone()
        records = known.clone().requires_grad_(True)
        made = game.half.features(records)
        assert torch.allclose(made, game.auxiliary.seen, atol=1e-6)
        assert torch.equal(game.asked.sent(known, np.random.default_rng(0)), made)
        assert torch.allclose(other.game().rest(made), answers, atol=1e-5)
        (slope,) = torch.autograd.grad(made.sum(), records)
        assert bool(slope.abs().sum() > 0)
        assert torch.equal(known, kept)  # no layer that changes its input in place reaches the adversary's records


def test_gradients_go_through_a_defense_as_if_it_changed_nothing(tmp_path):
    raw = audit(STRONG[:1] + STRONG[-1:], attributes=[], cuts=["2"])
    raw["stage"][0]["defenses"] = [{"name": "families.split.test_stronger:Shaken", "spread": 0.5}]
    play = done(raw, tmp_path).plays[0].all[0]
    half = CutModel(play.record, 0)
    game, records = play.game(), as_float(play.store.load(play.record.data[1])["inputs"][:50])
    assert game.half.random
    one, other = (game.half.sent(records, np.random.default_rng(seed)) for seed in (0, 1))
    assert not torch.equal(one, other)
    assert float((one - half.features(records)).std()) == pytest.approx(0.5, rel=0.1)
    asked = records.clone().requires_grad_(True)
    slopes = [torch.autograd.grad(made.sum(), asked)[0] for made in (
        game.half.sent(asked, np.random.default_rng(0)), half.features(asked),
    )]  # fmt: skip
    assert torch.equal(*slopes)


def repeated(*repeats, **changes):
    """An audit with threats that differ in how often each record is sent."""
    raw = audit([{"name": "ridge"}, {"name": "output_only", "mode": "input", "epochs": 2}, {"name": "mean_input"}])
    raw["threat"] |= {"attributes": [], "cuts": ["2"], **changes}
    raw["threat"] = [{**raw["threat"], "id": f"r{one}", "repeats": one} for one in repeats]
    raw["stage"][0]["defenses"] = [{"name": "families.split.test_stronger:Shaken", "spread": 0.5}]
    return raw


@pytest.mark.parametrize("times", [(1, 128), pytest.param((1, 8, 64, 512), marks=pytest.mark.slow)], ids=len)
def test_repeated_queries_average_a_defense_away(times, tmp_path, store):
    """S11: the mean of more queries is nearer to what is sent without noise, and the record with it."""
    result = run(repeated(*times), tmp_path / "noisy", store)
    errors, picked = [], []
    for threat, repeats in zip(result["threats"], times, strict=True):
        (row,) = rows_of(threat, "mse", "ridge")
        assert row["conditions"].get("repeats", 1) == repeats
        errors.append(row["value"])
        picked.append(rows_of(threat, "input_place", "ridge")[0]["value"])
        assert threat["adversary"]["repeats"] == repeats
    plain = repeated(1)
    del plain["stage"][0]["defenses"]
    (threat,) = run(plain, tmp_path / "plain", store)["threats"]
    (clean,) = rows_of(threat, "mse", "ridge")
    assert errors == sorted(errors, reverse=True)
    assert picked == sorted(picked)
    assert errors[0] > 2 * clean["value"]
    assert errors[-1] - clean["value"] < 0.2 * (errors[0] - clean["value"])
    page = (tmp_path / "noisy" / "report.html").read_text("utf-8")
    assert f"Each is sent {times[-1]} times, and they take the mean." in page


def test_repeats_change_nothing_where_nothing_is_random(tmp_path):
    raw = repeated(1, 8)
    del raw["stage"][0]["defenses"]
    cases = prepared(raw, tmp_path).cases
    assert cases["r1"].recordings[0].key == cases["r8"].recordings[0].key
    assert any(line.startswith("repeats: no defense changes") for line in cases["r8"].notes())


def test_classes_are_recognised_where_the_auxiliary_records_show_them():
    assert recognisable(people(0), people(1))
    assert not recognisable(people(0), people(1, count=8))
    assert not recognisable(people(0), sided(0))


HIDDEN = [
    {"name": "label_inference"},
    {"name": "attribute_pool", "classifiers": ["logistic"]},
    {"name": "output_only", "mode": "attribute", "classifiers": ["logistic"]},
    {"name": "shadow"},
    {"name": "mean_input"},
]


def test_labels_are_inferred_where_nobody_sees_answers(tmp_path, store):
    raw = audit(HIDDEN, answers="hidden", attributes=["label"], labels=80, cuts=["4"])
    (threat,) = run(raw, tmp_path / "run", store)["threats"]
    assert {one["id"]: one["status"] for one in threat["attacks"]} == {
        "label_inference": "ok", "attribute_pool": "ok", "output_only attribute": "refused", "shadow": "refused",
        "mean_input": "ok", "raw_input": "ok", "attribute_coin": "ok",
    }  # fmt: skip
    (row,) = rows_of(threat, "attribute_auc", "label_inference")  # no counterpart
    assert row["low"] > 0.7
    assert all(one["p_floor"] is None for one in threat["details"]["tests"])
    assert threat["verdict"]["status"] == "shown"
    assert (
        "learns something of the attribute “label”, of which they see no answer." in threat["verdict"]["sentences"][0]
    )
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert "but no answers of the model." in page
    assert "If features told nothing," in page


def test_a_class_that_is_sought_is_not_given_away(tmp_path):
    case = done(audit(HIDDEN, answers="hidden", attributes=["label"], labels=80, cuts=["4"]), tmp_path)
    game = case.plays[0].all[0].game()
    assert (game.auxiliary.labels >= 0).sum() == 80
    assert np.array_equal(np.flatnonzero(game.auxiliary.labels >= 0), game.secret.rows)


def test_the_floor_of_a_cut_is_what_the_same_attacks_find_in_the_answers_there(tmp_path):
    raw = audit(STRONG[:1] + [{"name": "mean_input"}], attributes=[], cuts=["2", "4"])
    raw["stage"][0]["defenses"] = [{"name": "noise", "scale": 0.2}]
    case = done(raw, tmp_path)
    (own,) = [one for one in case.plays if one.row.name == STRONG[0]["name"]]
    told = [(one.source, one.counterpart) for one in own.real[0][0]]
    assert told == [(0, False), (1, False), (0, True), (1, True)]
    features, answers = own.real[0][0][1], own.real[0][0][3]
    assert torch.equal(answers.game().seen, features.record.load(1, answers=True)[0])
    records = as_float(features.store.load(features.record.data[1])["inputs"][:20])
    game, whole = answers.game(), CutModel(features.record, 1)
    rng = np.random.default_rng(0)
    sent = features.game().asked.sent(records, np.random.default_rng(0))
    torch.testing.assert_close(game.asked.sent(records, rng), whole.server(sent), rtol=1e-5, atol=1e-5)
    asked = records.clone().requires_grad_(True)
    (slope,) = torch.autograd.grad(game.half.sent(asked, rng).sum(), asked)
    assert float(slope.abs().sum()) > 0
    assert len({one.key for one in own.all}) == len(own.all)


def test_answers_to_repeated_sends_are_averaged_too_and_accuracy_is_that_of_one(tmp_path):
    raw = repeated(64, cuts=["2"])
    raw["threat"] = {key: one for key, one in raw["threat"][0].items() if key != "id"}
    raw["stage"][0]["defenses"] = [{"name": "noise", "scale": 0.5}]
    case = done(raw, tmp_path)
    (job,) = case.recordings
    bare = replace(job, releases=())
    bare.perform()
    clean, mean, once = bare.answered(None), job.load(0, answers=True)[0], job.answered(0)
    assert float((mean - clean).std()) < 0.7 * float((once - clean).std())
    single = replace(job, repeats=1)
    single.perform()
    torch.testing.assert_close(single.answered(0), once)
    torch.testing.assert_close(
        torch.from_numpy(job.information(0)["trace"]), 64 * torch.from_numpy(single.information(0)["trace"])
    )
