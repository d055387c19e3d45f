"""Limits against intervals: the truth table, what would decide, wrong policies, the ratchet, and the exit codes."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import example
import pytest
from flat import check, flat, lines, load_policy, parse_policy
from hypothesis import given
from hypothesis import strategies as st

from dosimeter.cli.app import main
from dosimeter.foundation.errors import ConfigError
from dosimeter.results.lines import Line
from dosimeter.results.policy import limits as limits_module
from dosimeter.results.policy.decisions import decide
from dosimeter.results.policy.limits import Limit
from dosimeter.results.rows import Row
from dosimeter.statistics.certify import nonmembers_needed

SHOWN, NOT_SHOWN, TINY = example.shown(), example.not_shown(), example.tiny()
share = st.floats(0, 1)


def policy(*limits, **top):
    return parse_policy({"limit": list(limits), **top})


def a_row(value, low, high, *, n=400, targets=16, metric="tpr", **more):
    """One number."""
    conditions = {"threshold": "shadow"} | ({"fpr": 0.01} if metric == "tpr" else {})
    row = Row(
        "membership", "membership", "s", "none", "a", metric, conditions=conditions, value=value, low=low, high=high,
        n={"members": 10 * n, "nonmembers": n}, n_targets=targets,
    )  # fmt: skip
    return Line(row, "a", **more)


def one(limit, result=SHOWN):
    """The single outcome of one limit."""
    (outcome,) = check(result, policy(limit)).outcomes
    return outcome


@given(share, share, share, share)
def test_truth_table_of_limit_and_interval(a, b, c, bound):
    low, value, high = sorted((a, b, c))
    row = a_row(value, low, high)
    expected = "met" if high <= bound else "exceeded" if low > bound else "undecided"
    assert decide(Limit(metric="tpr", max=bound), row)[0] == expected
    expected = "met" if low >= bound else "exceeded" if high < bound else "undecided"
    assert decide(Limit(metric="tpr", min=bound), row)[0] == expected


@given(share, share, share, share, share)
def test_with_both_bounds_the_worse_side_decides(a, b, c, d, e):
    low, value, high = sorted((a, b, c))
    row, bounds = a_row(value, low, high), sorted((d, e))
    sides = [decide(Limit(metric="tpr", **side), row)[0] for side in ({"min": bounds[0]}, {"max": bounds[1]})]
    both = decide(Limit(metric="tpr", min=bounds[0], max=bounds[1]), row)[0]
    assert both == next(status for status in ("exceeded", "undecided", "met") if status in sides)


@pytest.mark.parametrize("undecided", ["fail", "warn", "pass"])
@pytest.mark.parametrize(("status", "limit"), [("met", 0.2), ("undecided", 0.15), ("exceeded", 0.01)])
def test_only_what_is_undecided_can_be_let_pass(undecided, status, limit):
    found = check(SHOWN, policy({"metric": "tpr", "fpr": 0.01, "attack": "lira-online", "max": limit,
                                 "undecided": undecided}))  # fmt: skip
    assert found.outcomes[0].status == status
    assert found.passed == (status == "met" or (status == "undecided" and undecided != "fail"))


@given(st.floats(0.02, 0.3), st.floats(0.01, 0.1), st.integers(100, 10_000))
def test_the_records_that_are_named_would_decide(value, half, n):
    bound = value + half / 3
    row = a_row(value, max(0.0, value - half), value + half, n=n)
    status, message = decide(Limit(metric="tpr", max=bound), row)
    assert status == "undecided"
    named = int(message.split("about ")[1].split(" ")[0].replace(",", ""))
    assert value + half * (n / named) ** 0.5 <= bound * (1 + 1e-6)
    assert value + half * (n / (named - 1)) ** 0.5 >= bound * (1 - 1e-6)


@pytest.mark.parametrize(
    ("row", "limit", "parts"),
    [
        (a_row(0.1, 0.05, 0.2, targets=1), {"max": 0.15}, ("about 1,600 distinct non-members instead of 400",
                                                           "for this trained model only", "8 or more")),
        (a_row(0.1, 0.05, 0.2, targets=4), {"max": 0.15}, ("few targets make the interval wide",
                                                           "about 16 targets instead of 4")),
        (a_row(0.1, 0.05, 0.2, targets=4), {"max": 0.19}, ("about 8 targets instead of 4",)),
        (a_row(0.1, 0.05, 0.2), {"max": 0.15}, ("about 1,600 distinct", "or about 64 targets instead of 16")),
        (a_row(0.1, 0.05, 0.2), {"max": 0.08}, ("estimate itself lies above the limit", "prove the excess")),
        (a_row(0.9, 0.8, 0.95), {"min": 0.92}, ("estimate itself lies below the limit", "prove the shortfall")),
        (a_row(0.9, 0.8, 0.95), {"min": 0.85}, ("about 1,600 distinct non-members instead of 400",)),
        (a_row(0.1, 0.05, 0.2), {"max": 0.1}, ("lies on the limit",)),
        (a_row(0.1, 0.05, 0.2), {"max": 0.1001}, ("so near the limit that more data may never decide it",)),
    ],
)  # fmt: skip
def test_undecided_says_what_would_decide(row, limit, parts):
    status, message = decide(Limit(metric="tpr", **limit), row)
    assert status == "undecided"
    assert [part for part in parts if part not in message] == [], message


def test_numbers_are_told_apart_even_where_they_nearly_touch():
    assert "at least 5.0100 % is shown, which is above the limit of 5 %" in decide(
        Limit(metric="tpr", max=0.05), a_row(0.2, 0.0501, 0.3)
    )[1]  # fmt: skip
    assert "(the threshold reached at most 0.5 % false accusations)" in decide(
        Limit(metric="tpr", max=0.5), a_row(0.2, 0.1, 0.3, fpr_high=0.005)
    )[1]  # fmt: skip


@pytest.mark.parametrize("fpr", [0.01, 0.001])
def test_what_cannot_be_resolved_is_undecided_with_the_exact_number(fpr):
    found = check(TINY, policy({"metric": "tpr", "fpr": fpr, "max": 0.05, "attack": "rmia"}))
    assert not found.passed
    assert found.outcomes[0].status == "undecided"
    assert f"{nonmembers_needed(fpr):,} distinct non-members instead of 20" in found.outcomes[0].message
    assert "half of the candidates" in found.outcomes[0].message


def test_which_rows_a_limit_is_about():
    found = check(SHOWN, policy({"metric": "auc", "max": 0.99})).outcomes
    assert [one.row.key.attack for one in found] == ["lira-online", "rmia", "attack-p", "loss", "qmia"]
    assert [one.status for one in found] == ["met"] * 4 + ["refused"]
    assert "enlarge `population`" in found[-1].message
    assert one({"metric": "auc", "max": 0.99, "attack": "headline"}).row.key.attack == "lira-online"
    assert one({"metric": "auc", "max": 0.99, "attack": "count"}).source.control
    assert one({"metric": "auc", "max": 0.99, "attack": "l*-*"}).row.key.attack == "lira-online"
    tpr = {"metric": "tpr", "fpr": 0.01, "max": 0.99, "attack": "loss"}
    assert one(tpr).row.threshold == "shadow"
    assert one(tpr | {"threshold": "oracle"}).row.threshold == "oracle"
    assert one({"metric": "accuracy", "min": 0.5}).row.key.get("split") == "test"
    assert one({"metric": "accuracy", "min": 0.5, "split": "train"}).row.key.get("split") == "train"
    assert one({"metric": "precision", "prior": 0.1, "max": 0.99, "attack": "loss"}).row.key.get("prior") == 0.1


def test_calibrated_by_a_split_is_the_own_threshold_too_and_groups_are_asked_for():
    result = copy.deepcopy(SHOWN)
    result["attacks"] = result["attacks"][:1]
    result["estimates"] = [row for row in result["estimates"] if row["attack"] == "lira-online"]
    for row in result["estimates"]:
        row["threshold"] = "split" if row["threshold"] == "shadow" else row["threshold"]
    result["estimates"] += [row | {"group": name} for row in result["estimates"] for name in ("old", "young")]
    tpr = {"metric": "tpr", "fpr": 0.01, "max": 0.99}
    assert one(tpr, result).row.threshold == "split"
    assert one(tpr | {"group": "ol?"}, result).row.key.group == "old"
    found = check(result, policy(tpr | {"group": "*"})).outcomes
    assert [one.source.who for one in found] == ["lira-online, group old", "lira-online, group young"]


def test_refused_attacks_do_not_count_unless_nothing_else_is_meant():
    found = check(SHOWN, policy({"metric": "auc", "max": 0.9, "attack": "qmia"}))
    assert [one.status for one in found.outcomes] == ["refused", "undecided"]
    assert not found.passed
    headless = SHOWN | {"verdict": SHOWN["verdict"] | {"attack": None}}
    assert "no attack could be run" in one({"metric": "auc", "max": 0.9, "attack": "headline"}, headless).message


def test_not_applicable_is_listed_and_does_not_count():
    found = check(SHOWN, policy({"metric": "tpr", "fpr": 0.5, "max": 0.1, "attack": "gone", "not_applicable": "why"}))
    assert (found.outcomes[0].status, found.outcomes[0].message, found.passed) == ("not_applicable", "why", True)


def test_a_failed_check_of_the_audit_always_fails():
    loose = policy({"metric": "auc", "max": 0.99, "undecided": "pass"})
    result = copy.deepcopy(SHOWN)
    result["gates"][1]["status"] = "warn"
    assert check(result, loose).passed
    strict = policy({"metric": "auc", "max": 0.99}, gates={"allow_warn": False})
    assert not check(result, strict).passed
    assert check(result, strict).lines()[1].startswith("check warn: targets Several targets: Targets: 8.")
    result["gates"][1]["status"] = "fail"
    found = check(result, loose)
    assert {one.status for one in found.outcomes} == {"withdrawn", "refused"}
    assert not found.passed
    result["gates"][1]["status"] = "pass"
    result["verdict"]["status"] = "withdrawn"
    assert [gate.id for gate in check(result, loose).gates] == ["verdict"]


WRONG = [
    ("", "limit: is required and missing"),
    ("[gates]\nallow_warn = true", "limit: is required and missing"),
    ("limit = []", "limit: must be a list of at least 1, got []: add one"),
    ("[limit]\nmetric = 'auc'", "limit: must be a list, got {'metric': 'auc'}: write the table's head in double"),
    ("limit = [1]", "limit[0]: must be a table, got 1: write it below [[limit]]"),
    ("[[limits]]", "limits: unknown key, did you mean 'limit'?"),
    ("[[limit]]\nmetric = 'auc'\nmaxx = 0.5", "limit[0].maxx: unknown key, did you mean 'max'?"),
    ("[[limit]]\nmax = 0.5", "limit[0].metric: is required and missing"),
    ("[[limit]]\nmetric = 'acu'\nmax = 0.5", "limit[0].metric: must be one of 'tpr', 'auc', 'precision', "),
    ("[[limit]]\nmetric = 'exposure'\nmax = 0.5\nattack = 'lira'", "limit[0].attack: is only for tpr and auc"),
    ("[[limit]]\nmetric = 'exposure'\nmax = 0.5\ngroup = 'x'", "limit[0].group: is only for tpr and auc"),
    ("[[limit]]\nmetric = 'auc'\nmax = 0.5\nunit = 'person'", "limit[0].unit: is only for exposure, got auc: remove"),
    ("[[limit]]\nmetric = 'auc'", "limit[0]: must have max, min or both, got neither: write max = 0.05"),
    (
        "[[limit]]\nmetric = 'auc'\nmax = 5",
        "limit[0].max: must be a share from 0 to below 1, got 5: write 0.05 for 5 %",
    ),
    ("[[limit]]\nmetric = 'auc'\nmax = 1", "got 1: write 0.01 for 1 %"),
    ("[[limit]]\nmetric = 'auc'\nmax = 500", "got 500: lower it"),
    ("[[limit]]\nmetric = 'auc'\nmax = -0.1", "got -0.1: raise it"),
    ("[[limit]]\nmetric = 'auc'\nmax = nan", "limit[0].max: must be a finite number, got nan"),
    ("[[limit]]\nmetric = 'auc'\nmax = '0.5'", "limit[0].max: must be a number, got '0.5'"),
    ("[[limit]]\nmetric = 'auc'\nmax = true", "limit[0].max: must be a number, got true"),
    ("[[limit]]\nmetric = 'tpr'\nfpr = 1.0\nmax = 0.5", "limit[0].fpr: must be a share above 0 and below 1, got 1.0"),
    ("[[limit]]\nmetric = 'tpr'\nmax = 0.5", "limit[0].fpr: is required for tpr and missing: write fpr = 0.01"),
    ("[[limit]]\nmetric = 'precision'\nmax = 0.5", "limit[0].prior: is required for precision and missing"),
    (
        "[[limit]]\nmetric = 'auc'\nmax = 0.5\nfpr = 0.1",
        "limit[0].fpr: is only for tpr and precision and fpr and log_mia, got auc",
    ),
    (
        "[[limit]]\nmetric = 'accuracy'\nmin = 0.5\nattack = '*'",
        "limit[0].attack: is only for tpr and auc and precision",
    ),
    ("[[limit]]\nmetric = 'auc'\nmax = 0.4\nmin = 0.5", "limit[0].min: must be at most max = 0.4, got 0.5: exchange"),
    ("[[limit]]\nmetric = 'auc'\nmax = 0.5\nundecided = 'no'", "limit[0].undecided: must be one of 'fail'"),
    ("[[limit]]\nmetric = 'auc'\nmax = 0.5\nname = \"a\\u202e\"", "limit[0].name: must be text without line breaks"),
    ("gates = 1\n[[limit]]\nmetric = 'auc'\nmax = 0.5", "gates: must be a table, got 1"),
    ("[gates]\nwarn = true\n[[limit]]\nmetric = 'auc'\nmax = 0.5", "gates.warn: unknown key, use one of: allow_warn"),
    ('"\\u0007" = 1', "the policy file: keys must be 1 to 100 printable characters"),
    ("a = " + "[" * 40 + "]" * 40, "tables must not be nested deeper"),
    ("limit = " + "[" * 5000, "must be TOML, got"),
    ("[[limit]", "must be TOML, got"),
    ("#" * 1_000_001, "must have at most 1000000 bytes"),
]


@pytest.mark.parametrize(("text", "message"), WRONG, ids=range(len(WRONG)))
def test_a_wrong_policy_is_told_in_one_line_for_each_problem(text, message, tmp_path):
    path = tmp_path / "policy.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_policy(path)
    assert any(message in line for line in caught.value.problems), caught.value.problems
    assert all(len(line.splitlines()) == 1 for line in caught.value.problems)


def test_all_problems_are_told_at_once():
    with pytest.raises(ConfigError) as caught:
        policy({"metric": "tpr", "max": 5}, {"metric": "auc", "mx": 0.5}, gates={"x": 1}, other=2)
    places = {line.split(":")[0] for line in caught.value.problems}
    assert places == {"other", "limit[0].fpr", "limit[0].max", "limit[1].mx", "limit[1]", "gates.x"}


def test_files_that_are_no_policy(tmp_path):
    (tmp_path / "latin.toml").write_bytes(b"# \xe4")
    for name, message in (("none.toml", "must be a readable file"), ("latin.toml", "must be UTF-8 text")):
        with pytest.raises(ConfigError, match=message) as caught:
            load_policy(tmp_path / name)
        assert len(caught.value.problems) == 1


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ({"metric": "tpr", "fpr": 0.02, "max": 0.1}, "limit[0].fpr: must match what was measured for tpr, got 0.02: "
                                                     "measured are: 0.1, 0.01, 0.001, 0.0001"),
        ({"metric": "auc", "attack": "lira-onlin", "max": 0.6}, "limit[0].attack: must match what was measured "
                                                                "for auc, got 'lira-onlin': did you mean"),
        ({"metric": "auc", "attack": "c*", "max": 0.6}, "limit[0].attack: must match"),
        ({"metric": "precision", "prior": 0.2, "max": 0.6}, "limit[0].prior: must match"),
        ({"metric": "accuracy", "variant": "dp", "min": 0.6}, "limit[0].variant: must match"),
        ({"metric": "auc", "group": "*", "max": 0.6}, "limit[0].group: must match what was measured for auc, got '*': "
                                                      "measured are: none"),
        ({"metric": "auc", "stage": "train", "max": 0.6}, "got 'train': use one of: finetune"),
        ({"metric": "tpr", "fpr": 0.01, "threshold": "split", "max": 0.6}, "limit[0].threshold: must match"),
    ],
)  # fmt: skip
def test_a_limit_on_what_was_not_measured_names_what_was(limit, message):
    with pytest.raises(ConfigError) as caught:
        check(SHOWN, policy(limit))
    assert message in caught.value.problems[0]
    assert caught.value.problems[0].endswith("or give not_applicable = 'the reason'")
    with pytest.raises(ConfigError) as caught:
        check(SHOWN, policy(limit, limit))
    assert len(caught.value.problems) == 2


def exposed(result=SHOWN, **parts):
    """A result that tells exposure, as `exposure.row` does; parts are its kinds of units."""
    units = {"records": unit(0.9, 0.4, 0.97, n=360), "persons": unit(0.7, 0.3, 0.8, n=40), "groups": None, **parts}
    found = {"status": "ok", "reason": "", "attack": "lira-online", "fpr": 0.01, "level": 0.95, "unit": "record"}
    data = {**result["data"], "persons": 40, "groups": 2}
    return {**result, "data": data, "exposure": {**found, "models": 32, "first": "", **units}}


def unit(value, low, high, *, n):
    return {"n": n, "highest": {"value": value, "low": low, "high": high, "unused": 0.0}}


@pytest.mark.parametrize(
    ("limit", "status"),
    [
        ({"unit": "person", "max": 0.8}, "met"),
        ({"unit": "person", "max": 0.5}, "undecided"),
        ({"unit": "person", "max": 0.2}, "exceeded"),
        ({"unit": "record", "max": 0.98}, "met"),
        ({"unit": "record", "max": 0.39}, "exceeded"),
        ({"unit": "group", "max": 0.99}, "undecided"),
    ],
)
def test_the_highest_exposure_is_held_against_its_simultaneous_interval(limit, status):
    outcome = one({"metric": "exposure", **limit}, exposed())
    assert outcome.status == status
    assert outcome.row.key.attack == "headline"
    assert outcome.source.who == f"lira-online (headline) on the most exposed {limit['unit']}"
    assert ("more than 32 trainings" in outcome.message) == (status == "undecided" and limit["unit"] != "group")
    assert f"highest exposure of any {limit['unit']}" in outcome.line


def test_every_kind_of_unit_that_the_data_name_is_held_against_a_limit_without_one():
    found = check(exposed(), policy({"metric": "exposure", "max": 0.5})).outcomes
    assert [(outcome.row.key.get("unit"), outcome.status) for outcome in found] == [
        ("record", "undecided"), ("person", "undecided"), ("group", "undecided"),
    ]  # fmt: skip
    assert "none of the groups has a rate of its own" in found[-1].message


def test_exposure_that_was_not_measured_cannot_pass():
    with pytest.raises(ConfigError, match=r"limit\[0\].metric: must match what was measured for exposure"):
        check(SHOWN, policy({"metric": "exposure", "max": 0.5}))  # of an earlier release
    single = exposed(records=None, persons=None)
    single["exposure"] |= {"status": "not_measurable", "reason": "one training says nothing", "models": 0}
    found = check(single, policy({"metric": "exposure", "max": 0.5}))
    assert {outcome.status for outcome in found.outcomes} == {"undecided"}
    assert not found.passed
    assert "one training says nothing" in found.outcomes[0].message
    assert "distinct non-members" not in found.outcomes[0].message
    nameless = exposed(persons=None)
    nameless["data"] |= {"persons": None}
    with pytest.raises(ConfigError, match=r"limit\[0\].unit: must match .* got 'person'"):
        check(nameless, policy({"metric": "exposure", "unit": "person", "max": 0.5}))


def test_a_rise_of_exposure_that_is_shown_fails_against_the_accepted_result():
    limit = policy({"metric": "exposure", "unit": "person", "max": 0.99})
    before = exposed(persons=unit(0.1, 0.0, 0.2, n=40))
    assert [outcome.status for outcome in check(exposed(), limit, before).outcomes] == ["met", "exceeded"]
    assert check(before, limit, exposed()).passed


def test_ratchet_tells_shown_from_not_shown():
    assert check(SHOWN, None, SHOWN).passed
    found = check(SHOWN, None, SHOWN | {"audit_key": "x"})
    assert found.notes == ("audit_key: differs, though nothing that results hold does: a seed, data or code",)
    assert len(found.outcomes) == 8
    worse = check(SHOWN, None, NOT_SHOWN)
    assert {one.status for one in worse.outcomes} == {"exceeded"}
    assert "at least 13.72 % is shown, up to 1.61 % was accepted" in worse.outcomes[0].message
    assert "threat.targets: 1 -> 8" in worse.notes
    assert check(NOT_SHOWN, None, SHOWN).passed
    slight = copy.deepcopy(SHOWN)
    for row in slight["estimates"]:
        row |= {"value": row["value"] and row["value"] - 0.001}
    found = check(SHOWN, None, slight)
    assert {one.status for one in found.outcomes} == {"undecided"}
    assert found.passed
    assert all("rose from" in one.message and "(warning)" in one.line for one in found.outcomes)


def test_ratchet_takes_what_the_policy_is_about_and_utility_is_worse_when_lower():
    limits = policy({"metric": "accuracy", "split": "train", "min": 0.5}, {"metric": "auc", "max": 0.9})
    found = check(NOT_SHOWN, limits, SHOWN).outcomes[-5:]
    assert [one.row.key.metric for one in found] == ["accuracy", *["auc"] * 4]
    assert [one.status for one in found] == ["exceeded", *["met"] * 4]
    assert "at most 85.2 % is shown, at least 92.4 % was accepted" in found[0].message


def test_ratchet_does_not_let_a_number_vanish():
    for drop in (lambda row: None, lambda row: row | {"status": "not_resolvable", "reason": "few", "value": None}):
        fewer = copy.deepcopy(SHOWN)
        changed = [drop(row) if row["attack"] == "rmia" else row for row in fewer["estimates"]]
        fewer["estimates"] = [row for row in changed if row]
        found = check(fewer, None, SHOWN)
        assert not found.passed
        assert [one.status for one in found.outcomes if one.row.key.attack == "rmia"] == ["undecided"] * 2
        assert check(SHOWN, None, fewer).passed


def test_ratchet_refuses_another_threat_model():
    other = copy.deepcopy(SHOWN)
    other["threat"] |= {"at_risk": "pretrain", "access": "logits"}
    other["verdict"] |= {"fpr": 0.1}
    with pytest.raises(ConfigError) as caught:
        check(SHOWN, None, other)
    assert len(caught.value.problems) == 3
    assert "threat.access must be the same in both results, got 'logits' there and 'probs'" in str(caught.value)
    secrets = [copy.deepcopy(SHOWN) for _ in range(3)]
    for one, name in zip(secrets, ("age", "sex", None), strict=True):
        one["threat"] |= {} if name is None else {"property": name}
    secrets[0]["data"] |= {"lineup": 5}
    secrets[1]["data"] |= {"lineup": 50}
    with pytest.raises(ConfigError) as caught:
        check(secrets[1], None, secrets[0])
    first, second = caught.value.problems
    assert "threat.property must be the same in both results, got 'age' there and 'sex' here" in first
    assert "data.lineup must be the same in both results, got 5 there and 50 here" in second
    assert check(secrets[2], None, secrets[0]).passed  # an older result does not tell
    renamed = copy.deepcopy(SHOWN)
    renamed["attacks"] = [one | ({"name": "LOSS"} if one["id"] == "rmia" else {}) for one in renamed["attacks"]]
    renamed["threat"] |= {"unit": "person"}
    with pytest.raises(ConfigError) as caught:
        check(renamed, None, SHOWN)
    first, second = caught.value.problems
    assert "threat.unit must be the same in both results, got 'record' there and 'person' here" in first
    assert "attack rmia must be the same in both results, got 'RMIA' there and 'LOSS' here" in second
    withdrawn = SHOWN | {"verdict": SHOWN["verdict"] | {"status": "withdrawn"}}
    with pytest.raises(ConfigError, match="its verdict must stand"):
        check(SHOWN, None, withdrawn)
    empty = SHOWN | {"estimates": []}
    with pytest.raises(ConfigError, match="must have a number to compare"):
        check(empty, None, empty)
    with pytest.raises(ConfigError, match="needs limits, got none"):
        check(SHOWN, None)


def test_access_and_shadows_may_be_unknown():
    supplied = copy.deepcopy(SHOWN)
    supplied["threat"] |= {"access": None, "shadows": None, "at_risk": None}
    for row in supplied["estimates"]:
        row["stage"] = None
    assert check(supplied, None, supplied).passed
    assert check(supplied, policy({"metric": "auc", "max": 0.9}), supplied).passed


@pytest.fixture
def run(folder):
    """A run's folder, and an accepted result beside it."""
    Path("run").mkdir()
    Path("run/result.json").write_text(json.dumps(SHOWN), encoding="utf-8")
    Path("old.json").write_text(json.dumps(NOT_SHOWN), encoding="utf-8")
    Path("loose.toml").write_text("[[limit]]\nmetric = 'auc'\nmax = 0.9\n")
    Path("strict.toml").write_text("[[limit]]\nmetric = 'auc'\nmax = 0.6\n")
    return folder


def test_exit_codes(run, capsys):
    assert main(["check", "run", "--policy", "loose.toml"]) == 0
    assert capsys.readouterr().out.startswith("Passed: 4 of 5 lines")
    assert main(["check", "run/result.json", "--policy", "strict.toml"]) == 1
    out, err = capsys.readouterr()
    assert out.startswith("Failed: 4 of 5 limits.")
    assert err == ""
    assert main(["check", "run", "--accepted", "old.json"]) == 1
    assert main(["check", "old.json", "--accepted", "run", "--quiet"]) == 0
    capsys.readouterr()
    assert main(["check", "run", "--policy", "strict.toml", "--quiet", "--sarif", "a/b.sarif", "--junit", "b.xml"]) == 1
    assert capsys.readouterr() == ("", "")
    assert json.loads(Path("a/b.sarif").read_text())["version"] == "2.1.0"
    assert "<testsuites" in Path("b.xml").read_text()
    assert main(["check", "run", "--policy", "strict.toml", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["passed"], found["outcomes"][0]["status"], found["outcomes"][0]["max"]) == (False, "exceeded", 0.6)


BROKEN = [
    (["check", "run"], "needs limits, got none"),
    (["check", "nowhere", "--policy", "loose.toml"], "nowhere: not found: give a run's folder or its result.json"),
    (["check", "run", "--policy", "no.toml"], "no.toml: must be a readable file"),
    (["check", "run", "--policy", "old.json"], "must be TOML"),
    (["check", "loose.toml", "--policy", "loose.toml"], "loose.toml: is not valid JSON"),
    (["check", "run", "--accepted", "loose.toml"], "loose.toml: is not valid JSON"),
    (["check", "run", "--accepted", "old.json", "--sarif", "run/result.json"], "must be a file of its own"),
    (["check", "run", "--accepted", "old.json", "--sarif", "x", "--junit", "x"], "must be a file of its own"),
    (["check", "run", "--policy", "loose.toml", "--sarif", "run"], "must be a file of its own"),
    (["check", "run", "--policy", "loose.toml", "--sarif", "/proc/nowhere/x"], "cannot be written"),
    (["diff", "run", "nowhere"], "nowhere: not found"),
]


@pytest.mark.parametrize(("arguments", "message"), BROKEN, ids=range(len(BROKEN)))
def test_user_errors(arguments, message, run, capsys):
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert not out
    assert len(err.splitlines()) == 1
    assert message in err
    assert flat(json.loads(Path("run/result.json").read_text())) == json.loads(json.dumps(SHOWN))


def test_results_that_are_broken(run, capsys):
    for text, message in (("{", "is not valid JSON"), ("[" * 100_000, "nested too deep"), ("NaN", "holds NaN"),
                          ("[]", "must be object, got array"), ('{"schema": 1}', "is missing (and")):  # fmt: skip
        Path("bad.json").write_text(text)
        assert main(["diff", "run", "bad.json"]) == 2
        err = capsys.readouterr().err
        assert err.startswith("error: bad.json: ")
        assert message in err
        assert len(err.splitlines()) == 1


def test_the_policy_of_the_page_is_valid_and_every_key_is_documented():
    page = (Path(__file__).parents[3] / "docs" / "policies.md").read_text("utf-8")
    block = page.split("```toml\n")[1].split("```")[0]
    found = parse_policy(tomllib.loads(block))
    assert len(check(SHOWN, found).outcomes) > len(found.limit)
    for name, field in Limit.model_fields.items():
        if name == "conditions":  # stands for keys of families that have further ones
            continue
        row = next(line for line in page.splitlines() if line.startswith(f"| `{name}` |"))
        default = field.get_default()
        told = "required" if field.is_required() else "" if default is None else f'`"{default}"`'
        assert told in row
    assert all(f"| `{name}` |" in page for name in limits_module.Gates.model_fields)


def test_checking_loads_no_models():
    modules = ", ".join(
        f"dosimeter.results.{one}" for one in ("compare", "policy.check", "policy.sarif", "policy.junit")
    )
    code = f"import sys, {modules}; "
    code += "sys.exit(any(name in sys.modules for name in ('torch', 'scipy', 'matplotlib')))"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=600).returncode == 0


def test_rows_of_a_result_have_distinct_keys():
    own = [line for line in lines(SHOWN) if line.row.metric != "fpr"]
    assert len({line.key for line in lines(SHOWN)}) == len(lines(SHOWN))
    assert len(own) == len(SHOWN["estimates"]) + len(SHOWN["utility"])
