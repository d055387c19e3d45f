"""The figures of `docs/language-models.md` are those that were stored."""

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MADE = ("language_cost", "leakage_per_minute", "leakage_page", "few_shadow_power", "shadow_free", "machine")


@pytest.fixture
def written(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import language_page

    yield language_page
    for name in MADE:
        sys.modules.pop(name, None)


def test_the_page_has_the_stored_figures(written):
    text = written.PAGE.read_text("utf-8")
    stored, large = (json.loads(one.read_text("utf-8")) for one in (written.STORED, written.LARGE))
    assert written.page(text, stored, large) == text


def test_every_attack_has_its_seconds_and_the_frontier_is_theirs(written):
    import language_cost

    stored = json.loads(written.STORED.read_text("utf-8"))
    for rows in (stored["attacks"], stored["few shot"]["attacks"]):
        again = {name: {key: row[key] for key in ("auc", "reads")} for name, row in rows.items()}
        language_cost.priced(again, stored["seconds"])
        assert {name: (one["seconds"], one["frontier"]) for name, one in again.items()} == {
            name: (one["seconds"], one["frontier"]) for name, one in rows.items()
        }
    best = {name for name, row in stored["attacks"].items() if row["frontier"]}
    assert {"min_k", "ez_mia", "base, 2 shadows"} <= best  # as the page says


def test_a_split_by_document_is_seen_without_any_model(written):
    stored = json.loads(written.STORED.read_text("utf-8"))
    areas = [one[0] for one in stored["by document"]["blind"]["paragraphs"]]
    assert sum(areas) / len(areas) > stored["controls"]["blind"]["auc"]["high"]


def test_the_controls_find_nothing_and_attacks_with_the_base_do(written):
    stored = json.loads(written.STORED.read_text("utf-8"))
    for row in stored["controls"].values():
        assert abs(row["auc"]["mean"] - 0.5) < 0.05
    assert stored["attacks"]["base_reference"]["auc"]["low"] > 0.5
    assert stored["attacks"]["ez_mia"]["less base_reference"]["auc"]["low"] > 0


def test_attacks_with_the_base_reach_what_the_pilots_found(written):
    """Bars of the pilots: their means less two standard errors, for other seeds of the same recipe."""
    stored = json.loads(written.STORED.read_text("utf-8"))
    found, few = stored["attacks"], stored["few shot"]["attacks"]
    for name, area, rate in (("ez_mia", 0.95, 0.39), ("wbc", 0.95, 0.42)):
        assert found[name]["auc"]["mean"] >= area
        assert found[name]["tpr"]["mean"] >= rate
    assert found["ez_mia"]["less base_reference"]["auc"]["mean"] >= 0.067
    assert found["ez_mia"]["less base_reference"]["tpr"]["mean"] >= 0.26
    assert abs(found["wbc"]["auc"]["mean"] - found["wbc, other windows"]["auc"]["mean"]) <= 0.01
    beside = few["texts-and-base"]
    assert beside["less loss"]["auc"]["mean"] >= 0.084
    assert beside["less base_reference"]["auc"]["mean"] >= 0.064
    assert beside["less ez_mia"]["auc"]["low"] <= 0.01  # and so no gain over it is claimed
    assert abs(few["logits"]["auc"]["mean"] - 0.5) <= 0.02


def test_texts_are_found_the_surer_the_more_often_they_were_used(written):
    rates = [one["base_reference"] / one["n"] for one in json.loads(written.STORED.read_text("utf-8"))["canaries"]]
    assert rates == sorted(rates)
    assert rates[-1] > rates[0]


def test_what_the_page_says_of_another_base_is_stored(written):
    text = written.PAGE.read_text("utf-8")
    stored = json.loads((written.STORED.parent / "language_far_base.json").read_text("utf-8"))
    assert f"had a loss of {stored['base loss']:.2f}" in text
    for name in ("ez_mia", "base_reference"):
        assert written.ends(stored["attacks"][name]["auc"]) in text


def test_the_gain_over_the_base_alone_does_not_carry_over_to_a_larger_model(written):
    stored = json.loads(written.LARGE.read_text("utf-8"))
    found = stored["attacks"]
    for name in ("base_reference", "ez_mia"):
        assert found[name]["auc"]["mean"] >= 0.93
    assert found["ez_mia"]["less base_reference"]["low"] <= 0.0  # no gain is claimed
    assert found["ez_mia"]["less base_reference"]["mean"] >= -0.03
    control = stored["controls"]["base loss"]["auc"]
    assert control["low"] <= 0.5 <= control["high"]
