"""The page of speed says what was measured, and its ratios follow from the seconds beside them."""

import importlib
import json
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def speed(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("speed_page")


def test_the_page_is_what_the_stored_figures_say(speed):
    assert speed.PAGE.read_text(encoding="utf-8") == speed.page(speed.figures())


def test_every_case_beside_a_peer_is_on_the_page(speed):
    found = speed.figures()
    cases = found["bench"]["cases"] | found["batched_inversion"]["cases"]
    assert {name for name, one in cases.items() if "peer_seconds" in one} == set(speed.PEERS)


def test_ratios_follow_from_the_seconds(speed):
    found = speed.figures()
    for name in speed.PEERS:
        one = (found["bench"]["cases"] | found["batched_inversion"]["cases"])[name]
        assert one["ratio"] == pytest.approx(one["peer_seconds"] / one["seconds"])
    for one in found["arithmetic"]["cases"].values():
        assert one["share"] == pytest.approx(one["bare_seconds"] / one["seconds"])
        assert 0 < one["share"] < 1
    for one in found.get("whole_audit", {}).values():
        assert one["ratio"] == pytest.approx(one["seconds"]["whole"] / one["seconds"]["training"], abs=0.006)


def test_a_missed_bar_and_a_busy_machine_are_told(speed):
    found = json.loads(json.dumps(speed.figures()))
    found["bench"]["cases"]["lira_10k_64"]["ok"] = False
    found["bench"]["machine"]["load"] = [9.0, 9.0, 9.0]
    page = speed.page(found)
    assert "| >= 30 **missed** |" in page
    assert "at a load of 9" in page
