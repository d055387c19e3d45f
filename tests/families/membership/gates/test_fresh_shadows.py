"""Shadows that are none, a target that is not the one it was, halves that are swapped: each is told or withdrawn."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import supplied_models
import torch
from flat import check, flat, parse_policy
from supplied_models import SERIAL, fit, records, target

import dosimeter
from dosimeter.families.membership.gates.asked import fresh_shadows, unlike_target
from dosimeter.foundation.errors import TrainingError
from dosimeter.models.supplied.asked import guessing, own_predictions_agree

INPUTS, LABELS = records(400)
LABELS = np.where(
    np.arange(400) % 3 > 0, LABELS, np.random.default_rng(0).integers(0, 5, 400)
)  # two thirds can be learned
PARTS = {"members": (INPUTS[:200], LABELS[:200]), "nonmembers": (INPUTS[200:], LABELS[200:])}


def audited(tmp_path, model=None, parts=PARTS, **more):
    """A finished audit and its checks by number."""
    wanted = {"attacks": ["loss"], "shadows": 4, **more}
    found = dosimeter.audit(model or target(PARTS["members"]), **parts, out=tmp_path / "audit", **wanted)
    return found, {gate["id"]: gate for gate in flat(found.content)["gates"]}


def steps(model, dataset, count=40):
    """Train a network further."""
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    for _ in range(count):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(dataset.inputs), dataset.labels).backward()
        optimizer.step()
    return model


@pytest.mark.parametrize("shadows", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_a_fit_that_trains_the_audited_model_in_place_does_not_reach_it(shadows, tmp_path):
    model = target(PARTS["members"])
    before = copy.deepcopy(model.state_dict())
    training = {"fit": lambda dataset, seed: steps(model, dataset, 10), "shadows": shadows, "workers": 1}
    found, gates = audited(tmp_path, model, **training)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert gates["I8"]["status"] == "fail"  # each started from weights that saw the members
    assert found.status == "withdrawn"


def test_a_target_that_changes_all_the_same_is_an_error(tmp_path):
    model = target(PARTS["members"])
    with pytest.raises(TrainingError, match="fit: must leave the audited model as it is, got log-confidences that"):
        audited(tmp_path, model, fit=lambda dataset, seed: steps(model, dataset), workers=SERIAL)


SHADOWS = {
    "warm": lambda model: lambda dataset, seed: steps(copy.deepcopy(model), dataset, 10),
    "the target": lambda model: lambda dataset, seed: copy.deepcopy(model),
    "all candidates": lambda model: lambda dataset, seed: fit(supplied_models.Data(INPUTS, LABELS), seed),
    "one model": lambda model: lambda dataset, seed: fit(supplied_models.Data(*PARTS["nonmembers"]), 0),
}


@pytest.mark.parametrize("name", SHADOWS)
def test_shadows_that_saw_what_they_should_not_withdraw_the_verdict(name, tmp_path):
    model = target(PARTS["members"])
    found, gates = audited(tmp_path, model, fit=SHADOWS[name](model), workers=SERIAL)
    assert gates["I8"]["status"] == "fail"
    assert found.status == "withdrawn"


def test_fresh_shadows_pass(tmp_path):
    found, gates = audited(tmp_path, fit=fit, workers=SERIAL)
    assert gates["I8"]["status"] == gates["I7"]["status"] == gates["P11"]["status"] == "pass"
    assert found.status == "shown"


def test_a_shadow_that_saw_a_copy_has_seen_the_record():
    rng = np.random.default_rng(0)
    member = np.zeros((9, 200), bool)
    member[0, :100] = True
    half = rng.random((4, 200)) < 0.5
    member[1:] = np.concatenate([half, ~half])
    seen = member[1:].copy()
    seen[:, :40] |= seen[:, 40:80]  # members of which each is there twice
    seen[:, 40:80] = seen[:, :40]
    signal = rng.normal(size=member.shape) + np.concatenate([member[:1], 2 * seen])
    plain = {"record": np.arange(200), "shifted": False}
    one, other = (fresh_shadows(signal, member, s, rng=np.random.default_rng(0), **plain) for s in (seen, member[1:]))
    assert (one.status, other.status) == ("pass", "fail")


@pytest.mark.parametrize(("n", "pairs", "memory"), [(200, 2, 2.0), (60, 8, 0.6)])
def test_fresh_shadows_are_told_of_once_in_a_thousand(n, pairs, memory):
    rng, wrong = np.random.default_rng(1), 0
    for _ in range(200):
        half = rng.random((pairs, n)) < 0.5
        member = np.concatenate([(np.arange(n) < n // 2)[None], half, ~half])
        signal = rng.normal(size=member.shape) + memory * member + 1.5 * rng.normal(size=n)
        found = fresh_shadows(signal, member, member[1:], np.arange(n), shifted=False, rng=rng)
        wrong += found.status == "fail"
    assert wrong <= 3  # more than three of 200 have a chance of 1 in 10,000


def test_the_target_is_held_against_the_spread_of_its_shadows():
    assert unlike_target(600, 600, [0.947, *[1.0] * 8]).status == "warn"  # 10 fixed points would be silent
    assert unlike_target(600, 600, [0.947, 0.94, 0.95, 0.955, 0.943]).status == "pass"
    assert unlike_target(600, 600, [0.6, *[0.9, 0.92, 0.91, 0.93]]).status == "fail"
    assert unlike_target(600, 600, [0.75, 0.6, 0.9, 0.7, 0.85]).status == "pass"  # they differ as much themselves
    assert unlike_target(20, 20, [0.9, 0.75, 0.8, 0.8, 0.75]).status in ("pass", "warn")
    rng = np.random.default_rng(0)
    draws = rng.binomial(300, 0.9, (400, 9)) / 300
    told = [unlike_target(300, 300, row.tolist()).status for row in draws]
    assert told.count("fail") == 0
    assert told.count("warn") <= 12  # 1 in 100, by chance of at most 1 in 10,000 more often


def test_a_model_worse_than_guessing_on_its_own_records_is_asked_wrongly():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 400)
    cases = {
        "pass": (labels, None),
        "fail": ((labels + 1) % 4, None),
        "warn": (rng.integers(0, 4, 400), None),
    }
    for status, (predicted, own) in cases.items():
        assert own_predictions_agree(predicted, labels, own, 4).status == status
    constant = own_predictions_agree(np.zeros(400, int), labels, None, 4)
    assert constant.status == "warn"  # it learned nothing, and is not called broken
    assert own_predictions_agree(rng.integers(0, 4, 400), labels, None, 4, assumed=True).status == "fail"
    assert own_predictions_agree(np.where(rng.random(400) < 0.6, labels, 0), labels, labels, 4).status == "fail"
    assert own_predictions_agree(labels, labels, labels, 4).status == "pass"
    drawn = [
        own_predictions_agree(rng.integers(0, 4, 400), rng.permutation(labels), None, 4).status for _ in range(400)
    ]
    assert drawn.count("fail") <= 4


def test_swapped_halves_are_withdrawn_and_no_limit_is_met(tmp_path):
    swapped = {"members": PARTS["nonmembers"], "nonmembers": PARTS["members"]}
    found, gates = audited(tmp_path, parts=swapped)
    assert gates["P16"]["status"] == "fail"
    assert "members and non-members swapped" in gates["P16"]["message"]
    assert found.status == "withdrawn"
    limits = parse_policy({"limit": [{"metric": "auc", "max": 0.6}, {"metric": "tpr", "fpr": 0.1, "max": 0.9}]})
    assert {one.status for one in check(found.content, limits).outcomes} == {"withdrawn"}


def test_a_model_that_is_right_on_non_members_and_wrong_on_members_is_withdrawn(tmp_path):
    """Too few answers are wrong for the losses to be shown lower; before, no leak was said to be shown."""
    sure = np.random.default_rng(3).uniform(0.4, 0.99, 400)
    sure[:24] = 0.2
    answers = {row.tobytes(): (label, one) for row, label, one in zip(INPUTS, LABELS, sure, strict=True)}

    def model(inputs):
        found = [answers[row.tobytes()] for row in np.asarray(inputs, INPUTS.dtype)]
        table = np.full((len(found), 5), 1.0)
        for row, (label, one) in enumerate(found):
            table[row] = (1 - one) / 4
            table[row, label] = one
        return table

    found, gates = audited(tmp_path, model)
    assert gates["P16"]["status"] == "fail"
    assert gates["P16"]["message"].startswith("The AUC of right answers lies below 0.5 beyond chance")
    assert found.status == "withdrawn"
    aucs = {row["attack"]: row["value"] for row in flat(found.content)["estimates"] if row["metric"] == "auc"}
    assert aucs["loss"] > 0.42


def test_what_warns_of_meaning_meets_no_limit(tmp_path):
    model = supplied_models.untrained(supplied_models.Data(*PARTS["members"]), 0)
    found, gates = audited(tmp_path, model)
    assert gates["P10"]["status"] == "warn"
    assert found.status == "not_shown"
    held = check(found.content, parse_policy({"limit": [{"metric": "auc", "max": 0.9}]}))
    assert [one.status for one in held.outcomes] == ["undecided"]
    assert "what the numbers mean is in doubt: see the warnings of " in held.outcomes[0].message
    assert not held.passed


def test_guessing_is_what_permuted_labels_give_however_skewed_the_predictions():
    rng = np.random.default_rng(0)
    labels = rng.choice(4, 400, p=[0.85, 0.05, 0.05, 0.05])
    predicted = rng.choice(4, 400, p=[0.05, 0.05, 0.05, 0.85])
    mean, error = guessing(predicted, labels, 4)
    drawn = [(predicted == rng.permutation(labels)).mean() for _ in range(4000)]
    assert mean == pytest.approx(np.mean(drawn), abs=4 * np.std(drawn) / 4000**0.5)
    assert error == pytest.approx(np.std(drawn), rel=0.06)  # its own error is 1.1 %
