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


def test_the_page_has_the_table_of_trainings_at_three_cuts(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
    page = importlib.import_module("split_cuts")
    text = page.PAGE.read_text(encoding="utf-8")
    content = json.loads(page.PATH.read_text(encoding="utf-8"))
    assert page.filled(text) == text
    assert all(len(found) == 5 for found in content.values())
    # What the text says of faces.
    gone = {
        cut: [page.gone("faces", one["cuts"][place]) for one in content["faces"]] for place, cut in enumerate("136")
    }
    assert max(gone["1"] + gone["3"]) < 0.25
    assert sum(one is not None and one > 0.5 for one in gone["6"]) == 3
    assert gone["6"].count(None) == 2


def test_the_page_has_the_tables_of_trainings_that_hide(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
    page = importlib.import_module("split_construction")
    text = importlib.import_module("split").PAGE.read_text(encoding="utf-8")
    content = json.loads(page.PATH.read_text(encoding="utf-8"))
    assert all(page.table(case, content[case]) in text for case in page.TABLES)
    shares = [page.gone(seed["trainings"], 1, "small_batches") for seed in content["small_batches"]]
    told = sorted(round(100 * one) for one in shares if one is not None)
    assert shares.count(None) == 1
    assert f"`weight-1` took {told[1]} to {told[3]} % in three seeds and {told[0]} % in one" in text
    # What the text and the README say of adults, and of strokes.
    readme = " ".join((BENCHMARKS.parent / "README.md").read_text(encoding="utf-8").split())
    for case, most, told in (("census", 0.004, "71 to 93 %"), ("thickness", 1.0, "46 to 60 %")):
        assert len(content[case]) == 5
        gone = [round(100 * page.gone(seed["trainings"], 1, case)) for seed in content[case]]
        assert f"{min(gone)} to {max(gone)} %" == told
        assert told in text
        assert told in readme
        for seed in content[case]:
            plain, hidden = (page.row(one, "accuracy", None)["value"] for one in seed["trainings"][:2])
            assert -0.004 <= hidden - plain <= most
