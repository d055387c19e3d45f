"""Benchmarks against the package as it is: what they import, the faults they put in, the slow tests that they name."""

import ast
import importlib
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "benchmarks"
FILES = sorted(FOLDER.rglob("*.py"))
every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


@pytest.fixture
def faults(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("mutations").FAULTS


def stored(name):
    """A file of figures."""
    return json.loads((FOLDER / "results" / name).read_text("utf-8"))


@every_file
def test_what_a_benchmark_imports_is_there(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "dosimeter":
            module = importlib.import_module(node.module)
            for alias in node.names:
                if not hasattr(module, alias.name):
                    importlib.import_module(f"{node.module}.{alias.name}")


def test_every_fault_stands_once_and_names_tests_that_exist(faults):
    for file, text, wrong, tests in faults:
        whole = (ROOT / "src" / "dosimeter" / file).read_text("utf-8")
        assert whole.count(text) == 1, (file, text)
        assert text != wrong
        assert all((ROOT / name).exists() for name in tests.split()), tests


def test_every_fault_was_caught(faults):
    rows = stored("mutations.json")["faults"]
    assert {(row["file"], row["fault"]) for row in rows} == {(file, wrong) for file, _, wrong, _ in faults}
    assert all(row["caught"] for row in rows)


def test_stored_outcomes_are_of_tests_that_exist():
    for row in stored("verify.json")["tests"]:
        module, _, name = row["test"].partition("::")
        path = ROOT / f"{module.replace('.', '/')}.py"
        assert re.search(rf"^def {re.escape(name.partition('[')[0])}\(", path.read_text("utf-8"), re.MULTILINE), name


def test_the_page_on_inversion_says_what_helps_beside_the_model(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    page, audits = (ROOT / "docs" / "inversion.md").read_text("utf-8"), stored("beside_the_model.json")["audits"]
    rows = [row for case in audits.values() for row in importlib.import_module("beside_the_model").lines(case)]
    assert len(rows) == 13 * len(audits)
    assert [row for row in rows if row not in page] == []
    rights = ("photos", "faces"), ("drawings", "drawings")
    for noun, case in rights:
        value, low, high = (100 * one for one in audits[case]["accuracy"])
        assert (
            f"{value:.0f} % right on {'their ' if case == 'faces' else ''}other {noun} ({low:.0f} to {high:.0f})"
            in page
        )
    together = {
        (case, name): one["changes"]["placed_together"]
        for case, audit in audits.items()
        for name, one in audit["attacks"].items()
        if "changes" in one
    }
    shown = {name for name, (_, low, high) in together.items() if low > 0 or high < 0}
    students = [
        ("drawings", "gmi ce, 3 students"),
        ("drawings", "gmi logit, 3 students"),
        ("faces", "gmi ce, 3 students"),
    ]
    assert sorted(shown) == students
    (_, least, most), (_, _, other), (_, low, high) = (tuple(100 * one for one in together[name]) for name in students)
    assert f"on faces ({low:+.0f} to {high:+.0f})" in page
    assert f"on drawings ({least:+.0f} to {most:+.0f}, and just above 0 to {other:+.0f})" in page
    changes = [one["changes"] for audit in audits.values() for one in audit["attacks"].values() if "changes" in one]
    assert all(one["recognised"][1] < 0 < one["recognised"][2] for one in changes)
    assert all(status == "pass" for audit in audits.values() for _, status in audit["null_audit"].values())
    assert all(value <= 1 / 20 for value, _ in audits["faces"]["null_audit"].values())
    lineup = audits["drawings"]["judges"]["lineup"]
    assert f"names only {100 * lineup:.0f} % of real drawings right" in page


def test_the_page_on_inversion_says_how_much_faster_a_batch_is():
    page = " ".join((ROOT / "docs" / "inversion.md").read_text("utf-8").split())
    linear, convnet = stored("batched_inversion.json")["cases"].values()
    assert linear["ok"]
    assert f"`gmi` was {linear['ratio']:.0f} times as fast as with one latent at a time on a linear model" in page
    assert f"and {convnet['ratio']:.1f} times on a small convolutional net" in page


def test_the_page_on_inversion_has_the_stored_figures(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    page = (ROOT / "docs" / "inversion.md").read_text("utf-8")
    module, content = importlib.import_module("inversion"), stored("inversion.json")
    rows = module.lines(content)
    assert len(rows) == 5
    rows += module.lines_of_defenses(content, 0)
    assert len(rows) == 5 + 12
    rows += module.lines_of_layers(content)
    assert len(rows) == 5 + 12 + 3
    assert [row for row in rows if row not in page] == []
    assert content["defenses"]["0"]["verdict"] == "shown"
    assert all(one["change"][2] > 0 for one in content["defenses"]["0"]["matched"]["rows"].values())  # none is shown
    ratios = [one for run in content["fisher"].values() for one in run["fisher"]["ratios"]]
    assert all(one["slope"]["low"] > 0 for one in ratios if one["beside"] in ("train", "held_out", "prior"))


def test_fresh_attacks_lose_two_fifths_of_what_the_stroke_tells_them_and_the_task_keeps_its_accuracy(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    module, content = importlib.import_module("split_construction"), stored("split_construction.json")
    for seed in content["thickness"]:
        plain = seed["trainings"][0]
        for place, one in enumerate(seed["trainings"][1:], start=1):
            assert module.gone(seed["trainings"], place, "thickness") >= 0.4
            assert module.strongest(one, "thickness")["value"] >= 0.6  # and much is left
            accuracies = [module.row(found, "accuracy", None)["value"] for found in (one, plain)]
            assert accuracies[0] >= accuracies[1] - 0.01
