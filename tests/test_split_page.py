"""The page on halves of a model says what was measured, and the null of coins holds its level."""

import json
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
STORED = json.loads((BENCHMARKS / "results" / "split.json").read_text(encoding="utf-8"))


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import split

    yield split
    for name in ("split", "machine"):
        sys.modules.pop(name, None)


def test_the_tables_are_what_the_stored_figures_say(bench):
    text = bench.PAGE.read_text(encoding="utf-8")
    assert bench.filled(text, STORED) == text


def test_deeper_cuts_of_the_digits_leak_less_and_more_than_answers():
    own = STORED["depth"]["attacks"]
    for attack, metric, floor in (
        ("decoder", "ssim", "output_only input"), ("attribute_pool", "attribute_auc", "output_only attribute"),
    ):  # fmt: skip
        found = [own[attack][cut][metric][0] for cut in ("2", "4", "6")]
        assert found == sorted(found, reverse=True)
        assert found[-1] > own[floor][""][metric][0]
    assert own["decoder"]["6"]["mse"][0] < own["mean_input"][""]["mse"][0]


def test_the_stored_null_audits_keep_their_level():
    null = STORED.get("null")
    if null is None:
        pytest.skip("null audits are not stored")
    assert null["share"][0] <= 0.05
