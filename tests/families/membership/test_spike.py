"""Canaries: who trains on them, what stays as it was, their own numbers, P4, and what the limit takes from them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from audits import BASE, material_in, table
from flat import flat, problems

from dosimeter.config.audit import parse
from dosimeter.data import Dataset
from dosimeter.families.membership.design.canaries import plant, sources_needed
from dosimeter.families.membership.design.design import split_records
from dosimeter.families.membership.gates.canaries import beside_average
from dosimeter.families.membership.gates.runs import worst_case
from dosimeter.families.membership.measures.canaries import call_rate_gains, canary_rows
from dosimeter.families.membership.measures.detection_limit import detect, planted_leak, worlds_of
from dosimeter.families.membership.measures.material import measure_attack
from dosimeter.families.membership.threat import Spike
from dosimeter.foundation.errors import ConfigError
from dosimeter.jobs.store import Store
from dosimeter.pipeline import verbs
from dosimeter.pipeline.recipe.prepare import prepare
from dosimeter.statistics.intervals.crossed import clopper_pearson


def audit(**more):
    """A small recipe on digits."""
    return {
        "stage": [{"name": "train", "data": "digits", "rows": "0:400", "model": "linear", "epochs": 20, "lr": 0.1}],
        "threat": {"shadows": 6, "targets": 3, "population": 40},
        "attack": [{"name": "loss"}, {"name": "lira"}, {"name": "count"}],
        **more,
    }


SPIKE = {"kinds": ["plain", "mislabelled", "noise"], "count": 8, "copies": [1, 8]}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The same audit without and with canaries."""
    folder = tmp_path_factory.mktemp("spike")
    for name, more in {"without": {}, "with": {"spike": SPIKE}}.items():
        verbs.run(parse(audit(**more), base=Path()), folder / name, workers=1)
    return folder


@pytest.fixture(scope="module")
def material(runs):
    return material_in(runs / "with")


def dataset(n=60, classes=3):
    rng = np.random.default_rng(0)
    labels = np.arange(n) % classes
    return Dataset(
        rng.normal(size=(n, 5)).astype(np.float32), labels, tuple("abc"), np.array([f"r{i}" for i in range(n)])
    )


def planted(spike, **more):
    data = dataset()
    split = split_records(data.labels, population=30, candidates=None, stratify=False, seed=1)
    return data, split, *plant(data, split, spike, models=8, seed=1, **more)


def test_canaries_are_made_of_population_records_that_leave_it():
    data, before, holding, after, canaries = planted(Spike(count=4, copies=(1, 3)))
    assert sources_needed(Spike(count=4, copies=(1, 3))) == 16
    assert len(after.population) == len(before.population) - 16
    assert (after.pool == before.pool).all()
    assert (after.candidates == before.candidates).all()
    assert (holding.inputs[: len(data)] == data.inputs).all()
    assert len(holding) == len(data) + 24
    gone = np.setdiff1d(before.population, after.population)
    for kind in ("plain", "mislabelled"):
        rows = canaries.rows[canaries.kind == kind]
        source = [int(np.flatnonzero((data.inputs == holding.inputs[row]).all(1))[0]) for row in rows]
        assert set(source) <= set(gone)
        same = holding.labels[rows] == data.labels[source]
        assert same.all() if kind == "plain" else not same.any()
    noise = holding.inputs[canaries.rows[canaries.kind == "noise"]]
    assert all(np.isin(noise[:, column], data.inputs[:, column]).all() for column in range(5))
    assert not any((data.inputs == row).all(1).any() for row in noise)


def test_every_model_trains_on_half_of_each_grade_and_on_equally_many_rows():
    _, _, _, _, canaries = planted(Spike(count=4, copies=(1, 3)))
    assert (canaries.member[0::2] == ~canaries.member[1::2]).all()
    for kind in ("plain", "mislabelled", "noise"):
        for copies in (1, 3):
            own = (canaries.kind == kind) & (canaries.copies == copies)
            assert (canaries.member[:, own].sum(1) == 2).all()
    rows = [canaries.training_rows(model) for model in range(8)]
    assert {len(one) for one in rows} == {3 * (2 + 6)}
    counts = np.bincount(rows[0], minlength=canaries.rows[-1] + 1)[canaries.rows]
    assert (counts == canaries.copies * canaries.member[0]).all()


def test_a_small_population_is_refused_in_one_line():
    with pytest.raises(ConfigError, match=r"spike: its canaries are made of 80 records .* got 30 of them"):
        planted(Spike())


def test_noise_needs_no_population():
    data = dataset()
    split = split_records(data.labels, population=0, candidates=None, stratify=False, seed=1)
    holding, after, canaries = plant(data, split, Spike(kinds=("noise",)), models=4, seed=1)
    assert len(after.population) == 0
    assert len(holding) == len(data) + len(canaries.rows)


@pytest.mark.parametrize(
    ("spike", "line"),
    [
        ({"count": 3}, "spike.count: must be even, since each model trains on half of the canaries, got 3: use 4"),
        ({"copies": [2, 2]}, "spike.copies: must be distinct, got [2, 2]: name each once"),
        ({"copies": [0]}, "spike.copies[0]: must be at least 1, got 0: raise it"),
        ({"kinds": ["noisy"]}, "spike.kinds[0]: must be one of 'plain', 'mislabelled', 'noise', got 'noisy'"),
        ({"counts": 4}, "spike.counts: unknown key, did you mean 'count'?"),
    ],
)
def test_bad_tables_are_told_in_one_line(spike, line):
    with pytest.raises(ConfigError) as caught:
        parse(audit(spike=spike), base=Path())
    assert any(problem.startswith(line) for problem in caught.value.problems), caught.value.problems


def test_a_brought_model_takes_no_canaries():
    table = {"target": {"model": "m:f", "members": "digits", "nonmembers": "digits"}, "spike": {}}
    with pytest.raises(ConfigError, match="spike: a supplied model is trained already"):
        parse(table, base=Path())


def test_the_natural_audit_stays_what_it_was(tmp_path):
    one, other = (prepare(parse(audit(**more), base=Path()), store=Store(tmp_path)) for more in ({}, {"spike": SPIKE}))
    for name in ("ids", "labels", "member", "record"):
        assert (getattr(one.case.design, name) == getattr(other.case.design, name)).all(), name
    canaries = other.case.canaries
    assert canaries is not None
    more = int((canaries.copies * canaries.member[0]).sum())
    for plain, with_canaries in zip(one.case.jobs.packs, other.case.jobs.packs, strict=True):
        kept = with_canaries.rows[:, : plain.rows.shape[1]]
        assert (kept == plain.rows).all()
        assert with_canaries.rows.shape[1] == plain.rows.shape[1] + more
        assert not np.isin(plain.rows, canaries.rows).any()
    assert len(other.case.design.population_ids) == len(one.case.design.population_ids) - 32


def test_no_number_of_natural_records_holds_a_canary(runs):
    plain, spiked = (flat(json.loads((runs / name / "result.json").read_text())) for name in ("without", "with"))
    assert "canaries" not in plain
    for row, other in zip(plain["estimates"], spiked["estimates"], strict=True):
        for key in ("attack", "metric", "fpr", "n_members", "n_nonmembers", "n_targets"):
            assert row[key] == other[key]
    assert plain["data"]["candidates"] == spiked["data"]["candidates"]
    assert plain["data"]["records"] == spiked["data"]["records"]
    assert plain["data"]["members_per_target"] == spiked["data"]["members_per_target"]
    assert not problems(spiked)
    assert not any("canaries" in line for line in spiked["not_tested"])
    assert any("canaries" in line for line in plain["not_tested"])


def test_rows_are_the_calls_at_the_natural_thresholds(material):
    rows = canary_rows(material, "lira online")
    assert [(row["kind"], row["copies"]) for row in rows] == [(k, c) for k in SPIKE["kinds"] for c in (1, 8)]
    for row in rows:
        own = material.canaries.of(row["kind"], row["copies"])
        hits = material.canaries.scores["lira online"][:, own] > material.thresholds("lira online", row["fpr"])[:, None]
        member = material.canaries.member[:, own]
        assert row["tpr"] == pytest.approx(hits[member].mean())
        assert row["fpr_reached"] == pytest.approx(hits[~member].mean())
        assert row["low"] <= row["tpr"] <= row["high"]
        assert row["excess"] == pytest.approx(row["tpr"] - row["fpr_reached"])
        assert row["excess_low"] <= row["excess"] <= row["excess_high"]
        assert row["fpr_low"] <= row["fpr_reached"] <= row["fpr_high"]
        assert row["level"] == pytest.approx(1 - 0.05 / 24)
        assert row["n"] == 8


def test_repeated_wrong_labels_leak_and_the_control_does_not(material):
    told = {(row["kind"], row["copies"]): row for row in canary_rows(material, "lira online")}
    assert told["mislabelled", 8]["auc"] > 0.8  # 8 canaries under 3 targets are too few for an interval above 0.5
    assert all(row["auc"] == 0.5 for row in canary_rows(material, "count"))


def test_how_often_single_canaries_are_found_counts_targets_and_rehearsals(material):
    canaries, attack = material.canaries, "lira online"
    cuts, expected = material.thresholds(attack, material.leading), []
    for c in range(len(canaries.kind)):
        found = {True: [], False: []}
        for t in range(3):
            found[bool(canaries.member[t, c])].append(canaries.scores[attack][t, c] > cuts[t])
        for k in range(len(canaries.rehearsal_in)):
            calls = np.mean([canaries.rehearsed[attack][f, k, c] > cuts[2 * f] for f in range(2)])
            found[bool(canaries.rehearsal_in[k, c])].append(calls)
        expected.append(np.mean(found[True]) - np.mean(found[False]))
    assert call_rate_gains(material, attack) == pytest.approx(np.array(expected))


def test_p4_says_when_averages_hide(runs, material):
    plain, spiked = (flat(json.loads((runs / name / "result.json").read_text())) for name in ("without", "with"))
    (without,), (warned,) = ([gate for gate in one["gates"] if gate["id"] == "P4"] for one in (plain, spiked))
    assert without["status"] == "warn"
    assert "No canaries were planted" in without["message"]
    assert warned["status"] == "warn"
    assert "no leak is shown" in warned["message"]  # of natural records
    rows = canary_rows(material, "lira online")
    rates = call_rate_gains(material, "lira online")
    natural = measure_attack(material, "lira online").pairs[material.leading].difference
    rows = [{**row, "excess_low": row["excess"] - 0.1} for row in rows]  # so few targets leave wide intervals
    assert "times the average" in worst_case(rows, rates, replace(natural, value=0.01, low=0.005, high=0.02)).message
    assert "no leak is shown" in worst_case(rows, rates, replace(natural, value=0.0, low=-0.01, high=0.02)).message
    assert worst_case(rows, rates, replace(natural, value=0.98, low=0.9, high=1.0)).status == "pass"


def test_an_attack_that_judged_no_canary_says_so(material):
    without = replace(material, canaries=replace(material.canaries, scores={}, rehearsed={}))
    rows = canary_rows(without, "lira online")
    assert {row["status"] for row in rows} == {"refused"}
    assert all(row["tpr"] is None and row["reason"] for row in rows)
    assert beside_average(without, rows, "lira online", None).status == "warn"
    assert planted_leak(without, "lira online") is None


def test_canaries_that_are_not_found_leave_no_limit(material):
    attack = "lira online"
    hidden = {**material.canaries.scores, attack: np.full_like(material.canaries.scores[attack], -99.0)}
    failed = replace(material, canaries=replace(material.canaries, scores=hidden))
    limit = detect(failed, measure_attack(failed, attack), attack)
    assert (limit.tpr, limit.source, limit.worlds) == (None, "canaries", 0)


def test_the_limit_leaks_as_the_most_exposed_grade_does(material):
    attack = "lira online"
    told = {(row["kind"], row["copies"]): row["excess"] for row in canary_rows(material, attack)}
    worst = max(told, key=lambda grade: told[grade])
    planted, own = planted_leak(material, attack), material.canaries.of(*worst)
    scores, member = material.canaries.scores[attack][:, own], material.canaries.member[:, own]
    scores, member = scores[:, member.any(0)], member[:, member.any(0)]
    found = planted.scores
    assert planted.share == 1  # no unused one is called, which natural non-members are as seldom
    assert found.shape == scores.shape
    assert (found[member] == scores[member]).all()
    for t, c in zip(*np.nonzero(~member), strict=True):
        assert found[t, c] in scores[member[:, c], c]


ATTACK = "lira online"


def called(material, used, unused, *, grade=("noise", 8), others=0.0, seed=0):
    """40 canaries of each of two grades: of one a share is called where used and where not, of the other a share."""
    rng, cuts = np.random.default_rng(seed), material.thresholds(ATTACK, material.leading)
    bits, scores = (np.resize(one, (4, one.shape[1])) for one in (material.truth.is_member, material.scores[ATTACK]))
    member = np.stack([rng.permutation(40) < 20 for _ in range(4)])
    member = np.concatenate([member, member], axis=1)
    kind, copies = np.repeat(["plain", grade[0]], 40), np.repeat([1, grade[1]], 40)
    calls = np.zeros((4, 80), bool)
    for first, (inside, outside) in ((0, (others, others)), (40, (used, unused))):
        for t in range(4):
            own = np.arange(first, first + 40)
            for side, share in ((own[member[t, own]], inside), (own[~member[t, own]], outside)):
                calls[t, rng.permutation(side)[: round(20 * share)]] = True
    values = np.where(calls, 1.0, -1.0) + np.resize(cuts, 4)[:, None]
    return replace(
        material,
        truth=replace(material.truth, is_member=bits),
        scores={ATTACK: scores},
        calibration=replace(material.calibration, block=np.resize(material.calibration.block, 4)),
        canaries=replace(
            material.canaries, kind=kind, copies=copies, member=member, scores={ATTACK: values},
            rehearsal_in=np.concatenate([member, ~member])[: len(material.canaries.rehearsal_in)],
            rehearsed={ATTACK: np.full((2, len(material.canaries.rehearsal_in), 80), -99.0)},
        ),
    )  # fmt: skip


def test_canaries_found_whether_used_or_not_are_told_and_set_no_limit(material):
    either = called(material, 0.25, 0.25)
    rows = canary_rows(either, ATTACK)
    (row,) = (row for row in rows if row["kind"] == "noise")
    assert (row["tpr"], row["fpr_reached"], row["excess"]) == (0.25, 0.25, 0.0)
    assert row["p"] > 0.3
    natural = measure_attack(either, ATTACK).pairs[either.leading].difference
    gate = beside_average(either, rows, ATTACK, natural)
    assert gate.status == "warn"
    assert "times" not in gate.message
    assert "far above" not in gate.message
    assert "Found whether used or not (noise, 8 copies: 25% and 25%), which says nothing about leakage" in gate.message
    assert "No planted record is shown to be found more often where it was used" in gate.message
    assert planted_leak(either, ATTACK) is None
    assert detect(either, measure_attack(either, ATTACK), ATTACK).tpr is None


def test_a_grade_that_is_always_found_is_not_the_worst_case(material):
    """Of unused noise 80 % are called; plain canaries leak, though fewer are called."""
    mixed = called(material, 0.8, 0.8)
    member = mixed.canaries.member[:, :40]
    cuts = np.resize(material.thresholds(ATTACK, material.leading), 4)[:, None]
    values = mixed.canaries.scores[ATTACK].copy()
    values[:, :40] = np.where(member & (np.arange(40) % 2 == 0), 1.0, -1.0) + cuts
    mixed = replace(mixed, canaries=replace(mixed.canaries, scores={ATTACK: values}))
    gate = beside_average(
        mixed, canary_rows(mixed, ATTACK), ATTACK, measure_attack(mixed, ATTACK).pairs[mixed.leading].difference
    )
    assert gate.message.startswith("Canaries (plain, 1 copy) are found at")
    assert "Found whether used or not (noise, 8 copies: 80% and 80%)" in gate.message
    planted = planted_leak(mixed, ATTACK)
    assert planted.scores.shape == (4, member.any(0).sum())


def test_a_leaking_record_is_named_as_much_more_often_as_use_makes_canaries_named(material):
    """Used ones are called at 60 %, unused ones at 20 %: a leak names 40 % more than chance does, not 60 %."""
    one = called(material, 0.6, 0.2)
    planted, cuts = planted_leak(one, ATTACK), one.thresholds(ATTACK, one.leading)[:, None]
    hits = one.scores[ATTACK] > cuts
    natural = hits[~one.truth.is_member].mean()
    assert planted.share == pytest.approx(0.4 / (0.6 - natural))
    worlds = list(worlds_of(one, ATTACK, count=20, planted=planted))
    named = np.mean([world.leaky_hits[world.is_member].mean() for world in worlds])
    before = np.mean([world.hits[world.is_member].mean() for world in worlds])
    assert named - before == pytest.approx(0.4, abs=0.05)


def test_the_report_sets_canaries_beside_natural_records(runs):
    plain, spiked = ((runs / name / "report.html").read_text() for name in ("without", "with"))
    assert "Planted canaries beside the average" in spiked
    assert "mislabelled, 8 times" in spiked
    assert 'id="canaries"' not in plain


def test_a_lone_canary_of_each_kind_has_the_exact_interval(material):
    """One target: calls of a grade are a binomial count."""
    one = replace(
        material,
        truth=replace(material.truth, is_member=material.truth.is_member[:1]),
        scores={name: values[:1] for name, values in material.scores.items()},
        calibration=replace(material.calibration, block=material.calibration.block[:1]),
        canaries=replace(
            material.canaries,
            member=material.canaries.member[:1],
            scores={name: values[:1] for name, values in material.canaries.scores.items()},
        ),
    )
    for row in canary_rows(one, "lira online"):
        low, high = clopper_pearson(round(4 * row["tpr"]), 4, level=row["level"])
        assert (row["low"], row["high"]) == pytest.approx((low, high))


def test_a_wrong_table_of_canaries_is_named_where_it_stands():
    for raw, place in (
        ({"spike": {"counts": 4}}, "spike.counts"),
        ({"threat": {"spike": {"counts": 4}}}, "threat.spike.counts"),
        ({"threat": [{"id": "a"}, {"id": "b", "spike": {"counts": 4}}]}, "threat[1].spike.counts"),
    ):
        with pytest.raises(ConfigError) as caught:
            parse(table() | raw, base=BASE)
        assert caught.value.problems == (f"{place}: unknown key, did you mean 'count'?",)
