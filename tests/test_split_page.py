"""The page on split models: its tables are what the stored figures say."""

import importlib
import json
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.parametrize("name", ["split", "split_pilots"])
def test_the_page_is_what_the_stored_figures_say(name, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
    page = importlib.import_module(name)
    text = page.PAGE.read_text(encoding="utf-8")
    tables = page.lines(json.loads(page.PATH.read_text(encoding="utf-8")))
    assert tables
    assert page.filled(text, tables) == text


def test_the_page_has_the_tables_of_trainings_that_hide(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
    page = importlib.import_module("split_construction")
    text = importlib.import_module("split").PAGE.read_text(encoding="utf-8")
    content = json.loads(page.PATH.read_text(encoding="utf-8"))
    assert all(page.table(case, content[case]) in text for case in page.CASES)
    # What the text says of adults.
    assert len(content["census"]) == 5
    for seed in content["census"]:
        plain, hidden = (page.row(one, "accuracy", None)["value"] for one in seed["trainings"][:2])
        assert 0 <= hidden - plain <= 0.004
    gone = [page.gone(seed["trainings"], 1, "census") for seed in content["census"]]
    assert gone[4] is None
    least, most, fourth = (round(100 * one) for one in (min(gone[:3]), max(gone[:3]), gone[3]))
    readme = " ".join((BENCHMARKS.parent / "README.md").read_text(encoding="utf-8").split())
    assert f"{least} to {most} % was gone in three trainings of five, {fourth} % in one" in readme
