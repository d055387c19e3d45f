"""Attacks that say nothing, or the opposite of what is so, are no evidence that nothing leaks: in every family."""

from __future__ import annotations

import numpy as np
import pytest

from dosimeter.families.directions import Said, directions, level_of, says_alike
from dosimeter.families.exchange.distribution.measure import measure_distribution
from dosimeter.families.exchange.measure import measure
from dosimeter.families.exchange.records.measures.measure import measure_records
from dosimeter.families.exchange.stored import evidence_file
from dosimeter.families.exchange.tasks.measure import measure_tasks
from dosimeter.families.split.measures.checks import directed
from dosimeter.families.split.measures.shown import Decisions
from dosimeter.jobs.arrays import read_arrays, save_arrays
from families.exchange import test_shown
from families.exchange.distribution import test_distribution_case
from families.exchange.records import test_shown_records
from families.exchange.tasks import test_tasks_case
from families.split.test_shown import left as left_of_split

QUESTIONS = {
    "property": (test_shown.left, measure), "tasks": (test_tasks_case.left, measure_tasks),
    "distribution": (test_distribution_case.left, measure_distribution),
    "records": (test_shown_records.left, measure_records),
}  # fmt: skip
SPOILT = {"P8": np.zeros_like, "P16": np.negative}


@pytest.mark.parametrize("check", SPOILT)
@pytest.mark.parametrize("question", QUESTIONS)
def test_what_messages_tell_is_not_denied_by_a_broken_attack(question, check, tmp_path):
    """The attack of these runs tells what there is to tell, until it says nothing or the opposite."""
    left, measured = QUESTIONS[question]
    case = left(tmp_path, 0, told=0.9 if question == "records" else 2.0)
    arrays = dict(read_arrays(evidence_file(tmp_path, 0)))
    for name in ("guesses", "lineup"):
        if name in arrays:
            arrays[name] = SPOILT[check](arrays[name])
    save_arrays(evidence_file(tmp_path, 0), arrays)
    found = measured(case)
    assert found.verdict["status"] == "withdrawn"
    assert {gate.id for gate in found.gates if gate.status == "fail"} == {check}
    assert found.dose is None


@pytest.mark.parametrize("check", SPOILT)
def test_nor_what_features_tell(check):
    found = left_of_split(0, features=3.0)
    for arrays in found.left.evidence.values():
        for name in ("lineup", "guesses-0"):
            if name in arrays:
                arrays[name] = SPOILT[check](arrays[name])
    gates = {gate.id: gate.status for gate in directed(found, Decisions(found).all)}
    assert gates == {"P8": "pass", "P16": "pass", check: "fail"}


def test_of_what_is_the_same_for_everyone_the_same_is_said_rightly():
    found = left_of_split(0)
    for arrays in found.left.evidence.values():
        arrays |= {name: np.zeros_like(one) for name, one in arrays.items() if name != "mse"}
    found.left.truth["radius-share"] = np.array([[np.nan, np.nan]])
    assert directed(found, Decisions(found).all)[0].status == "pass"
    found.left.truth["radius-share"] = np.array([[np.nan, 0.5]])
    assert directed(found, Decisions(found).all)[0].status == "warn"


def test_attacks_that_work_pass_and_one_of_several_that_fails_is_told():
    works, silent, wrong = Said("a", False, 0.9), Said("b", True, 0.6), Said("c", False, 0.4)
    assert [gate.status for gate in directions([works, works], shown=False)] == ["pass", "pass"]
    assert [gate.status for gate in directions([works, silent], shown=False)] == ["warn", "pass"]
    assert [gate.status for gate in directions([works, wrong], shown=True)] == ["pass", "warn"]
    ties, sign = directions([silent, wrong, wrong, wrong, wrong, wrong], shown=False)
    assert ties.message.startswith("b said the same of everyone")
    assert sign.message.startswith("c, c, c and 2 more told them apart in the wrong direction")
    assert directions([], shown=False) == ()


def test_the_same_is_meant_by_target_and_infinities_are_numbers():
    said = np.array([[[0.0, -np.inf]] * 3, [[1.0, 2.0]] * 3])
    assert says_alike(said)
    said[1, 2, 0] = 1.1
    assert not says_alike(said)


@pytest.mark.parametrize("seed", range(4))
def test_noise_has_no_sign(seed):
    """Of 1,000 audits in which nothing leaks one fails."""
    found = left_of_split(seed)
    assert [gate.status for gate in directed(found, Decisions(found).all)] == ["pass", "pass"]
    assert level_of(4) == pytest.approx(1 - 0.0005)
