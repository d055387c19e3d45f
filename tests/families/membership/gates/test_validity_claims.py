"""Checks on what may be claimed: one case that fires, one that does not."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from audits import attacks, gaussian, material
from flat import result

from dosimeter.families.membership.gates.claims import (
    beyond_the_average,
    discoveries,
    kind_of_audit,
    list_of_members,
    no_proof,
)
from dosimeter.families.membership.measures.calibration import tail
from dosimeter.statistics.estimate import Estimate
from dosimeter.statistics.evidence import Truth
from dosimeter.statistics.rates import RatePair

LIRA = tuple(row for row in attacks() if row.id == "lira online")


def gate(content, name):
    return next((one for one in content["gates"] if one["id"] == name), None)


@pytest.fixture(scope="module")
def sound():
    design, observations = gaussian(1, leakage=2.0, n=300, shadows=24)
    return material(dataclasses.replace(design, rehearsals=8), observations, rows=LIRA)


def test_a_sound_audit_passes_all_of_them(sound):
    found = result(sound)
    assert {gate(found, one)["status"] for one in ("P12", "P13", "P17", "P18")} == {"pass"}


def test_p12_fires_on_one_run_and_on_none():
    assert [kind_of_audit(n, drawn=drawn).status for n, drawn in ((8, True), (1, True), (1, False), (5, False))] == [
        "pass", "warn", "warn", "warn",
    ]  # fmt: skip
    assert [kind_of_audit(n, drawn=drawn).value for n, drawn in ((8, True), (1, True), (1, False))] == [8.0, 1.0, 0.0]


def test_p13_fires_where_membership_was_stated(sound):
    rare = Estimate(0.3, 0.2, 0.4, 0.975, "", 100, 100, 1)
    assert no_proof(rare, 0.01, drawn=True).status == "pass"
    fired = no_proof(rare, 0.01, drawn=False)
    assert fired.status == "warn"
    assert fired.value == pytest.approx(0.7)
    assert "where 1% of candidates were used, 70% of the accused were not" in fired.message
    stated = dataclasses.replace(sound, summary={**sound.summary, "door": "scores"})
    assert gate(result(stated), "P13")["status"] == "warn"


def rates(low):
    def rate(*ends):
        return Estimate(*ends, 0.975, "", 100, 100, 1)

    return RatePair(rate(0.05, 0.02, 0.1), rate(0.01, 0.0, 0.02), rate(0.04, low, 0.08))


def test_p17_fires_where_only_an_average_is_left():
    auc = Estimate(0.6, 0.55, 0.65, 0.95, "", 100, 100, 1)
    assert beyond_the_average(auc, rates(0.01), 0.01, ranks_only=False).status == "pass"
    assert beyond_the_average(auc, rates(-0.01), 0.01, ranks_only=True).status == "warn"
    assert beyond_the_average(auc, rates(-0.01), 0.01, ranks_only=False).status == "pass"
    nothing = beyond_the_average(auc, None, None, ranks_only=False)
    assert nothing.status == "warn"
    assert nothing.value == 0.6


def test_p18_lists_by_benjamini_and_hochberg():
    rng = np.random.default_rng(0)
    known, scores = rng.normal(size=500), rng.normal(size=(2, 300)) + 3 * (np.arange(300) < 40)
    listed = discoveries(tail(scores, np.sort(known)))
    for row, values in zip(listed, scores, strict=True):
        p = np.array([(1 + (known >= value).sum()) / 501 for value in values])
        order = np.argsort(p, kind="stable")
        below = np.flatnonzero(p[order] <= 0.1 * np.arange(1, 301) / 300)
        wanted = np.zeros(300, bool)
        wanted[p <= p[order[below.max()]] if len(below) else []] = True
        assert (row == wanted).all()


def test_p18_keeps_its_promise_over_many_audits():
    """The mean share of non-members on the list, 200 audits of 400 records, is below 10 % by the test of its mean."""
    rng, shares = np.random.default_rng(1), []
    for _ in range(200):
        bits = rng.random((1, 400)) < 0.5
        scores = rng.normal(size=(1, 400)) + 2.5 * bits
        listed = discoveries(tail(scores, np.sort(rng.normal(size=2000))))
        shares.append((listed & ~bits).sum() / max(listed.sum(), 1))
    assert np.mean(shares) + 2 * np.std(shares) / np.sqrt(len(shares)) < 0.1
    assert np.mean(shares) > 0.01


def test_p18_fires_where_the_list_breaks_its_promise():
    bits = np.arange(200)[None] % 2 == 0
    truth = Truth(np.arange(200).astype(str), bits, np.arange(200))
    rng = np.random.default_rng(0)
    fired = list_of_members(np.arange(200)[None] < 60, truth, rng=rng)
    assert fired.status == "warn"
    assert fired.value == 0.5
    assert list_of_members(bits & (np.arange(200) < 60), truth, rng=rng).status == "pass"
    assert list_of_members(np.zeros((1, 200), bool), truth, rng=rng).value is None


def test_p18_fires_on_thresholds_from_models_unlike_the_target(sound):
    lower = {name: [one - 6 for one in blocks] for name, blocks in sound.calibration.scores.items()}
    moved = dataclasses.replace(sound, calibration=dataclasses.replace(sound.calibration, scores=lower))
    assert gate(result(moved), "P18")["status"] == "warn"
