"""Numbers of attacks that failed, of weak judges and of variants whose own audit is in doubt meet no limit."""

from __future__ import annotations

import copy
from dataclasses import replace

import example
import numpy as np
import pytest
from families.exchange.records import test_shown_records
from families.split.test_shown import left as left_of_split
from flat import check, parse_policy, raised

from dosimeter.families.exchange.records.measures.left import read_rebuilt
from dosimeter.families.exchange.records.measures.measure import measure_records
from dosimeter.families.exchange.records.measures.rebuilt import Rebuilt
from dosimeter.families.exchange.sentences.records import FAILED
from dosimeter.families.exchange.stored import evidence_file
from dosimeter.families.registry import FAMILIES
from dosimeter.families.split.measures.checks import trained_enough
from dosimeter.jobs.arrays import read_arrays, save_arrays
from dosimeter.pipeline.variants import _of_variant
from dosimeter.results.rows import Row
from dosimeter.results.schema import problems
from dosimeter.results.views import doubt_of

LIMIT = {"metric": "auc", "attack": "headline"}


RESULT = raised(example.not_shown())


def outcomes(result, **limit):
    """Statuses and messages of one limit on the AUC."""
    return [(one.status, one.message) for one in check(result, parse_policy({"limit": [{**LIMIT, **limit}]})).outcomes]


def doubted(result, doubt="the attack failed"):
    """The same result whose AUCs are in doubt."""
    changed = copy.deepcopy(result)
    for row in changed["threats"][0]["estimates"]:
        if row["metric"] == "auc":
            row["doubt"] = doubt
    return changed


def test_a_number_in_doubt_meets_no_limit_but_may_exceed_one():
    result = RESULT
    assert [one for one, _ in outcomes(result, max=0.999)] == ["met"]
    changed = doubted(result)
    ((status, told),) = outcomes(changed, max=0.999)
    assert (status, told.endswith("but the attack failed")) == ("undecided", True)
    assert [one for one, _ in outcomes(changed, max=0.01)] == ["exceeded"]
    assert not check(changed, parse_policy({"limit": [{**LIMIT, "max": 0.999}]})).passed


@pytest.mark.parametrize(("verdict", "expected"), [("not_shown", "met"), ("withdrawn", "withdrawn")])
def test_a_variant_whose_own_audit_is_withdrawn_meets_no_limit(verdict, expected):
    changed = copy.deepcopy(RESULT)
    (entry,) = changed["threats"]
    entry["estimates"] += [row | {"variant": "safe"} for row in entry["estimates"]]
    changed["variants"] = [
        {
            "id": "safe", "defense": "l2", "settings": {}, "paper": "", "place": "loss", "status": "ok", "reason": "",
            "threats": [{"threat": entry["id"], "attack": entry["verdict"]["attack"], "verdict": verdict, "fpr": 0.01}],
        }
    ]  # fmt: skip
    assert not problems(changed, FAMILIES)
    assert [one for one, _ in outcomes(changed, max=0.999, variant="safe")] == [expected]
    assert [one for one, _ in outcomes(changed, max=0.999)] == ["met"]


def test_a_variant_brings_what_its_own_checks_doubt():
    row = Row("t", "membership", "s", "none", "a", "auc", unit="auc", value=0.5, low=0.4, high=0.6, doubt="one")
    assert _of_variant(row, "safe", "two").doubt == "one; and two"
    assert _of_variant(row, "safe", "").to_json()["doubt"] == "one"
    assert "doubt" not in replace(row, doubt="").to_json()
    warned = [{"id": "I7", "status": "warn"}, {"id": "P16", "status": "fail"}, {"id": "P2", "status": "warn"}]
    assert doubt_of(warned) == "what the numbers mean is in doubt: see the warnings of I7"


def with_mean(found, error):
    """The same evidence of split with a mean record of such an error."""
    found.left.evidence["mean"] = {name: one[:, :1] for name, one in found.left.evidence["ridge"].items()}
    found.left.evidence["mean"]["mse"] = np.full_like(found.left.evidence["mean"]["mse"], error)
    mean = {"id": "mean", "goal": "input", "reads": "answers", "control": True, "anchor": True}
    found.left.summary["attacks"].append(mean)
    return found


def doubts(found):
    """By attack and cut, what is said against each number."""
    return {(row.attack, row.conditions.get("cut"), row.metric): row.doubt for row in found.rows() if row.doubt}


def test_a_reconstruction_after_one_cut_that_is_worse_than_the_mean_record():
    found = with_mean(left_of_split(0), 1.3)
    assert not doubts(found)
    found.left.evidence["ridge"]["mse"][:, 1] += 0.35  # a little worse, as of features that tell nothing
    assert trained_enough(found).status == "warn"
    assert not doubts(found)
    found.left.evidence["ridge"]["mse"][:, 1] += 1
    told = doubts(found)
    assert {key[:2] for key in told} == {("ridge", "b")}
    assert {key[2] for key in told} >= {"mse", "input_place", "identified"}
    assert not found.all_failed
    found.left.evidence["ridge"]["mse"][:, 0] += 1
    assert found.all_failed
    assert set(told.values()) == {"the attack did far worse than the mean record (S1)"}


def test_an_attack_that_says_the_same_and_an_attribute_that_inputs_do_not_tell():
    found = left_of_split(0)
    found.left.evidence["pool"]["guesses-0"] = np.zeros_like(found.left.evidence["pool"]["guesses-0"])
    assert {(key[0], one) for key, one in doubts(found).items()} == {
        ("pool", "the attack said the same of everyone (P8)")
    }
    found = left_of_split(0)
    noise = np.random.default_rng(3).normal(size=found.left.evidence["pool"]["guesses-0"][:, :1].shape)
    found.left.evidence["raw"] = {"guesses-0": noise}
    found.left.summary["attacks"].append({"id": "raw", "goal": "attribute", "reads": "inputs", "control": False})
    assert {(key[0], one) for key, one in doubts(found).items()} == {
        ("pool", "not even the inputs are shown to tell the attribute (S2)")
    }


def test_records_that_a_search_came_less_near_to_than_the_mean_record(tmp_path):
    case = test_shown_records.left(tmp_path, 0)
    assert not any(row.doubt for row in Rebuilt(read_rebuilt(case)).rows())
    arrays = dict(read_arrays(evidence_file(tmp_path, 0)))
    save_arrays(evidence_file(tmp_path, 0), arrays | {"error": arrays["error"] + 1})
    found = measure_records(case)
    assert FAILED in found.verdict["sentences"]
    told = {row.attack: row.doubt for row in found.estimates if row.doubt}
    assert told == {"reads": "the attack came far less near than the mean record (E5)"}
    save_arrays(evidence_file(tmp_path, 0), arrays | {"lineup": np.zeros_like(arrays["lineup"])})
    told = {row.attack: row.doubt for row in Rebuilt(read_rebuilt(case)).rows() if row.doubt}
    assert told == {"reads": "the attack said the same of every batch (P8)"}
