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


def test_the_page_on_split_has_the_stored_figures_of_the_construction(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    page = (ROOT / "docs" / "split.md").read_text("utf-8")
    module, content = importlib.import_module("split_construction"), stored("split_construction.json")
    for case, found in content.items():
        assert module.table(case, found) in page


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
