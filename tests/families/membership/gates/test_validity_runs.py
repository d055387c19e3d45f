"""Checks on what a run chose, reached and trained: one case that fires, one that does not."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from audits import attacks, gaussian, material
from flat import own_view, result

from dosimeter.data.gates import copies, near_duplicates
from dosimeter.families.membership.attacks import ATTACKS
from dosimeter.families.membership.gates.asked import sign, unlike_target
from dosimeter.families.membership.gates.null import control_gate, null_gate
from dosimeter.families.membership.gates.numbers import saturation, ties
from dosimeter.families.membership.gates.runs import (
    between_targets,
    chosen_settings,
    learning,
    many_attacks,
    pooling,
    reached_threshold,
    worst_case,
)
from dosimeter.families.membership.observe.saturation import SATURATED
from dosimeter.families.membership.section.adversary import facts
from dosimeter.families.membership.table.gates import missing_scores
from dosimeter.models.access import Access
from dosimeter.results.rows import Row
from dosimeter.statistics.estimate import Estimate
from dosimeter.statistics.evidence import Truth
from dosimeter.statistics.rates import Randomisation, RatePair

LOSS = tuple(row for row in attacks() if row.id == "loss")
LIRA = tuple(row for row in attacks() if row.id == "lira online")


def gate(content, name):
    return next((one for one in content["gates"] if one["id"] == name), None)


@pytest.fixture(scope="module")
def fleet():
    design, observations = gaussian(1, leakage=2.0, n=300, shadows=24)
    return dataclasses.replace(design, rehearsals=8), observations


@pytest.fixture(scope="module")
def by_loss(fleet):
    return material(*fleet, rows=LOSS)


@pytest.fixture(scope="module")
def found(fleet):
    return result(material(*fleet, rows=LIRA))


def test_a_sound_audit_passes_all_of_them(found):
    states = {one["id"]: one["status"] for one in found["gates"]}
    assert {states[one] for one in ("P1", "P3", "P5", "P6", "P7", "P14")} == {"pass"}


def pair(fpr, low, high):
    def rate(*ends):
        return Estimate(*ends, 0.975, "", 100, 100, 1)

    return RatePair(rate(0.5, 0.4, 0.6), rate(fpr, low, high), rate(0.4, 0.3, 0.5))


def test_p3_a_threshold_that_misses_its_rate_is_told():
    assert reached_threshold(pair(0.03, 0.015, 0.05), 0.01).status == "warn"
    kept = reached_threshold(pair(0.012, 0.004, 0.02), 0.01)
    assert kept.status == "pass"
    assert kept.value == 0.012
    assert "do not tell" in reached_threshold(pair(0.1, 0.0, 0.99), 0.01).message


def test_p3_fires_on_thresholds_from_models_unlike_the_target(by_loss):
    lower = {name: [one - 3 for one in blocks] for name, blocks in by_loss.calibration.scores.items()}
    moved = dataclasses.replace(by_loss, calibration=dataclasses.replace(by_loss.calibration, scores=lower))
    assert gate(result(moved), "P3")["status"] == "warn"


def test_p5_an_attack_without_record_levels_is_told(by_loss):
    fired = gate(result(by_loss), "P5")
    assert fired["status"] == "warn"
    assert fired["value"] > 0.05
    assert "understates" in fired["message"]


def test_p5_is_the_difference_of_two_aucs():
    rng = np.random.default_rng(0)
    bits = np.arange(200)[None] % 2 == 0
    level = 5 * rng.normal(size=(1, 200))
    truth = Truth(np.arange(200).astype(str), bits, np.arange(200))
    own = rng.normal(size=(1, 200)) + bits
    assert pooling(own + level, level, truth).status == "warn"
    assert pooling(own, np.zeros((1, 200)), truth).value == 0.0


def many(targets, rates, n=400, seed=0):
    """Calls of targets at given rates, and the truth."""
    rng = np.random.default_rng(seed)
    member = rng.random((targets, n)) < 0.5
    hits = rng.random((targets, n)) < np.array(rates)[:, None]
    return hits, Truth(np.arange(n).astype(str), member, np.arange(n))


def test_p6_few_targets_and_wild_targets_are_told():
    assert between_targets(*many(6, [0.3] * 6)).status == "pass"
    assert between_targets(*many(4, [0.3] * 4)).status == "warn"
    assert between_targets(*many(1, [0.3])).value == 1
    assert between_targets(*many(6, [0.02, 0.02, 0.02, 0.02, 0.9, 0.02])).status == "warn"


def test_p6_agreement_is_the_pooled_jaccard_of_pairs():
    hits, truth = many(5, [0.4] * 5)
    both = either = 0
    for i in range(5):
        for j in range(i):
            shared = truth.is_member[i] & truth.is_member[j]
            both += (hits[i] & hits[j] & shared).sum()
            either += ((hits[i] | hits[j]) & shared).sum()
    assert f"{both / either:.0%} are called under both" in between_targets(hits, truth).message
    assert "under both" not in between_targets(np.zeros_like(hits), truth).message


def rows(**settings):
    kinds = {kind.__name__: kind for kind in ATTACKS.values()}
    defaults = [{"id": row.id, "name": type(row.attack).__name__, "settings": row.settings} for row in attacks()]
    own = {"id": "mine", "name": "Mine", "settings": settings}
    return chosen_settings([*defaults, own], kinds)


def test_p7_settings_that_somebody_chose_are_named():
    assert rows().status == "pass"
    fired = rows(power=3)
    assert fired.status == "warn"
    assert "mine (power)" in fired.message
    kinds = {kind.__name__: kind for kind in ATTACKS.values()}
    changed = {"id": "lira", "name": "LiRA", "settings": {**LIRA[0].settings, "variance": "global"}}
    assert "lira (variance)" in chosen_settings([changed], kinds).message


def accuracies(train, nonmember, half=0.03):
    return [
        Row(
            "membership", "utility", "s", "none", None, "accuracy", conditions={"split": split}, value=value,
            low=value - half, high=value + half,
        )
        for split, value in (("train", train), ("nonmember", nonmember))
    ]  # fmt: skip


def test_p10_models_that_learned_nothing_or_only_remember_are_told():
    assert learning(accuracies(0.95, 0.9), 0.1).status == "pass"
    assert "most frequent class" in learning(accuracies(0.12, 0.11), 0.1).message
    assert learning(accuracies(0.96, 0.95), 0.95).status == "warn"
    fired = learning(accuracies(1.0, 0.6), 0.1)
    assert fired.status == "warn"
    assert fired.value == pytest.approx(0.4)


def test_p14_an_attack_that_finds_what_the_headline_misses_is_told():
    nothing, much = Randomisation(0.4, 0.6, 1000), Randomisation(0.001, 0.3, 1000)
    assert many_attacks({"a": nothing, "b": nothing}, "a", shown=False, rates=4, chosen="before").status == "pass"
    fired = many_attacks({"a": nothing, "b": much}, "a", shown=False, rates=4, chosen="before")
    assert fired.status == "warn"
    assert fired.value == pytest.approx(2 * 2 * 0.001)
    assert "b tells members apart though a does not" in fired.message
    assert many_attacks({"a": nothing, "b": much}, "b", shown=True, rates=4, chosen="before").status == "pass"


def test_the_headline_never_has_an_oracle_threshold(found):
    """P3 by construction: what the verdict rests on is no row whose threshold was read off the targets."""
    own = [one for one in found["estimates"] if one["attack"] == found["verdict"]["attack"] and one["metric"] == "tpr"]
    told = " ".join(found["verdict"]["sentences"])
    lead = [one for one in own if one["fpr"] == found["verdict"]["fpr"]]
    shadow = next(one for one in lead if one["threshold"] == "shadow")
    members = found["data"]["members_per_target"]
    assert f"at least {shadow['low'] * members:.0f} of {members}" in told


@pytest.mark.parametrize(
    ("door", "targets", "kind"),
    [("recipe", 8, "Multi-run"), ("recipe", 1, "One-run"), ("model", 1, "zero-run"), ("scores", 3, "zero-run")],
)
def test_the_report_says_what_kind_of_audit_it_is(found, door, targets, kind):
    """P12 by construction."""
    other = {**found, "door": door, "threat": {**found["threat"], "targets": targets}}
    assert kind in dict(facts(own_view(other)))["Kind of audit"]


def grade(tpr, unused, **more):
    """A row of `canaries`."""
    return {
        "status": "ok", "kind": "noise", "copies": 1, "tpr": tpr, "fpr_reached": unused, "fpr_low": unused / 2,
        "excess": tpr - unused, "excess_low": tpr - unused - 0.1, "excess_high": tpr - unused + 0.1, "p": 0.001,
        "auc": 0.9, "fpr": 0.01, **more,
    }  # fmt: skip


def test_p4_canaries_that_are_not_found_are_told():
    fired = worst_case([grade(0.02, 0.01, p=0.2)], np.array([0.0, 0.1]), Estimate(0.01, 0.0, 0.05, 0.975, "", 9, 9, 1))
    assert fired.status == "warn"
    assert "No planted record is shown to be found" in fired.message


def test_p8_scores_that_are_all_the_same_are_no_evidence():
    scores, cuts = {"a": np.zeros((2, 50)), "b": np.arange(100.0).reshape(2, 50)}, {"a": np.zeros(2), "b": np.ones(2)}
    assert ties(scores, cuts, "a").status == "fail"
    assert ties(scores, cuts, "b").status == "warn"  # of another attack than the headline it is told only


def test_p9_copies_in_a_recipe_are_told():
    assert copies(np.arange(400), {"stage finetune": 4}).status == "pass"
    few = copies(np.append(np.arange(398), [0, 1]), {})
    assert (few.status, few.value) == ("pass", 4)
    many = copies(np.arange(400) // 10, {})
    assert (many.status, many.value) == ("warn", 400)
    assert "40 are different" in many.message


@pytest.mark.parametrize(("count", "status"), [(5, "warn"), (200, "warn"), (201, "fail"), (400, "fail")])
def test_p9_judged_records_that_are_used_elsewhere_are_told(count, status):
    fired = copies(np.arange(400), {"stage finetune": count, "stage align": 0})
    assert (fired.status, fired.value) == (status, count)
    assert f"{count} in stage finetune: one that counts as unused was used there" in fired.message


def test_p9_near_copies_between_members_and_others_are_told():
    assert near_duplicates(0, "", remarkable=False).status == "pass"
    assert near_duplicates(3, "3 pairs", remarkable=False).status == "pass"
    assert near_duplicates(3, "3 pairs", remarkable=True).status == "warn"


@pytest.mark.parametrize(
    ("members", "target", "status"),
    [(30, 0.6, "warn"), (1000, 0.6, "fail"), (1000, 0.85, "pass"), (10, 0.9, "pass"), (1000, 1.0, "fail")],
)
def test_p11_differences_that_few_records_explain_withdraw_nothing(members, target, status):
    assert unlike_target(members, members, [target, 0.79, 0.8, 0.81, 0.8]).status == status


def test_p11_a_sound_audit_of_few_records_is_hardly_ever_withdrawn():
    rng = np.random.default_rng(0)
    accuracies = rng.binomial(30, 0.7, (2000, 17)) / 30
    failed = [unlike_target(30, 30, one.tolist()).status == "fail" for one in accuracies]
    assert np.mean(failed) < 0.01


def one_auc(value, half):
    """An AUC with an interval."""
    return Estimate(value, value - half, value + half, 0.95, "by hand", 50, 50, 1)


def test_p16_a_sign_that_is_surely_wrong_is_no_absence_of_a_leak():
    aucs = {"a": one_auc(0.4, 0.05), "b": one_auc(0.7, 0.1)}
    wide = {name: one_auc(one.value, 0.2) for name, one in aucs.items()}
    told = {"headline": "b", "door": "scores"}
    assert sign(aucs, wide, shown=False, **told).status == "warn"  # below one half, but not at 1 in 1,000
    assert sign(aucs, aucs, shown=True, **told).status == "warn"  # beside a leak that is shown
    assert sign(aucs, aucs, shown=False, **told).status == "fail"
    assert sign(aucs, aucs, shown=True, headline="a", door="model").status == "fail"
    assert sign({"b": aucs["b"]}, {"b": aucs["b"]}, shown=False, **told).status == "pass"


def test_p15_probabilities_that_round_to_one_are_told():
    signals = {"logit_confidence": np.full((2, 10), SATURATED)}
    assert saturation(signals, Access.PROBS).status == "warn"
    assert saturation(signals, Access.LOGITS).status == "pass"
    whole = {"scaled_confidences": np.stack([np.full((2, 10), SATURATED), np.full((2, 10), -SATURATED)], -1)}
    assert saturation(whole, Access.PROBS).value == 1


@pytest.mark.parametrize(
    ("missing", "status"),
    [([[0, 0]], "pass"), ([[20, 22]], "warn"), ([[30, 0]], "fail"), ([[5, 5], [0, 40]], "fail")],
)
def test_i3_scores_that_are_missing_for_one_class_are_no_scores(missing, status):
    assert missing_scores(np.array(missing), 0, 0, np.full((len(missing), 2), 100)).status == status


@pytest.mark.parametrize(("ends", "status"), [((0.0, 0.0), "fail"), ((1.0, 1.0), "fail"), ((0.4, 0.6), "pass")])
def test_a_control_that_is_never_right_is_as_far_from_chance_as_one_that_always_is(ends, status):
    value = sum(ends) / 2
    assert control_gate({"mine": Estimate(value, *ends, 0.95, "", 100, 100, 1)}).status == status


def test_a_null_audit_of_no_attack_passes_nothing():
    assert null_gate([]).status == "warn"


@pytest.mark.parametrize(
    ("natural", "told"),
    [(0.64, " is 1.4 times"), (0.05, " is 18 times"), (0.0, " is far above the average, of which no")],
)
def test_the_worst_case_is_told_with_a_digit_where_it_matters(natural, told):
    average = Estimate(natural, 0.9 * natural, natural + 0.05, 0.975, "", 100, 100, 1)
    assert told in worst_case([grade(0.91, 0.01)], np.array([0.5, 0.9]), average).message


def test_p4_compares_what_use_adds():
    """26 % where used, 24 % where not: the average of 0.3 points is not far below that."""
    average = Estimate(0.003, 0.001, 0.03, 0.975, "", 100, 100, 1)
    gate = worst_case([grade(0.26, 0.24, p=0.4)], np.array([0.0, 0.1]), average)
    assert gate.value == pytest.approx(0.02)
    assert "times" not in gate.message
    assert "Found whether used or not (noise, 1 copy: 26% and 24%), which says nothing about leakage" in gate.message
    assert worst_case([grade(0.08, 0.02)], np.array([0.0, 0.1]), average).status == "pass"
