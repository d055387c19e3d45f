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
    faces = audits["faces"]
    value, low, high = (100 * one for one in faces["accuracy"])
    assert f"{value:.0f} % right on their other photos ({low:.0f} to {high:.0f})" in page
    _, low, high = (100 * one for one in faces["attacks"]["gmi ce, 3 students"]["changes"]["placed_together"])
    assert low > 0
    assert f"of the table ({low:+.0f} to {high:+.0f})" in page
    helped = [one["changes"] for name, one in faces["attacks"].items() if "usual" in name or ", change" in name]
    assert all(one["recognised"][1] < 0 and one["placed"][1] < 0 for one in helped)  # none is shown to find more
    assert all(
        status == "pass" and value <= 1 / one["identities"] + 1e-9
        for one in audits.values()
        for value, status in one["null_audit"].values()
    )


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
    assert [row for row in rows if row not in page] == []
    assert content["defenses"]["0"]["verdict"] == "shown"
    assert all(one["change"][2] > 0 for one in content["defenses"]["0"]["matched"]["rows"].values())  # none is shown
