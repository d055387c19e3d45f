"""What must hold for any input: audit files, policies and tables of scores are taken or refused, nothing else.

Generated cases of the default suite: 300 of audit files in test_config.py, 720 of tables in test_scores_table.py, 300
of limits in test_policy.py, and here 250 + 250 of audit files, 300 + 100 of policies, 80 of results, 60 of tables from
file to result and 57 of properties of its numbers: 2,417. Those here are drawn by a fixed seed, so that a failure is
the same everywhere.
"""

from __future__ import annotations

import copy
import csv
import json
import shutil
import tomllib
from contextlib import nullcontext
from xml.etree import ElementTree

import example
import nasty
import numpy as np
import pytest
from flat import check, compare, flat, junit, parse_policy, problems, raised, render, sarif
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dosimeter.config.audit import Audit, SuppliedAudit, draft
from dosimeter.foundation.errors import AuditError
from dosimeter.pipeline import page, verbs
from dosimeter.pipeline import table as table_module

MANY = settings(
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
RECIPE = """
name = "t"
seed = 0
[[stage]]
name = "first"
data = "digits"
rows = "0:200"
model = "mlp"
options = { width = 8 }
epochs = 1
[[stage]]
name = "second"
data = "digits"
transfer = "head"
[threat]
shadows = 4
views = ["identity"]
[report]
leading_fpr = 0.01
[[attack]]
name = "lira"
"""
TARGET = """
name = "t"
seed = 0
[target]
model = "recipe:model"
weights = "w.pt"
options = { width = 8 }
output = "auto"
members = "digits"
members_rows = "0:100"
nonmembers = "digits"
nonmembers_rows = "100:200"
data_options = { noun = "digit" }
duplicates = "refuse"
fit = "recipe:fit"
depends = ["recipe"]
[threat]
shadows = 4
access = "probs"
[report]
noun = "digit"
[[attack]]
name = "loss"
"""
POLICY = """
[gates]
allow_warn = true
[[limit]]
metric = "tpr"
fpr = 0.01
attack = "lira-online"
max = 0.1
undecided = "warn"
[[limit]]
metric = "accuracy"
min = 0.5
split = "test"
"""
NAMES = [name for name in nasty.NAMES if len(name) < 100]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | st.dates()
    | st.sampled_from([*NAMES, "digits", "0:9", "recipe:model", "auto", "flip", "tpr", "auc", "headline", "*", "[!"])
    | st.sampled_from([0.1, 0.01, 0.5, 1, 2, 16, -1, 10**30]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip


def places(value):
    """Every table and list of a nested value."""
    if isinstance(value, dict | list):
        yield value
        for item in value.values() if isinstance(value, dict) else value:
            yield from places(item)


def keys(table):
    """Every key that occurs anywhere."""
    return sorted({key for place in places(table) if isinstance(place, dict) for key in place})


def changed(data, table, more=()):
    """A table in which one to three things are other than they should be."""
    table, words = copy.deepcopy(table), st.sampled_from([*keys(table), *more])
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.sampled_from(list(places(table))))
        if isinstance(place, list):
            place.append(data.draw(VALUES))
        elif place and data.draw(st.integers(0, 3)) == 0:
            del place[data.draw(st.sampled_from(sorted(place)))]
        else:
            place[data.draw(words | st.sampled_from(NAMES) | st.text(max_size=8))] = data.draw(VALUES)
    return table


def attempt(what):
    """What a call gives, or the problems that it tells."""
    try:
        return what(), ()
    except AuditError as error:
        return None, error.problems


def told(problems):
    """What a refusal looks like."""
    return bool(problems) and all(line.isprintable() and 0 < len(line) < 1000 for line in problems)


@settings(MANY, max_examples=250)
@given(data=st.data())
def test_any_change_of_a_recipe_is_taken_or_told(data, tmp_path):
    found = draft(changed(data, tomllib.loads(RECIPE), ["target", "fit", "weights", "targets"]), base=tmp_path)
    assert isinstance(found.audit, Audit | SuppliedAudit) or told(found.problems)
    assert (found.audit is None) == bool(found.problems)


@pytest.mark.parametrize("key", ["stride", "string", "tuple[", "literal[", "dict[x", "function-", "constrained-str"])
def test_unknown_keys_that_look_like_types_are_told(key, tmp_path):
    for table in ("threat", "report", "data_options"):
        audit = tomllib.loads(RECIPE)
        place = audit["stage"][0].setdefault(table, {}) if table == "data_options" else audit[table]
        place[key] = [1]
        (line,) = draft(audit, base=tmp_path).problems
        assert f"{table}.{key}: unknown key" in line
    (line,) = draft(tomllib.loads(RECIPE) | {"threat": {"stratify": "yes"}}, base=tmp_path).problems
    assert line.startswith("threat.stratify: must be true or false, got 'yes'")


@settings(MANY, max_examples=250)
@given(data=st.data())
def test_any_change_of_a_target_is_taken_or_told(data, tmp_path):
    more = ["stage", "targets", "population", "population_rows", "candidates", "views", "rehearsals", "classes", "size"]
    found = draft(changed(data, tomllib.loads(TARGET), more), base=tmp_path)
    assert isinstance(found.audit, Audit | SuppliedAudit) or told(found.problems)
    assert (found.audit is None) == bool(found.problems)


SHOWN, TINY = example.shown(), example.tiny()


@settings(MANY, max_examples=300)
@given(data=st.data())
def test_any_change_of_a_policy_is_taken_or_told(data):
    more = ["prior", "group", "threshold", "variant", "stage", "name", "not_applicable"]
    table = changed(data, tomllib.loads(POLICY), more)
    found, wrong = attempt(lambda: check(data.draw(st.sampled_from([SHOWN, TINY])), parse_policy(table)))
    if found is None:
        assert told(wrong)
    else:
        assert all(line.isprintable() for line in found.lines())
        json.dumps(found.as_json(), allow_nan=False)


SMALL = copy.deepcopy(TINY) | {"curves": {}, "histograms": {}, "estimates": TINY["estimates"][:20]}
LIMITS = parse_policy({"limit": [{"metric": "auc", "max": 0.6}, {"metric": "accuracy", "min": 0.5}]})


@pytest.mark.parametrize("form", [dict, raised], ids=["version 2", "version 3"])
@settings(MANY, max_examples=80)
@given(data=st.data())
def test_a_result_of_somebody_else_is_read_or_refused(form, data):
    changed_one = changed(data, form(SMALL))
    if problems(changed_one):
        return
    found, _ = attempt(lambda: check(changed_one, LIMITS, SMALL))
    texts = compare(SMALL, changed_one).lines() + (found.lines() if found else [])
    assert all(line.isprintable() for line in texts)
    if found:
        assert sarif(found, changed_one).isascii()
        ElementTree.fromstring(junit(found, changed_one))
    assert nasty.Page(render(changed_one, {})).elements


BOUNDS = st.floats(0, 0.999)


@settings(MANY, max_examples=100)
@given(a=BOUNDS, b=BOUNDS, metric=st.sampled_from(["auc", "tpr", "precision"]), key=st.sampled_from(["max", "min"]))
def test_a_looser_limit_is_never_worse(a, b, metric, key):
    tight, loose = sorted((a, b), reverse=key == "min")
    more = {"tpr": {"fpr": 0.01}, "precision": {"prior": 0.5}}.get(metric, {})
    rank = ["met", "undecided", "exceeded"]
    if key == "min" and not loose:
        return
    statuses = [
        [one.status for one in check(SHOWN, parse_policy({"limit": [{"metric": metric, key: bound, **more}]})).outcomes]
        for bound in (tight, loose)
    ]
    for before, after in zip(*statuses, strict=True):
        assert before == after == "refused" or rank.index(after) <= rank.index(before)


# Tables of scores, from the file to the numbers.


def write(path, rows):
    """Rows as a CSV file; columns are those of any row."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", encoding="utf-8", newline="", errors="replace") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
    return path


@st.composite
def tables(draw, n=(8, 50)):
    """Rows of one or two attacks, perhaps with ids, persons, groups and a split; scores are few different ones."""
    size, rng = draw(st.integers(*n)), np.random.default_rng(draw(st.integers(0, 2**32)))
    member = rng.permutation(np.arange(size) % 2)
    has = draw(st.sets(st.sampled_from(["id", "person", "group", "split", "attack"])))
    spread = draw(st.sampled_from([1, 3, 1000]))
    rows = []
    for attack in range(2 if "attack" in has else 1):
        scores = np.round(rng.normal(size=size) * spread) / spread + draw(st.sampled_from([0, 1])) * member
        for i in range(size):
            row = {"score": float(scores[i]), "is_member": int(member[i])}
            row |= {"attack": "ab"[attack]} if "attack" in has else {}
            row |= {"id": f"r{i}"} if "id" in has else {}
            row |= {"person": f"p{i // 3}"} if "person" in has else {}
            row |= {"group": "xyz"[i % 3]} if "group" in has else {}
            rows.append(row)
    return stated(rows) if "split" in has else rows


CELLS = st.sampled_from(
    [None, "", "nan", "inf", "-inf", "1e999", "-0", "1", "0", "yes", "2", "x", "calibration", *NAMES]
)


@pytest.fixture
def dry(monkeypatch, quick):
    """Write nothing either."""
    for module in (verbs, table_module, page):
        monkeypatch.setattr(module, "write_text", lambda path, text: None)


@pytest.fixture
def quick(monkeypatch):
    """Leave out plots, versions and the wait for the disk, which cost more than all numbers; other tests have them."""

    def write_text(path, text):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    for module in (verbs, table_module, page):
        monkeypatch.setattr(module, "write_text", write_text)
    monkeypatch.setattr(verbs, "one_thread", nullcontext)
    monkeypatch.setattr(page, "report", lambda folder: folder / "report.html")
    monkeypatch.setattr(page, "provenance", lambda **_: {})


@settings(MANY, max_examples=60)
@given(rows=tables(), data=st.data())
def test_any_table_ends_in_a_result_or_in_one_line(rows, data, tmp_path, quick):
    for _ in range(data.draw(st.integers(0, 2))):
        row = data.draw(st.sampled_from(rows))
        row[data.draw(st.sampled_from([*row, "target", "model", "other"]))] = data.draw(CELLS)
    for index in data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=2)):
        del rows[min(index, len(rows) - 1)]
    shutil.rmtree(tmp_path / "out", ignore_errors=True)
    path = write(tmp_path / "t.csv", rows)
    more = {"leading_fpr": data.draw(st.sampled_from([0.1, 0.01, 0.001])), "seed": data.draw(st.integers(0, 2**63))}
    found, wrong = attempt(lambda: flat(table_module.measure_scores(path, tmp_path / "out", **more)))
    if found is None:
        assert len(wrong) == 1
        assert told(wrong)
        assert nasty.tree(tmp_path) == {"t.csv"}
        return
    content = flat(json.loads((tmp_path / "out" / "result.json").read_text()))
    assert problems(content) == []
    for name, most in (("auc", 0.5), ("tpr", 0.0)):
        limit = {"metric": name, "max": most} | ({"fpr": 0.1} if name == "tpr" else {})
        assert all(line.isprintable() for line in check(content, parse_policy({"limit": [limit]})).lines())


def numbers(tmp_path, rows, *, seed=0):
    """The estimates of a table, and its gates; nothing is written but the table."""
    content = flat(table_module.measure_scores(write(tmp_path / "t.csv", rows), tmp_path / "out", seed=seed))
    # I5 says how the table was read, such as columns that were not
    return content["estimates"], {gate["id"]: gate["status"] for gate in content["gates"] if gate["id"] != "I5"}


def rounded(estimates, **change):
    """Estimates without the last digits, which depend on the order of sums."""
    return [
        {key: round(value, 9) if isinstance(value, float) else value for key, value in {**row, **change}.items()}
        for row in estimates
    ]


def stated(rows):
    """Half of the records, the same of all attacks, calibrate."""
    each = len(rows) // (2 if "attack" in rows[0] else 1)
    return [row | {"split": "calibration" if i % each % 4 < 2 else "test"} for i, row in enumerate(rows)]


def permuted(rows, rng):
    """Other order; where nothing names the records, the same one for all attacks."""
    if "id" in rows[0] or "attack" not in rows[0]:
        return [rows[i] for i in rng.permutation(len(rows))]
    order, half = rng.permutation(len(rows) // 2), len(rows) // 2
    return [rows[i] for i in (*order, *(order + half))]


def ranked(rows, rng):
    """Ranks instead of scores: strictly increasing."""
    order = {score: i for i, score in enumerate(sorted({row["score"] for row in rows}))}
    return [row | {"score": order[row["score"]]} for row in rows]


SAME = {
    # name: (change of the table, whether it needs a stated split: without one, halves are drawn by position)
    "rows in another order": (permuted, True),
    "columns in another order": (lambda rows, rng: [dict(reversed(row.items())) for row in rows], False),
    "other ids and persons": (
        lambda rows, rng: [{k: f"new {v}" if k in ("id", "person") else v for k, v in row.items()} for row in rows],
        False,
    ),
    "a further column": (lambda rows, rng: [row | {"remark": rng.random()} for row in rows], False),
    "ranks": (ranked, False),
    "affine": (lambda rows, rng: [row | {"score": 4 * row["score"] - 7} for row in rows], False),
    "cubes": (lambda rows, rng: [row | {"score": row["score"] ** 3} for row in rows], False),
    "missing instead of -inf": (
        lambda rows, rng: [row | {"score": "" if row["score"] == "-inf" else row["score"]} for row in rows], False,
    ),
}  # fmt: skip


@settings(MANY, max_examples=32)
@given(rows=tables((16, 36)), how=st.sampled_from(list(SAME)), seed=st.integers(0, 99))
def test_what_must_not_change_a_number_does_not(rows, how, seed, tmp_path, dry):
    change, needs_split = SAME[how]
    if needs_split:
        rows = stated(rows)
    if how == "missing instead of -inf":
        rows = [row | {"score": "-inf" if i % 7 == 3 else row["score"]} for i, row in enumerate(rows)]
    try:
        before = numbers(tmp_path, rows, seed=seed)
    except AuditError:
        return
    after = numbers(tmp_path, change(rows, np.random.default_rng(seed)), seed=seed)
    by_attack = [
        sorted(rounded(one), key=lambda row: (row["attack"], row["group"] or "")) for one in (before[0], after[0])
    ]
    assert by_attack[0] == by_attack[1]
    assert before[1] == after[1]


@settings(MANY, max_examples=10)
@given(rows=tables((40, 50)), seed=st.integers(0, 99))
def test_an_attack_under_another_name_gets_the_same_numbers(rows, seed, tmp_path, dry):
    rows = [{k: v for k, v in row.items() if k != "attack"} for row in rows if row.get("attack", "a") == "a"]
    twice = [row | {"attack": name} for name in ("one", "two") for row in rows]
    found, _ = numbers(tmp_path, twice, seed=seed)
    alone, _ = numbers(tmp_path, rows, seed=seed)
    for name in ("one", "two"):
        own = [row for row in found if row["attack"] == name and row["group"] is None]
        assert rounded(own, attack="score") == rounded([row for row in alone if row["group"] is None])


@settings(MANY, max_examples=15)
@given(rows=tables((40, 50)))
def test_members_and_nonmembers_exchanged(rows, tmp_path, dry):
    rows = stated(rows)
    before, gates = numbers(tmp_path, rows)
    after, other = numbers(tmp_path, [row | {"is_member": 1 - row["is_member"]} for row in rows])
    for row, swapped in zip(before, after, strict=True):
        if row["metric"] == "auc" and row["status"] == "ok" and row["group"] is None:
            ends = [row["value"], row["low"], row["high"]]
            assert np.allclose(ends, [1 - swapped["value"], 1 - swapped["high"], 1 - swapped["low"]], atol=1e-9)
            if row["low"] > 0.5:
                assert (gates["P16"], other["P16"]) in (("pass", "warn"), ("warn", "warn"))
