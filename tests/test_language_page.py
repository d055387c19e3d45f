"""The figures of `docs/language-models.md` are those that were stored."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def written(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import language_page

    return language_page


def test_the_page_has_the_stored_figures(written):
    text = written.PAGE.read_text("utf-8")
    assert written.page(text, json.loads(written.STORED.read_text("utf-8"))) == text


def test_the_controls_find_nothing_and_attacks_with_the_base_do(written):
    stored = json.loads(written.STORED.read_text("utf-8"))
    for row in stored["controls"].values():
        assert abs(row["auc"]["mean"] - 0.5) < 0.05
    assert stored["attacks"]["base_reference"]["auc"]["low"] > 0.5
    assert stored["attacks"]["ez_mia"]["less base_reference"]["auc"]["low"] > 0
