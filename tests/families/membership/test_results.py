"""From evidence to verdict, on fleets whose leakage is known."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from audits import gaussian, material
from flat import composed, problems, result

from dosimeter.config.attack_rows import named_attacks
from dosimeter.families.membership.attacks import default_rows
from dosimeter.families.membership.family import MEMBERSHIP
from dosimeter.families.membership.measures.material import choose_headline
from dosimeter.results.rounding import round_numbers


@pytest.fixture(scope="module")
def leaking():
    return material(*gaussian(1, leakage=2.0))


def estimate(found, **wanted):
    rows = [row for row in found["estimates"] if all(row[key] == value for key, value in wanted.items())]
    assert len(rows) == 1, wanted
    return rows[0]


def test_a_leak_is_shown_with_both_ends(leaking):
    found = round_numbers(result(leaking))
    assert problems(found) == []
    assert found["verdict"]["status"] == "shown"
    assert found["verdict"]["fpr"] == 0.01
    headline = found["verdict"]["attack"]
    assert next(row for row in found["attacks"] if row["headline"])["id"] == headline
    row = estimate(found, attack=headline, metric="tpr", fpr=0.01, threshold="shadow")
    assert row["low"] > row["fpr_high"]
    assert row["low"] <= row["value"] <= row["high"]
    assert row["n_nonmembers"] == 400
    assert f"{round(row['low'] * 200)} of 200" in found["verdict"]["sentences"][-2]
    for control in ("constant", "count"):
        assert estimate(found, attack=control, metric="auc")["value"] == 0.5


def test_controls_that_nobody_named_move_no_number_of_the_others():
    fleet = gaussian(1, leakage=1.0, n=120, targets=2, shadows=4)
    served = [(MEMBERSHIP, MEMBERSHIP.settings(), "threat")]
    (rows,) = named_attacks(["loss", "difficulty"], Path(), served)
    assert [row.id for row in rows if row.beside] == ["constant", "count"]
    alone, both = (composed(material(*fleet, rows=some))["threats"][0] for some in (rows[:2], rows))
    checks = [{gate["id"]: gate["status"] for gate in one["gates"]}["N2"] for one in (alone, both)]
    assert checks == ["warn", "pass"]
    parts = [(one["estimates"], one["null_audit"], one["details"]["log_mia"]) for one in (alone, both)]
    for few, more in zip(*parts, strict=True):
        assert few
        assert [row for row in more if row["attack"] not in ("constant", "count")] == few
    kept = ("status", "attack", "fpr", "p_auc", "p_tpr", "sentences")
    assert [both["verdict"][key] for key in kept] == [alone["verdict"][key] for key in kept]


def test_no_leak_is_not_shown_and_says_what_could_have_been_seen():
    found = round_numbers(result(material(*gaussian(2, leakage=0.0))))
    assert problems(found) == []
    assert found["verdict"]["status"] == "not_shown"
    text = " ".join(found["verdict"]["sentences"]).replace("\xa0", " ")
    assert "16 shadow models" in text
    assert "not excluded" in text


def test_ladder_says_which_rates_this_many_records_resolve(leaking):
    found = result(leaking)
    states = {
        fpr: estimate(found, attack="loss", metric="tpr", fpr=fpr, threshold="shadow")["status"]
        for fpr in (0.1, 0.01, 0.001, 0.0001)
    }
    assert states == {0.1: "ok", 0.01: "ok", 0.001: "not_resolvable", 0.0001: "not_resolvable"}
    refused = estimate(found, attack="loss", metric="tpr", fpr=0.001, threshold="shadow")
    assert refused["value"] is None
    assert "2995" in refused["reason"]


def test_the_leading_rate_moves_up_where_the_one_asked_for_cannot_be_certified():
    found = result(material(*gaussian(3, leakage=2.0, n=60, targets=1)))
    assert found["verdict"]["fpr"] == 0.1
    p2 = next(gate for gate in found["gates"] if gate["id"] == "P2")
    assert p2["status"] == "warn"
    assert "299" in p2["message"]


def test_too_few_records_for_any_rate_give_no_verdict():
    found = round_numbers(result(material(*gaussian(4, leakage=3.0, n=20, targets=1, z=20))))
    assert problems(found) == []
    assert found["verdict"]["status"] == "not_resolvable"
    assert "29" in found["verdict"]["sentences"][0]


def test_headline_is_chosen_without_the_targets(leaking):
    real = ["loss", "lira online", "lira offline", "base online"]
    leaking = dataclasses.replace(leaking, scores={name: leaking.scores[name] for name in real})
    same, chosen = choose_headline(leaking)
    assert same is leaking
    turned = dataclasses.replace(leaking.truth, is_member=~leaking.truth.is_member)
    scrambled = {name: np.random.default_rng(0).normal(size=one.shape) for name, one in leaking.scores.items()}
    assert choose_headline(dataclasses.replace(leaking, truth=turned, scores=scrambled))[1] == chosen
    assert chosen.startswith("lira")


def test_thresholds_come_from_rehearsal_alone(leaking):
    other = dataclasses.replace(leaking, scores={name: one * 0 for name, one in leaking.scores.items()})
    for fpr in (0.1, 0.01):
        np.testing.assert_array_equal(leaking.thresholds("loss", fpr), other.thresholds("loss", fpr))


def test_an_attack_that_reads_the_design_withdraws_the_audit(leaking):
    cheat = {**leaking.null_scores, "loss": leaking.null_truth.is_member.astype(float)}
    found = result(dataclasses.replace(leaking, null_scores=cheat))
    assert found["verdict"]["status"] == "withdrawn"
    assert "loss" in next(gate for gate in found["gates"] if gate["id"] == "N1")["message"]
    assert "No number" in found["verdict"]["sentences"][0]


def test_a_control_above_chance_withdraws_the_audit(leaking):
    cheat = {**leaking.scores, "count": leaking.truth.is_member.astype(float)}
    found = result(dataclasses.replace(leaking, scores=cheat))
    assert found["verdict"]["status"] == "withdrawn"
    assert next(gate for gate in found["gates"] if gate["id"] == "N2")["status"] == "fail"


def test_a_reversed_sign_is_warned_about_and_never_flipped(leaking):
    found = result(dataclasses.replace(leaking, scores={**leaking.scores, "loss": -leaking.scores["loss"]}))
    assert estimate(found, attack="loss", metric="auc")["value"] < 0.5
    gate = next(gate for gate in found["gates"] if gate["id"] == "P16")
    assert gate["status"] == "warn"
    assert "loss" in gate["message"]


def test_ties_at_the_threshold_are_counted_and_not_called(leaking):
    coarse = {name: np.round(one / 4) for name, one in leaking.scores.items()}
    rehearsed = {name: [np.round(one / 4) for one in blocks] for name, blocks in leaking.calibration.scores.items()}
    calibration = dataclasses.replace(leaking.calibration, scores=rehearsed)
    found = result(dataclasses.replace(leaking, scores=coarse, calibration=calibration))
    gate = next(gate for gate in found["gates"] if gate["id"] == "P8")
    assert gate["status"] == "warn"
    assert gate["value"] > 0.01


def test_precision_falls_with_the_prior(leaking):
    found = result(leaking)
    values = [
        estimate(found, attack="lira online", metric="precision", prior=prior)["value"] for prior in (0.5, 0.1, 0.01)
    ]
    assert values[0] > values[1] > values[2] > 0
    row = estimate(found, attack="lira online", metric="tpr", fpr=0.01, threshold="shadow")
    by_hand = 0.01 * row["value"] / (0.01 * row["value"] + 0.99 * row["fpr_reached"])
    assert values[2] == pytest.approx(by_hand)


def test_measuring_twice_gives_the_same(leaking):
    assert round_numbers(result(leaking)) == round_numbers(result(leaking))


def test_the_default_rows_are_the_default_attacks_in_every_mode():
    assert [" ".join(row.values()) for row in default_rows()] == [
        "loss", "lira online", "lira offline", "base online", "base offline", "fused online", "fused offline",
        "learned_ratio", "influence", "constant", "count",
    ]  # fmt: skip
