"""The leak zoo: its laws are true, its page says what was measured, and a few of its audits."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest, norm

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def zoo(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import zoo

    return zoo


@pytest.fixture
def cases(zoo):
    found = sys.modules["zoo_cases"]
    yield found
    found.law.cache_clear()  # a test may have made its law of fewer draws


def test_the_page_is_what_the_stored_figures_say(zoo):
    found = json.loads(zoo.RESULTS.read_text(encoding="utf-8"))
    assert zoo.PAGE.read_text(encoding="utf-8") == zoo.page(found)
    assert found["all"]["null_cases"] == len(zoo.nulls())
    assert found["all"]["graded_cases"] == len(zoo.graded())


def test_there_are_a_hundred_different_cases_of_each(zoo):
    for cases in (zoo.nulls(), zoo.graded()):
        assert len(set(cases)) == len(cases) >= 100


def test_laws_agree_with_closed_forms(cases):
    """10^6 draws: the standard error of a rate is at most 0.0005."""
    case = cases.Case("effects", targets=4, target_sd=0.6, boost_sd=0.3, strength="middle")
    law = cases.law(case)
    sd = np.sqrt(0.7**2 + 0.6**2 + 1)
    tpr, fpr = law.rates(np.array([1.5]))
    assert fpr == pytest.approx(norm.sf(1.5 / sd), abs=0.002)
    assert tpr == pytest.approx(norm.sf(0.7 / np.sqrt(sd**2 + 0.3**2)), abs=0.002)
    spread = 2 + 0.3**2
    wins = [norm.cdf(0.8 / np.sqrt(spread + extra)) for extra in (2 * 0.49, 2 * 0.36, 2 * 0.49 + 2 * 0.36)]
    np.testing.assert_allclose(law.wins, wins, atol=0.002)


def test_the_expected_auc_weighs_pairs_as_they_are(cases):
    """Mean of 60 audits beside the law's, which weighs pairs of one target and of one person apart."""
    case = cases.Case("effects", "recipe", 100, 2, target_sd=1.0, record_sd=2.0, strength="strong")
    found = []
    for seed in range(60):
        drawn = cases.draw(case, seed)
        values, bits = drawn.material.scores["first"], drawn.material.truth.is_member
        members, others = values[bits], values[~bits]
        found.append((members[:, None] > others).mean() - drawn.auc())
    assert abs(np.mean(found)) <= 3.5 * np.std(found) / np.sqrt(60)


def test_a_planted_leak_has_the_rate_that_was_asked_for(cases, monkeypatch):
    monkeypatch.setattr(cases, "DRAWS", 100_000)
    case = cases.Case("plain", "recipe", 1200, 4)
    drawn = cases.draw(case, 0, planted=0.3)
    thresholds = drawn.material.thresholds("first", 0.01)
    hits = drawn.material.scores["first"] > thresholds[:, None]
    called = np.mean(drawn.law.rates(thresholds)[0])
    assert hits[drawn.material.truth.is_member].mean() == pytest.approx(0.3 + 0.7 * called, abs=0.05)


@pytest.mark.parametrize("door", ["scores", "recipe"])
def test_a_few_audits_of_the_zoo(zoo, cases, monkeypatch, door):
    """Twelve null audits: more than 3 claims happen with probability 0.2 % at a rate of 5 %."""
    monkeypatch.setattr(cases, "DRAWS", 100_000)
    null = [zoo.told(cases.draw(cases.Case("ties", door, decimals=0), seed))[0] for seed in range(12)]
    assert sum(one["status"] == "shown" for one in null) <= 3
    held = [row["holds"] for one in null for row in one["intervals"]]
    assert len(held) == 36
    assert np.mean(held) >= 0.8
    strong = [zoo.told(cases.draw(cases.Case("plain", door, strength="strong"), seed))[0] for seed in range(3)]
    assert all(one["status"] == "shown" for one in strong)
    assert sum(row["holds"] for one in strong for row in one["intervals"]) >= 7


def test_leaving_out_the_limit_moves_no_verdict(zoo, cases, monkeypatch):
    monkeypatch.setattr(cases, "DRAWS", 100_000)
    monkeypatch.setattr("dosimeter.families.membership.measures.detection_limit.WORLDS", 20)
    drawn = cases.draw(cases.Case("plain", "recipe", 100), 0)
    (quick, none), (whole, limit) = zoo.told(drawn), zoo.told(drawn, limit=True)
    assert quick == whole
    assert none["tpr"] is None
    assert limit is not None
    assert limit["worlds"] > 0


def test_records_that_differ_a_little_are_not_called_a_leak(zoo, cases, monkeypatch):
    """Twelve audits of a model that adds nothing; 8 of them were claims when the gain was asked for only sometimes."""
    monkeypatch.setattr(cases, "DRAWS", 100_000)
    case = cases.Case("shift", "model", 600, shift=0.2)
    found = [zoo.audited(cases.draw(case, seed)) for seed in range(12)]
    assert sum(one.verdict["status"] == "shown" for one in found) <= 3
    gates = [next(gate for gate in one.gates if gate.id == "P1") for one in found]
    unclear = [one for one, gate in zip(found, gates, strict=True) if "not shown to be above them" in gate.message]
    assert len(unclear) >= 3
    assert all(one.verdict["status"] == "not_shown" for one in unclear)


def test_two_models_show_a_leak_at_least_as_often_as_one(zoo, cases, monkeypatch):
    """40 audits each, of which about 16 and 32 are expected to show it."""
    monkeypatch.setattr(cases, "DRAWS", 1000)
    shown = {
        targets: [
            zoo.scope(cases.draw(cases.Case("x", "recipe", 700, targets, strength="slight"), seed).material)
            for seed in range(40)
        ]
        for targets in (1, 2)
    }
    one, two = (40 - shown[targets].count(None) for targets in (1, 2))
    assert two >= one + 8
    assert set(shown[1]) == {None, "models"}
    assert shown[2].count("recipe") < shown[2].count("models")


def test_the_stored_power_does_not_fall_when_a_model_is_added(zoo):
    """Less than 3.5 standard errors of a difference, and no law without a leak is shown in more than 5 %."""
    rows = json.loads(zoo.RESULTS.read_text(encoding="utf-8"))["targets"]
    assert [(one["law"], one["targets"]) for one in rows] == [(one.kind, one.targets) for one in zoo.by_targets()]
    for before, after in zip(rows, rows[1:], strict=False):
        if before["law"] != after["law"]:
            continue
        first, second = (one["shown"] / one["audits"] for one in (before, after))
        spread = np.sqrt(sum(p * (1 - p) / before["audits"] for p in (first, second)))
        assert before["strength"] == "null" or second >= first - 3.5 * spread
    for one in rows:
        if one["strength"] == "null":
            assert one["audits"] >= 400
            assert binomtest(one["shown"], one["audits"], 0.05, alternative="greater").pvalue > 0.001
