"""The stored figures of audits in which nothing leaks keep to the bounds; `benchmarks/null_claims.py` makes them."""

import json
import sys
from pathlib import Path

import pytest
from scipy.stats import binomtest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
STORED = json.loads((BENCHMARKS / "results" / "null_claims.json").read_text(encoding="utf-8"))["portions"]
LEVEL = 0.001
"""Of each test: with 28 cells and at most three tests each, one in twelve runs on new seeds would fail by chance."""


@pytest.fixture
def null_claims(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import null_claims

    yield null_claims
    sys.modules.pop("null_claims", None)


def total(name, key):
    return sum(part.get(key, 0) for part in STORED[name].values())


def test_every_cell_was_done(null_claims):
    assert {name: total(name, "audits") for name in STORED} == {
        name: count for name, (count, _) in null_claims.cells().items()
    }


@pytest.mark.parametrize("name", STORED)
def test_no_kind_of_audit_claims_too_often_and_intervals_hold(name):
    """Claims, withdrawals and P14's p at 5 % (withdrawals 2 %), coverage of the 95 % interval by two points."""
    audits = total(name, "audits")
    assert binomtest(total(name, "shown"), audits, 0.05, alternative="greater").pvalue > LEVEL
    assert binomtest(total(name, "withdrawn"), audits, 0.02, alternative="greater").pvalue > LEVEL
    assert binomtest(total(name, "auc_held"), total(name, "auc"), 0.93, alternative="less").pvalue > LEVEL
    if total(name, "p14"):
        assert binomtest(total(name, "p14_at_most_5_percent"), audits, 0.05, alternative="greater").pvalue > LEVEL


def test_a_portion_is_what_its_audits_count(null_claims, monkeypatch):
    monkeypatch.setattr(null_claims, "PORTION", 1)
    name, first, counts = null_claims.portion("table: half of 600 records", 0)
    assert (name, first, counts["audits"], counts["auc"]) == ("table: half of 600 records", 0, 1, 1)
    assert counts["shown"] + counts["withdrawn"] <= 1
