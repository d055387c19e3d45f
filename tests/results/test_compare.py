"""Two results: rows are matched by what they ask, and only disjoint intervals move."""

from __future__ import annotations

import copy
import json

import example
from flat import compare, differences
from hypothesis import given
from hypothesis import strategies as st

from dosimeter.cli.app import main
from dosimeter.results.compare import TEST

SHOWN, NOT_SHOWN, TINY = example.shown(), example.not_shown(), example.tiny()


def changed(index=0, **values):
    """A leak that is shown, with one estimate changed."""
    result = copy.deepcopy(SHOWN)
    result["estimates"][index] |= values
    return result


def test_equal_results_show_no_move():
    found = compare(SHOWN, SHOWN)
    assert {move.change for move in found.moves} == {"none"}
    assert {move.delta for move in found.moves if move.old.row.ok} == {0.0}
    assert found.differences == ()
    assert found.lines()[:2] == ["The audits do not differ in anything that results hold.", "Verdict: shown"]
    assert found.lines()[-1] == TEST


@given(st.lists(st.floats(0, 1), min_size=6, max_size=6))
def test_a_move_is_shown_only_by_disjoint_intervals(numbers):
    (a, b, c), (d, e, f) = sorted(numbers[:3]), sorted(numbers[3:])
    old, new = (changed(value=v, low=lo, high=hi) for lo, v, hi in ((a, b, c), (d, e, f)))
    move = compare(old, new).moves[0]
    assert move.change == ("up" if d > c else "down" if f < a else "none")
    assert move.delta == e - b
    assert {"up": "down", "down": "up", "none": "none"}[move.change] == compare(new, old).moves[0].change


def test_a_number_that_is_withdrawn_has_not_moved():
    """Nor has one that another attack gave, which has the id of the former."""
    broken = copy.deepcopy(NOT_SHOWN)
    broken["verdict"]["status"] = "withdrawn"
    for pair in ((SHOWN, broken), (broken, SHOWN)):
        found = compare(*pair)
        assert {move.change for move in found.moves} == {"withdrawn"}
        assert {move.delta for move in found.moves} == {None}
        assert any("a number that is withdrawn has not moved" in line for line in found.lines())
    other = copy.deepcopy(SHOWN)
    (first,) = [one for one in other["attacks"] if one["id"] == "lira-online"]
    first["name"] = "LOSS"
    found = compare(SHOWN, other)
    assert {move.key.attack for move in found.of("another")} == {"lira-online"}
    assert any("the attack of that id is another one" in line for line in found.lines())
    assert "attack lira-online: name: LiRA -> LOSS" in found.lines()[1]


def test_what_moved_what_is_new_gone_or_has_another_status():
    found = compare(SHOWN, TINY)
    assert found.of("status")[0].line.startswith(
        "lira-online, tpr at 10 %: 51.4 % (49.4 to 53.3 %) -> not resolvable: 20"
    )
    assert found.verdicts == ("shown", "not_resolvable")
    assert "Check targets Several targets: pass -> warn" in found.lines()
    fewer = copy.deepcopy(SHOWN)
    fewer["estimates"] = [row for row in fewer["estimates"] if row["attack"] != "loss"]
    assert {move.key.attack for move in compare(SHOWN, fewer).of("gone")} == {"loss"}
    assert {move.key.attack for move in compare(fewer, SHOWN).of("new")} == {"loss"}
    assert compare(fewer, SHOWN).of("new")[0].delta is None
    (up,) = compare(SHOWN, changed(value=0.9, low=0.8, high=0.95)).of("up")
    assert up.line == "lira-online, tpr at 10 %: 51.4 % (49.4 to 53.3 %) -> 90 % (80 to 95 %), +39 points"


def test_rows_are_told_apart_by_group_variant_and_threshold():
    result = copy.deepcopy(SHOWN)
    rows = [row | {"group": "old"} for row in result["estimates"]]
    rows += [row | {"variant": "dp"} for row in result["estimates"]]
    result["estimates"] += rows
    found = compare(SHOWN, result)
    assert len([move for move in found.of("new") if move.key.metric != "fpr"]) == len(rows)
    assert found.of("new")[0].line.startswith("lira-online, group old, tpr at 10 %: ")


def test_what_was_asked_differently_is_told():
    other = copy.deepcopy(SHOWN)
    other["threat"] |= {"shadows": 4, "access": None}
    other["chain"][-1]["settings"]["lr"] = 7
    other["attacks"][0]["settings"]["variance"] = "per record"
    del other["attacks"][1]
    lines = list(differences(SHOWN, other))
    assert "threat.shadows: 16 -> 4" in lines
    assert "threat.access: probs -> not set" in lines
    assert f"chain[{len(other['chain']) - 1}].settings.lr" in " ".join(lines)
    assert "attack lira-online: settings.variance: global -> per record" in lines
    assert "attack rmia: gone" in lines
    other["chain"] = other["chain"][:1]
    assert any(line.startswith("chain: ") for line in differences(SHOWN, other))
    assert list(differences(SHOWN, SHOWN | {"audit_key": "other"}))[0].startswith("audit_key: differs, though")
    assert list(differences(SHOWN | {"door": "model"}, SHOWN | {"door": "scores"})) == ["door: model -> scores"]


def test_command_line(folder, capsys):
    for name, result in (("a.json", SHOWN), ("b.json", NOT_SHOWN)):
        (folder / name).write_text(json.dumps(result), encoding="utf-8")
    assert main(["diff", "a.json", "b.json"]) == 0
    out = capsys.readouterr().out
    assert "Verdict: shown -> not shown" in out
    assert "moved down: lira-online, tpr at 1 %" in out
    assert main(["diff", "a.json", "b.json", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    own = [row for row in found["rows"] if row["metric"] != "fpr"]  # of these results without an interval
    assert len(own) == len(SHOWN["estimates"]) + len(SHOWN["utility"])
    assert {"change", "delta", "old", "new", "attack", "metric", "fpr"} <= found["rows"][0].keys()


def test_hidden_characters_are_spelled_out():
    text = json.dumps(SHOWN).replace('"rmia"', '"r\\u202em\\n=ia"').replace('"probs"', '"\\u001b[31m"')
    lines = compare(json.loads(text), SHOWN).lines()
    assert all(line.isprintable() for line in lines)
    assert any("r[U+202E]m[U+000A]=ia" in line for line in lines)


def test_leading_rows_that_did_not_move_are_shown_one_by_one():
    found = compare(SHOWN, SHOWN).lines()[2:-1]
    assert any(" auc" in line for line in found)
    assert any(" tpr" in line for line in found)
    assert "more rows; --json lists them" in found[-1]
