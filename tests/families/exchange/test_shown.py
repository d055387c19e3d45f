"""What is shown: exact levels by simulation, the labels as the floor, and no verdict without a gain."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import norm

from dosimeter.families.exchange.family import EXCHANGE
from dosimeter.families.exchange.measure import measure
from dosimeter.families.exchange.measures.measured import Measured
from dosimeter.families.exchange.measures.shown import Decisions, pooled
from dosimeter.families.exchange.stored import evidence_file, read_left, truth_file
from dosimeter.families.family import CaseFolder
from dosimeter.jobs.arrays import save_arrays

STEPS = 120


def attack(name, channel, **more):
    """What a run says of an attack."""
    return {
        "id": name, "name": name, "mode": None, "paper": "none", "control": False, "settings": {}, "status": "ok",
        "reason": "", "channel": channel, "reads": "messages", **more,
    }  # fmt: skip


def left(folder, seed, *, told=0.0, labels=0.0, shared=0.0, targets=1, joint=0.9, alone=0.8, steps=STEPS, cheats=False):
    """What a run left, whose scores are the coins times a strength plus noise.

    Args:
        folder: where to.
        seed: of the draws.
        told: strength of what messages tell.
        labels: strength of what the classes of a batch tell.
        shared: share of the messages' noise that is that of the classes, with their strength.
        targets: joint trainings.
        joint: accuracy of the joint model; None without test records.
        alone: accuracy without the exchange.
        steps: of one training.
        cheats: the control knows the coins, as in an audit that is broken.
    """
    rng = np.random.default_rng(seed)
    coins, null = rng.integers(2, size=(2, targets, steps)).astype(bool)
    noise = rng.normal(size=(4, targets, steps))
    signs = 2.0 * coins - 1
    classes = labels * signs + noise[0]
    scores = {
        "reads": told * signs + noise[1] * (1 - shared) + shared * classes, "label_only": classes,
        "coin": noise[2] + 3 * cheats * signs,
    }  # fmt: skip
    truth = {"coins": coins[None], "null_coins": null}
    if joint is not None:
        truth |= {name: rng.random((targets, 300)) < share for name, share in (("joint", joint), ("alone", alone))}
    save_arrays(truth_file(folder), truth)
    rows = [
        attack("reads", "gradient"), attack("label_only", None, reference=True, reads="labels"),
        attack("coin", None, control=True),
    ]  # fmt: skip
    for index, row in enumerate(rows):
        own, empty = scores[row["id"]], rng.normal(size=(targets, steps))
        save_arrays(
            evidence_file(folder, index),
            {"guesses": np.stack([-own, own], -1)[None], "null_guesses": np.stack([-empty, empty], -1)},
        )
    threat = {
        "at_risk": "joint", "access": "weights", "targets": targets, "method": "fedsgd", "victim": "source",
        "parties": ["source", "receiver"], "adversary": "receiver", "receiver": "receiver", "property": "size",
        "value": "yes", "mixtures": [[0.7, 0.3]], "auxiliary": "own", "steps": steps, "batch_size": 16,
    }  # fmt: skip
    data = {"auxiliary": 100, "correlation": 0.1}
    return CaseFolder(folder, {"seed": seed, "noun": "record", "threat": threat, "data": data, "attacks": rows})


def decided(folder, seed, **how):
    """The tests of one run."""
    return Decisions(Measured(read_left(left(folder, seed, **how))))


def test_a_leak_beyond_the_classes_is_shown_with_its_dose(tmp_path):
    found = measure(left(tmp_path, 0, told=1.5))
    assert found.verdict["status"] == "shown"
    assert found.dose.low > 0.2
    assert found.dose.ceiling == 1
    by_metric = {(row.attack, row.metric): row for row in found.estimates}
    assert by_metric["reads", "property_auc"].low > 0.9
    assert by_metric["reads", "beyond_labels"].low > 0.1
    assert by_metric["reads", "property_auc"].n == {"batches": STEPS}
    assert (None, "transfer_gain") in by_metric
    first = found.verdict["sentences"]
    assert first[0].startswith("The party “receiver” can tell how many records with size “yes” are in a batch")
    assert "70\u00a0%" in first[1]
    assert "30\u00a0%" in first[1]


def test_what_the_classes_tell_too_is_above_chance_and_not_shown(tmp_path):
    found = measure(left(tmp_path, 1, labels=1.2, shared=1.0))
    assert found.verdict["status"] == "not_shown"
    (test,) = found.details["tests"]
    assert test["above_chance"]
    assert not test["shown"]
    assert {gate.id: gate.status for gate in found.gates}["E2"] == "warn"
    assert "was not shown" in found.verdict["sentences"][0]
    assert any("9 of 10 audits" in one for one in found.verdict["sentences"])


def test_classes_that_tell_all_leave_nothing_to_be_said(tmp_path):
    found = measure(left(tmp_path, 2, labels=6.0, shared=1.0))
    assert found.verdict["status"] == "not_resolvable"
    assert found.dose is None
    assert found.verdict["sentences"][0].startswith("Nothing can be said about whether the party")


@pytest.mark.parametrize(("joint", "alone", "status"), [(0.7, 0.8, "withdrawn"), (None, 0.8, "shown")])
def test_no_verdict_where_the_joint_training_gains_nothing(joint, alone, status, tmp_path):
    found = measure(left(tmp_path, 3, told=1.5, joint=joint, alone=alone))
    assert found.verdict["status"] == status
    gates = {gate.id: gate.status for gate in found.gates}
    assert gates["E1"] == ("fail" if joint else "warn")
    if joint:
        (sentence,) = found.verdict["sentences"]
        assert sentence.startswith("There is no verdict on leakage, since the joint training does not pay")
        assert found.dose is None


def test_a_control_that_knows_the_coins_withdraws_the_audit(tmp_path):
    found = measure(left(tmp_path, 4, told=1.5, cheats=True))
    assert found.verdict["status"] == "withdrawn"
    assert {gate.id: gate.status for gate in found.gates}["N2"] == "fail"


@pytest.mark.parametrize("targets", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_where_messages_tell_what_classes_tell_it_is_rarely_shown(targets, tmp_path):
    """Of 40 runs 2 are shown in the mean at most; more than 6 are so in 1 of 250 such simulations."""
    for how in ({}, {"labels": 0.7, "shared": 1.0}):
        shown = [
            decided(tmp_path / f"{seed}{len(how)}", seed, targets=targets, steps=60, **how).headline.shown
            for seed in range(40)
        ]
        assert sum(shown) <= 6, (how, sum(shown))


def test_intervals_hold_the_true_auc(tmp_path):
    """Of 40 runs 38 hold it in the mean; fewer than 33 do so in 1 of 700 such simulations."""
    truth = 0.92135  # P(N(2, 2) > 0)
    for targets in (1, 4):
        inside = 0
        for seed in range(40):
            found = Measured(read_left(left(tmp_path / f"{targets}-{seed}", seed, told=1.0, targets=targets)))
            auc = found.auc("reads", 0)
            inside += auc.low <= truth <= auc.high
        assert inside >= 33, (targets, inside)


def test_the_least_auc_that_is_shown_is_so_in_9_of_10_audits(tmp_path):
    one = decided(tmp_path, 0, steps=200)
    strength = 2**-0.5 * norm.ppf(one.needed)
    shown = [decided(tmp_path / str(seed), seed, told=strength, steps=200).headline.above_chance for seed in range(40)]
    assert sum(shown) >= 31, sum(shown)


def test_ranks_of_each_run_count_alike():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(2, 30))
    scores[1] = 1000 * scores[1] + 5
    own = pooled(np.stack([-scores, scores], -1))
    assert own.shape == (1, 60, 2)
    assert np.array_equal(np.argsort(own[0, :30, 1]), np.argsort(scores[0]))
    assert own[0, :30, 1].std() == pytest.approx(own[0, 30:, 1].std())


def test_details_fit_the_schema(tmp_path):
    found = measure(left(tmp_path, 5, told=1.0))
    schema = EXCHANGE.details_schema
    while "else" in schema:  # other questions come first
        schema = schema["else"]
    wanted = schema["properties"]["details"]
    assert set(wanted["required"]) == set(found.details)
    assert json.loads(json.dumps(dict(found.details))) == dict(found.details)
