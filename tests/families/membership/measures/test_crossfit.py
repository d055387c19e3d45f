"""Cross-fitting beside loops over halvings, halves and records, and what the choice of other halves is worth."""

import numpy as np
import pytest
from flat import result
from oracles import auc as slow_auc
from scipy.stats import binomtest

from dosimeter.families.membership.measures.cross_fitting import HALVINGS, CrossFit, halvings, shares
from dosimeter.families.membership.measures.material import CHOICE
from dosimeter.families.membership.table.summary import scores_summary
from dosimeter.families.membership.table.table import Counts, ScoresTable
from dosimeter.foundation.seeds import generator
from dosimeter.pipeline.table import table_material
from dosimeter.statistics.evidence import Truth
from dosimeter.statistics.rates import shadow_threshold


def made(seed, *, attacks=2, targets=1, n=60, persons=1, decimals=None):
    """Scores without a leak, crossfitted."""
    rng = np.random.default_rng(seed)
    record = np.arange(n) // persons
    bits = np.stack([rng.permutation(record[-1] + 1) < (record[-1] + 1) // 2 for _ in range(targets)])[:, record]
    scores = {f"a{i}": rng.normal(size=bits.shape) for i in range(attacks)}
    if decimals is not None:
        scores = {name: np.round(values, decimals) for name, values in scores.items()}
    return CrossFit(bits, record, scores, halvings(record, bits, rng))


@pytest.mark.parametrize("targets", [1, 3])
@pytest.mark.parametrize("decimals", [None, 0])
@pytest.mark.parametrize("fpr", [0.1, 0.01])
def test_thresholds_are_medians_of_what_the_other_halves_set(targets, decimals, fpr):
    one = made(0, targets=targets, decimals=decimals)
    found = one.thresholds("a0", fpr)
    values = one.scores["a0"]
    for record in range(60):
        each = []
        for half in one.halves:
            other = half != half[record]
            each.append(shadow_threshold(values[:, other], one.is_member[:, other], fpr))
        assert (found[:, record] == np.sort(each)[HALVINGS // 2]).all()


def test_a_record_has_no_part_in_its_own_calls():
    one = made(1)
    for record in (0, 17):
        turned = one.is_member.copy()
        turned[0, record] = ~turned[0, record]
        again = one.thresholds_of(one.scores["a0"], 0.1, turned)
        assert again[0, record] == one.thresholds("a0", 0.1)[0, record]


def test_tails_and_thresholds_make_the_same_calls():
    one = made(2, n=90, decimals=1)
    calls = one.scores["a0"] > one.thresholds("a0", 0.1)
    np.testing.assert_array_equal(one.tails("a0", one.scores["a0"]) <= 0.1 + 1e-9, calls)


def test_choices_are_those_of_a_loop_over_halves():
    one = made(3, attacks=4)
    choices = one.choices(list(one.scores), 0.1)
    for half, (first, second) in zip(one.halves, choices, strict=True):
        for own, choice in ((half, first), (~half, second)):
            bits = one.is_member[:, own]
            best = {}
            for name, values in one.scores.items():
                cut = shadow_threshold(values[:, own], bits, 0.1)
                order = np.argsort(np.argsort(values, axis=None)).reshape(values.shape)[:, own] + 1.0
                ranked, called = slow_z(order, bits), slow_z((values[:, own] > cut) * 1.0, bits)
                best[name] = round(max(ranked, called), 9), round(ranked, 9)
            assert choice == max(best, key=best.get)
    assert sum(shares(choices).values()) == 2 * HALVINGS


def slow_z(cells, bits):
    """Difference of the means in standard errors."""
    inside, outside = cells[bits], cells[~bits]
    spread = np.sqrt(((cells - cells.mean()) ** 2).mean() * (1 / len(inside) + 1 / len(outside)))
    return (inside.mean() - outside.mean()) / spread if spread else 0.0


@pytest.mark.parametrize(("decimals", "targets"), [(None, 1), (0, 1), (1, 2)])
def test_the_score_of_a_choice_is_a_mean_of_shares_of_non_members(decimals, targets):
    one = made(4, attacks=3, decimals=decimals, targets=targets)
    choices = one.choices(list(one.scores), 0.1)
    found = one.choice_scores(choices)
    for record in range(60):
        each = []
        for half, (first, second) in zip(one.halves, choices, strict=True):
            values = one.scores[second if half[record] else first]
            known = values[:, half != half[record]][~one.is_member[:, half != half[record]]]
            each.append((1 + (known[:, None] >= values[:, record]).sum(0)) / (1 + len(known)))
        assert found[:, record] == pytest.approx(-np.mean(each, axis=0))


def test_a_choice_scores_records_outside_all_halves_by_both():
    one, rng = made(5, attacks=3, targets=2), np.random.default_rng(0)
    choices, planted = one.choices(list(one.scores), 0.1), {name: rng.normal(size=(2, 7)) for name in one.scores}
    found = one.choice_scores_outside(choices, planted)
    for canary in range(7):
        each = []
        for half, pair in zip(one.halves, choices, strict=True):
            for own, name in zip((half, ~half), pair, strict=True):
                known = one.scores[name][:, own][~one.is_member[:, own]]
                each.append((1 + (known[:, None] >= planted[name][:, canary]).sum(0)) / (1 + len(known)))
        assert found[:, canary] == pytest.approx(-np.mean(each, axis=0))


@pytest.mark.parametrize("targets", [1, 3])
@pytest.mark.parametrize("decimals", [None, 0])
@pytest.mark.parametrize("fpr", [0.3, 0.1, 0.01])
def test_calls_are_those_above_the_thresholds(targets, decimals, fpr):
    one = made(6, targets=targets, decimals=decimals)
    values = one.scores["a1"]
    assert (one.calls_of(values, fpr, one.is_member) == (values > one.thresholds("a1", fpr))).all()
    cuts = []
    for half in one.halves:
        cuts += [shadow_threshold(values[:, own], one.is_member[:, own], fpr) for own in (half, ~half)]
    assert one.outside("a1", fpr) == np.sort(cuts)[len(cuts) // 2]


def test_halvings_keep_persons_together_and_leave_out_those_of_one_class():
    record, bits = np.repeat(np.arange(20), 3), np.repeat(np.arange(20) < 10, 3)[None]
    halves = halvings(record, bits, np.random.default_rng(0))
    assert (halves.reshape(HALVINGS, 20, 3) == halves.reshape(HALVINGS, 20, 3)[:, :, :1]).all()
    assert halvings(np.arange(3), np.array([[True, False, False]]), np.random.default_rng(0)).shape == (0, 3)


def audit(scores, bits, seed):
    """The result of a table of scores."""
    record, n = np.arange(bits.shape[1]), bits.shape[1]
    halves = halvings(record, bits, generator(seed, "halves"))
    table = ScoresTable(
        "t", tuple(scores), ("target",), Truth(record, bits, record), scores, CrossFit(bits, record, scores, halves),
        None, None, {name: Counts((0, 0), 0, 0, (n, n)) for name in scores}, "0", (),
    )  # fmt: skip
    return result(table_material(table, scores_summary(table, key="0", seed=seed, noun="record", leading_fpr=0.1)))


def test_where_halves_agree_the_headline_is_that_attack_on_all_records():
    rng = np.random.default_rng(5)
    bits = rng.permutation(200)[None] < 100
    scores = {"strong": rng.normal(size=(1, 200)) + 2 * bits, "noise": rng.normal(size=(1, 200))}
    found = audit(scores, bits, 0)
    assert found["verdict"]["attack"] == "strong"
    assert [one["id"] for one in found["attacks"]] == ["strong", "noise"]
    row = next(one for one in found["estimates"] if one["attack"] == "strong" and one["metric"] == "auc")
    assert row["value"] == pytest.approx(slow_auc(scores["strong"].ravel(), bits.ravel()))


def test_where_halves_differ_the_choice_is_an_attack_of_its_own():
    rng = np.random.default_rng(6)
    bits = rng.permutation(200)[None] < 100
    scores = {name: rng.normal(size=(1, 200)) for name in ("a", "b", CHOICE)}
    found = audit(scores, bits, 0)
    headline = next(one for one in found["attacks"] if one["headline"])
    assert headline["id"] == found["verdict"]["attack"] == f"{CHOICE} again"  # the name was taken
    assert sum(headline["chosen"].values()) == 2 * HALVINGS
    rows = {one["attack"]: one for one in found["estimates"] if one["metric"] == "auc"}
    assert rows[headline["id"]]["high"] >= max(rows[name]["high"] for name in headline["chosen"])
    assert set(found["curves"]) == set(found["histograms"]) == {*scores, headline["id"]}


def null_table(rng, *, n, attacks, shift=0.0, strong=0, decimals=None):
    """Normal scores, those of the first attacks with a shift of the members."""
    bits = rng.permutation(n)[None] < n // 2
    scores = {f"a{i}": rng.normal(size=(1, n)) + shift * bits * (i < strong) for i in range(attacks)}
    if decimals is not None:
        scores = {name: np.round(values, decimals) for name, values in scores.items()}
    return scores, bits


def simulated(count, **shape):
    """Verdicts, and whether the headline's AUC interval holds one half."""
    shown, holds = [], []
    for seed in range(count):
        found = audit(*null_table(np.random.default_rng([seed, 11]), **shape), seed)
        own = found["verdict"]["attack"] or next(one["id"] for one in found["attacks"] if one["headline"])
        row = next(one for one in found["estimates"] if one["attack"] == own and one["metric"] == "auc")
        shown.append(found["verdict"]["status"] == "shown")
        holds.append(row["low"] <= 0.5 <= row["high"])
    return np.array(shown), np.array(holds)


@pytest.fixture
def fast(monkeypatch):
    """Detection limits and curves left out: they move no verdict."""
    from dosimeter.families.membership import measure
    from dosimeter.families.membership.measures.detection_limit import Detection

    monkeypatch.setattr(measure, "detect", lambda material, *_: Detection(material.leading, None, None, 0, "none"))
    monkeypatch.setattr(measure, "_curve", lambda *_: {})


@pytest.mark.slow
@pytest.mark.parametrize(
    "shape",
    [
        {"n": 400, "attacks": 1}, {"n": 400, "attacks": 5}, {"n": 400, "attacks": 5, "decimals": 0},
        {"n": 60, "attacks": 5}, {"n": 1000, "attacks": 20},
    ],
    ids=str,
)  # fmt: skip
def test_null_tables_are_not_shown_and_intervals_hold(fast, shape, record_figure):
    """400 tables: more than 5 % shown, or less than 93 % held, is refuted only at 0.001."""
    shown, holds = simulated(400, **shape)
    record_figure("cross-fitted null tables", **shape, tables=400, shown=int(shown.sum()), held=int(holds.sum()))
    assert binomtest(int(shown.sum()), 400, 0.05, "greater").pvalue > 1e-3
    assert binomtest(int(holds.sum()), 400, 0.93, "less").pvalue > 1e-3


@pytest.mark.slow
def test_a_weak_leak_is_shown_more_often_than_by_half_of_the_records(fast, record_figure):
    """n = 700, members shifted by 0.2 standard deviations; one half of the records alone showed it in 50 of 100."""
    shown, _ = simulated(400, n=700, attacks=1, shift=0.2, strong=1)
    record_figure("cross-fitted tables with a weak leak", n=700, shift=0.2, tables=400, shown=int(shown.sum()))
    assert shown.mean() >= 0.64


@pytest.mark.slow
@pytest.mark.parametrize(("attacks", "shift"), [(5, 0.0), (1, 0.2), (5, 0.3)])
def test_another_seed_rarely_changes_the_verdict(fast, attacks, shift, record_figure):
    """60 tables with five other seeds each; more than 5 % is refuted only at 0.001, tables being independent."""
    changed = []
    for seed in range(60):
        table = null_table(np.random.default_rng([seed, 12]), n=700, attacks=attacks, shift=shift, strong=1)
        verdicts = [audit(*table, 100 * seed + turn)["verdict"]["status"] for turn in range(6)]
        changed.append(np.mean([one != verdicts[0] for one in verdicts[1:]]))
    record_figure("verdicts that another seed changes", n=700, attacks=attacks, shift=shift, tables=60,
                  rate=float(np.mean(changed)))  # fmt: skip
    assert np.mean(changed) - 3.1 * np.std(changed) / np.sqrt(60) <= 0.05


def test_parts_of_a_large_table_are_judged_as_the_whole(monkeypatch):
    one = made(7, targets=2)
    whole = one.thresholds("a0", 0.1), one.tails("a0", one.scores["a0"])
    monkeypatch.setattr("dosimeter.families.membership.measures.cross_fitting._CHUNK", 34)
    np.testing.assert_array_equal(one.thresholds("a0", 0.1), whole[0])
    np.testing.assert_array_equal(one.tails("a0", one.scores["a0"]), whole[1])
    monkeypatch.setattr("dosimeter.families.membership.measures.cross_fitting.MANY_SCORES", 100)
    assert len(halvings(one.record, one.is_member, np.random.default_rng(0))) == 5
