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
