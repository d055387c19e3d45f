"""Log-MIA and its grades from a measured run to the report, policies, diff, variants and `dosimeter.load`."""

import copy
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from flat import check, compare, parse_policy, problems, render

import dosimeter
from dosimeter.families.membership.measures import detection_limit
from dosimeter.families.membership.section.log_mia import section
from dosimeter.foundation.errors import ConfigError
from dosimeter.pipeline import table, verbs
from dosimeter.results.lines import lines
from dosimeter.results.rows import APART, Row, alike
from dosimeter.results.views import own_rows, views

OLD = Path(__file__).parents[1] / "golden" / "format2"
NAMES = ("recipe", "supplied", "table")


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Results with their folders: a recipe with canaries and a defense, a supplied model, a table of scores."""
    base, found = tmp_path_factory.mktemp("log_mia"), {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(detection_limit, "WORLDS", 40)
        for name in NAMES[:2]:
            folder = Path(shutil.copytree(OLD / name, base / name))
            verbs.measure(folder)
            found[name] = folder
        table.measure_scores(OLD / "table" / "scores.csv", base / "table", leading_fpr=0.1)
        found["table"] = base / "table"
    return {name: (json.loads((folder / "result.json").read_text()), folder) for name, folder in found.items()}


def own(result, regime="preset", variant="none"):
    """The row of the headline attack."""
    attack = result["threats"][0]["verdict"]["attack"]
    if variant != "none":
        attack = next(one for one in result["variants"] if one["id"] == variant)["threats"][0]["attack"]
    return next(
        row for row in result["threats"][0]["estimates"]
        if row["metric"] == "log_mia" and row["variant"] == variant and row["attack"] == attack
        and row["conditions"]["regime"] == regime
    )  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_every_door_tells_it_with_its_evidence(name, measured):
    result, _ = measured[name]
    assert problems(result) == []
    for regime in ("A", "B", "preset"):
        row = own(result, regime)
        assert row["status"] == "ok"
        assert f"{row['n']['true_positives']:,} of {row['n']['members']:,} members" in row["reason"]
        assert "chance gives" in row["reason"]
        assert row["conditions"]["threshold"] == (
            "oracle" if regime != "preset" else "shadow" if name == "recipe" else "split"
        )
    assert own(result)["grade_not_excluded"] in ("weak", "moderate", "high", "severe")


@pytest.mark.parametrize("name", NAMES)
def test_the_page_tells_both_grades_and_whose_they_are(name, measured):
    result, _ = measured[name]
    html = render(result, {})
    part = html.split('<section id="log-mia">')[1].split("</section>")[0]
    row = own(result)
    assert f"Grade of the leak (ours): {row['grade_shown']}. Not excluded: {row['grade_not_excluded']}." in part
    assert part.count("(ours)") >= 3
    attacks = [one for one in result["threats"][0]["attacks"] if one["status"] == "ok"]
    assert part.count('data-label="Grade shown (ours)"') == len(attacks)
    assert part.count('data-label="By chance"') == 3
    assert "Grade of a leak (ours)" in html


def test_canaries_and_variants_have_grades_of_their_own(measured):
    result, _ = measured["recipe"]
    entry = result["threats"][0]
    assert entry["details"]["canaries"]
    assert all(one["grade_shown"] and one["grade_not_excluded"] for one in entry["details"]["canaries"])
    html = render(result, {})
    canaries = html.split('<section id="canaries">')[1].split("</section>")[0]
    assert canaries.count('data-label="Grade shown (ours)"') == 1 + len(entry["details"]["canaries"])
    variants = html.split('<section id="variants">')[1].split("</section>")[0]
    assert variants.count('data-label="Grade shown (ours)"') == 1 + sum(
        one["status"] == "ok" for one in result["variants"]
    )
    for one in result["variants"]:
        assert own(result, variant=one["id"])["grade_shown"]


def test_a_result_without_it_prints_none():
    old = json.loads((OLD / "recipe" / "result.json").read_text())
    html = render(old, {})
    assert "Log-MIA" not in html
    assert "(ours)" not in html


def test_a_withdrawn_audit_has_no_grade(measured):
    result = copy.deepcopy(measured["table"][0])
    (view,) = views(result)
    assert section(own_rows(view), {}) is not None
    view["details"]["log_mia"] = []
    assert section(own_rows(view), {}) is None


def test_a_policy_limits_the_grade_and_the_number(measured):
    result, _ = measured["recipe"]
    row, attack = own(result), result["threats"][0]["verdict"]["attack"]

    def status(**limit):
        base = {"metric": "log_mia", "regime": "preset", "attack": attack}
        (found,) = check(
            {**result, "threats": [{**result["threats"][0], "gates": []}]}, parse_policy({"limit": [{**base, **limit}]})
        ).outcomes
        return found

    def graded(shown, upper, most):
        changed = copy.deepcopy(result)
        own(changed).update(grade_shown=shown, grade_not_excluded=upper)
        changed["threats"][0]["gates"] = []  # one of them doubts what the numbers of this model mean
        limit = {"metric": "log_mia", "regime": "preset", "attack": attack, "max_grade": most}
        (found,) = check(changed, parse_policy({"limit": [limit]})).outcomes
        return found

    assert graded("weak", "moderate", "moderate").status == "met"
    assert graded("weak", "high", "moderate").status == "undecided"
    assert graded("high", "high", "moderate").status == "exceeded"
    assert graded("undecidable", "severe", "high").status == "undecided"
    assert graded("no evidence", "weak", "weak").status == "met"
    assert (
        "grade (ours) weak shown, high not excluded; the limit is moderate" in graded("weak", "high", "moderate").line
    )
    assert status(max=row["high"] + 0.01).status == "met"
    assert status(max=row["low"] - 0.01).status == "exceeded"
    assert status(max=row["high"] + 0.01, max_grade="weak").status in ("exceeded", "undecided")
    assert status(regime="A", max=1.0).status == "met"  # the regime names the oracle, so no threshold has to be named
    assert status(regime="A", max_grade="high").status == "undecided"
    assert "log mia at 10 %, regime preset" in status(max=0.5).line or "regime preset, max 0.5" in status(max=0.5).name


@pytest.mark.parametrize(("limit", "message"), [
    ({"metric": "log_mia", "max": 0.5}, "limit.0..regime: is required for log_mia and missing"),
    ({"metric": "auc", "max_grade": "weak"}, "limit.0..max_grade: is only for log_mia, got auc"),
    ({"metric": "log_mia", "regime": "A"}, "must have max, min or both, got neither"),
    ({"metric": "log_mia", "regime": "preset", "max_grade": "severe"}, "limit.0..max_grade: must be"),
])  # fmt: skip
def test_a_wrong_limit_is_told(limit, message):
    with pytest.raises(ConfigError, match=message):
        parse_policy({"limit": [limit]})


def test_an_unresolved_number_is_still_graded(measured):
    result = copy.deepcopy(measured["recipe"][0])
    row = own(result)
    row.update(value=None, low=None, high=None, status="not_resolvable", reason="too few", grade_shown="undecidable",
               grade_not_excluded="severe")  # fmt: skip
    base = {"metric": "log_mia", "regime": "preset", "attack": row["attack"]}
    for limit in (
        {"max_grade": "high"},
        {"max": 0.5},
        {"max": 0.5, "max_grade": "high"},
        {"min": 0.1, "max_grade": "high"},
    ):
        (found,) = check(result, parse_policy({"limit": [{**base, **limit}]})).outcomes
        assert found.status == "undecided", limit


def fewer(result):
    """The same result with one member less in every count of Log-MIA, and other values."""
    changed = copy.deepcopy(result)
    for row in changed["threats"][0]["estimates"]:
        if row["metric"] == "log_mia":
            row["n"]["members"] -= 1
            row.update(value=0.99, low=0.98, high=1.0)
    return changed


def test_diff_and_an_accepted_result_compare_equal_counts_only(measured):
    result, _ = measured["recipe"]
    other = fewer(result)
    found = compare(result, other)
    moves = [move for move in found.moves if move.key.metric == "log_mia"]
    assert {move.change for move in moves} == {"not_compared"}
    assert {move.delta for move in moves} == {None}
    told = [line for line in found.lines() if line.startswith("not compared: ")]
    assert told == [f"not compared: {len(moves)} rows, since {APART}"]
    assert not any("log mia" in line for line in found.lines())
    policy = parse_policy(
        {"limit": [{"metric": "log_mia", "regime": "preset", "attack": own(result)["attack"], "max": 1.0}]}
    )
    (_, outcome) = check(other, policy, result).outcomes
    assert (outcome.status, outcome.message) == ("not_applicable", APART)
    same = compare(result, result)
    assert {move.change for move in same.moves if move.key.metric == "log_mia"} == {"none"}
    same_counts = copy.deepcopy(other)
    for row, old in zip(same_counts["threats"][0]["estimates"], result["threats"][0]["estimates"], strict=True):
        row["n"] = old["n"]
    assert "up" in {move.change for move in compare(result, same_counts).moves if move.key.metric == "log_mia"}


def test_other_metrics_are_compared_at_any_counts():
    one = Row("t", "membership", "s", "none", "a", "auc", n={"members": 5})
    assert alike(one, replace(one, n={"members": 6}))
    both = replace(one, metric="log_mia", n={"members": 5, "nonmember_decisions": 5})
    assert alike(both, both)
    assert not alike(both, replace(both, n={"members": 5, "nonmember_decisions": 6}))


def test_a_line_never_has_the_number_alone(measured):
    result, _ = measured["supplied"]
    told = [line.row.said for line in lines(result) if line.row.metric == "log_mia" and line.row.ok]
    assert told
    assert all("members and" in one and "chance" in one for one in told)
    graded = [line.row.said for line in lines(result) if line.row.grade_shown]
    assert all("; grade (ours) " in one and " shown, " in one and one.endswith(" not excluded") for one in graded)


def test_a_loaded_result_has_the_grades(measured):
    result, folder = measured["supplied"]
    found = [one for one in dosimeter.load(folder).estimates if one.metric == "log_mia"]
    row = own(result)
    (preset,) = [one for one in found if one.attack == row["attack"] and one.conditions["regime"] == "preset"]
    assert (preset.grade_shown, preset.grade_not_excluded) == (row["grade_shown"], row["grade_not_excluded"])
    assert preset.estimate.value == row["value"]
    assert preset.n["true_positives"] == row["n"]["true_positives"]
    assert all(one.grade_shown is None for one in found if one.conditions["regime"] != "preset")
    frame = dosimeter.load(folder).to_frame()
    assert set(frame["grade_shown"].dropna()) <= {"no evidence", "weak", "moderate", "high", "severe", "undecidable"}
