"""The stored figures of doses under known laws keep to the claims; `benchmarks/dose.py` makes them."""

import json
import sys
from math import sqrt
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest, fisher_exact

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
STORED = json.loads((BENCHMARKS / "results" / "dose.json").read_text(encoding="utf-8"))["cells"]
LEVEL = 0.001
"""Of each test: with some 250 tests, one in four runs on new seeds would fail by chance."""
PILOT = {
    ("null", 200): (-0.009, 0.012, 0.0),
    ("null", 1000): (-0.001, 0.001, 0.0),
    ("normal, shift 0.3", 200): (0.008, 0.016, 0.20),
    ("normal, shift 0.3", 1000): (0.016, 0.005, 0.95),
    ("normal, shift 1", 200): (0.151, 0.034, 0.98),
    ("normal, shift 1", 1000): (0.162, 0.013, 1.0),
    ("normal, shift 2", 200): (0.471, 0.045, 1.0),
    ("normal, shift 2", 1000): (0.487, 0.017, 1.0),
    ("5 % surely known", 200): (0.015, 0.010, 0.48),
    ("5 % surely known", 1000): (0.019, 0.004, 1.0),
    ("student t2, shift 1", 200): (0.070, 0.024, 0.80),
    ("student t2, shift 1", 1000): (0.076, 0.010, 1.0),
    ("members wider", 200): (0.141, 0.025, 0.98),
    ("members wider", 1000): (0.144, 0.010, 1.0),
}
"""Mean and standard deviation of 60 draws of the pilot, in bits, and how often its plain interval was above 0."""


@pytest.fixture
def dose(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    sys.modules.pop("dose", None)
    import dose

    yield dose
    sys.modules.pop("dose", None)


def test_every_cell_was_done(dose):
    assert {name: one["draws"] for name, one in STORED.items()} == {
        name: count for name, (count, _) in dose.cells().items()
    }


@pytest.mark.parametrize(("name", "n"), PILOT)
def test_no_row_of_the_pilot_is_worse_beyond_two_standard_errors(name, n):
    """Held by 540 draws, so that the error is mostly the pilot's."""
    mean, spread, above = PILOT[name, n]
    ours = STORED[f"rehearsed: {name}, n {n}"]
    draws = ours["draws"]
    found = ours["sum"] / draws
    # Pilot figures are rounded to the third digit.
    assert found > mean - 2 * spread / sqrt(60) - 0.0005
    assert STORED[f"pilot: {name}, n {n}"]["draws"] == 60


@pytest.mark.parametrize(("name", "n"), PILOT)
def test_the_wider_interval_shows_about_as_often_as_the_plain_one(name, n):
    """Of the same draws at most 5 points less; the pilot's other draws by a test of two shares."""
    above, ours = PILOT[name, n][2], STORED[f"rehearsed: {name}, n {n}"]
    draws, shown = int(ours["draws"]), int(ours["shown"])
    assert shown >= ours["plain_shown"] - 0.05 * draws
    table = [[shown, draws - shown], [round(60 * above), 60 - round(60 * above)]]
    assert fisher_exact(table, alternative="less").pvalue > LEVEL


@pytest.mark.parametrize("name", [name for name in STORED if "null" in name or name.endswith("strength 0")])
def test_where_nothing_leaks_more_than_0_is_shown_in_at_most_5_percent(name):
    one = STORED[name]
    assert binomtest(int(one["shown"]), int(one["draws"]), 0.05, alternative="greater").pvalue > LEVEL
    assert one["shown"] / one["draws"] <= 0.05
    # A reader of noise loses: it never gains on average.
    error = sqrt(max(0.0, one["squares"] / one["draws"] - (one["sum"] / one["draws"]) ** 2) / one["draws"])
    assert one["sum"] / one["draws"] < 3 * error + 1e-9


@pytest.mark.parametrize("name", [name for name, one in STORED.items() if "held" in one])
def test_intervals_hold_what_their_reader_gains(name):
    """At 95 %, with no allowance but for chance."""
    one = STORED[name]
    misses = int(one["low_misses"]) + int(one["high_misses"])
    assert binomtest(misses, int(one["held"]), 0.05, alternative="greater").pvalue > LEVEL


def test_coverage_over_all_cells_is_95_percent():
    several = [one for one in STORED.values() if "held" in one]
    low, high = (sum(one[side] for one in several) for side in ("low_misses", "high_misses"))
    held = sum(one["held"] for one in several)
    assert low / held <= 0.025
    assert high / held <= 0.025


def test_a_draw_is_what_its_audit_counts(dose):
    one = dose.rehearsed("normal, shift 2", 200, np.random.default_rng(0))
    assert (one["draws"], one["held"], one["shown"], one["plain_shown"]) == (1, 1, 1, 1)
    assert one["low_misses"] + one["high_misses"] <= 1
    assert 0.3 < one["sum"] < 0.65
    assert one["squares"] == pytest.approx(one["sum"] ** 2)
