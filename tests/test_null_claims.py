"""The stored figures of audits in which nothing leaks keep to the bounds; `benchmarks/null_claims.py` makes them."""

import json
import sys
from pathlib import Path

import pytest
from scipy.stats import binomtest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
STORED = json.loads((BENCHMARKS / "results" / "null_claims.json").read_text(encoding="utf-8"))["portions"]
LEVEL = 0.001
"""Of each test: with 34 cells and at most four tests each, one in ten runs on new seeds would fail by chance."""


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


FEW = [name for name in STORED if total(name, "unused")]


@pytest.mark.parametrize("name", FEW)
def test_thresholds_of_halves_reach_their_rate(name):
    """Not more than they aim at; and not much less than so many unused records in a half can give."""
    audits = total(name, "audits")
    aim, called, unused = total(name, "aim") / 1000 / audits, total(name, "called"), total(name, "unused")
    in_a_half = unused // audits // 2
    best = int(aim * (in_a_half + 1) + 1e-9) / (in_a_half + 1)
    assert binomtest(called, unused, aim, alternative="greater").pvalue > LEVEL
    assert called / unused > 0.7 * best


def test_few_shadows_were_tried_at_both_doors():
    assert len(FEW) == 6
    assert {name.split(":")[0] for name in FEW} == {"recipe", "supplied model"}


def test_the_page_says_what_few_shadows_claim():
    shown = [total(name, "shown") for name in FEW]
    called = [100 * total(name, "called") / total(name, "unused") for name in FEW]
    page = " ".join((BENCHMARKS.parent / "docs" / "concepts.md").read_text(encoding="utf-8").split())
    audits = sum(total(name, "audits") for name in FEW)
    assert f"{sum(shown)} of {audits:,} simulated audits show a leak: {min(shown)} to {max(shown)} of 200" in page
    assert f"they call {min(called):.1f} to {max(called):.1f} % of the unused records" in page


def test_a_portion_is_what_its_audits_count(null_claims, monkeypatch):
    monkeypatch.setattr(null_claims, "PORTION", 1)
    name, first, counts = null_claims.portion("table: half of 600 records", 0)
    assert (name, first, counts["audits"], counts["auc"]) == ("table: half of 600 records", 0, 1, 1)
    assert counts["shown"] + counts["withdrawn"] <= 1


def test_audits_of_inversion_rarely_claim_a_leak_of_networks_that_learned_exchanged_names():
    """At most 5 % claims, and at most 5 % doses above 0: 11 of 100 would come once in a hundred at that rate."""
    stored = json.loads((BENCHMARKS / "results" / "inversion_nulls.json").read_text(encoding="utf-8"))["audits"]
    assert len(stored) == 100
    assert {one["status"] for one in stored.values()} <= {"shown", "not_shown"}
    for claimed in (
        sum(one["status"] == "shown" for one in stored.values()),
        sum(one["dose_shown"] > 0 for one in stored.values()),
    ):
        assert claimed <= 5
        assert binomtest(claimed, len(stored), 0.05, alternative="greater").pvalue > LEVEL
    assert min(one["lineup"] for one in stored.values()) > 0.5
    page = (BENCHMARKS.parent / "docs" / "inversion.md").read_text(encoding="utf-8")
    shown = sum(one["status"] == "shown" for one in stored.values())
    assert f"that learned exchanged names, {shown} showed a leak, where 5 are to be expected, and none showed" in page


def test_audits_of_a_language_model_that_saw_neither_half_claim_no_more_than_chance():
    """At most 5 % claims and doses above 0, 2 % withdrawals, intervals that hold; and the page says how many."""
    stored = json.loads((BENCHMARKS / "results" / "language_nulls.json").read_text(encoding="utf-8"))["audits"]
    assert len(stored) == 200
    status = [one["status"] for one in stored.values()]
    shown, withdrawn = status.count("shown"), status.count("withdrawn")
    assert shown + withdrawn + status.count("not_shown") == 200
    for claimed in (shown, sum(one["dose_shown"] > 0 for one in stored.values())):
        assert claimed <= 10
        assert binomtest(claimed, 200, 0.05, alternative="greater").pvalue > LEVEL
    assert binomtest(withdrawn, 200, 0.02, alternative="greater").pvalue > LEVEL
    held = sum(one["low"] <= 0.5 <= one["high"] for one in stored.values())
    assert binomtest(held, 200, 0.93, alternative="less").pvalue > LEVEL
    high = 100 * binomtest(shown, 200).proportion_ci(0.95, "exact").high
    page = " ".join((BENCHMARKS.parent / "docs" / "language-models.md").read_text(encoding="utf-8").split())
    told = f"{shown} of 200 showed a leak (at most {high:.1f} %), {withdrawn} were withdrawn by a check"
    assert f"{told}, and {held} intervals of the AUC hold one half" in page


@pytest.mark.parametrize("question", ["property", "tasks"])
def test_audits_of_a_joint_training_rarely_claim_what_a_coin_drew(question):
    """At most 5 % claims and doses above 0, controls that are seldom off, and the page says how many."""
    stored = json.loads((BENCHMARKS / "results" / "exchange_nulls.json").read_text(encoding="utf-8"))[question]
    assert len(stored) == 200
    status = [one["status"] for one in stored.values()]
    shown, withdrawn = status.count("shown"), status.count("withdrawn")
    assert shown + withdrawn + status.count("not_shown") == 200
    for claimed in (shown, sum(one["dose_shown"] > 0 for one in stored.values())):
        assert binomtest(claimed, 200, 0.05, alternative="greater").pvalue > LEVEL
    assert binomtest(shown, 200 - withdrawn, 0.05, alternative="greater").pvalue > LEVEL
    # Others are withdrawn since the training gained nothing.
    off = sum(bool(set(one["failed"]) - {"E1"}) for one in stored.values())
    assert binomtest(off, 200, 0.05, alternative="greater").pvalue > LEVEL
    # Of the coin alone: records that a coin marked differ a little by luck, by which attacks tell them right or wrong.
    coin = "coin" if question == "property" else "task_coin"
    held = sum(one["auc"][coin][1] <= 0.5 <= one["auc"][coin][2] for one in stored.values())
    assert binomtest(held, 200, 0.93, alternative="less").pvalue > LEVEL
    page = " ".join((BENCHMARKS.parent / "docs" / "exchange.md").read_text(encoding="utf-8").split())
    assert f"Of 200 audits of {question}, {shown} showed a leak and {withdrawn} gave no verdict" in page
