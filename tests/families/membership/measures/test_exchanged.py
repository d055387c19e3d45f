"""The exchange of bits that repeats thresholds and the choice: beside a slow twin, and exact where nothing leaks."""

import numpy as np
import pytest
from scipy.stats import binomtest

from dosimeter.families.membership.measures.cross_fitting import CrossFit, halvings, shares
from dosimeter.families.membership.measures.exchanged import exchanged_p
from dosimeter.statistics.evidence import Scores, Truth
from dosimeter.statistics.rates import randomisation_p, shadow_threshold

FPR = 0.1


def made(seed, *, attacks=3, targets=1, n=80, leak=0.0, decimals=None, copies=1, count=None):
    """Scores of an audit whose membership coins drew, cross-fitted by halves that do not look at it."""
    rng = np.random.default_rng(seed)
    record = np.arange(n) // copies
    bits = np.repeat(rng.permutation(record[-1] + 1) < (record[-1] + 1) // 2, copies)[None]
    bits = np.concatenate([bits, ~bits, bits[:, ::-1], ~bits[:, ::-1]])[:targets]
    scores = {f"a{i}": rng.normal(size=bits.shape) + leak * bits for i in range(attacks)}
    if decimals is not None:
        scores = {name: np.round(values, decimals) for name, values in scores.items()}
    return CrossFit(bits, record, scores, halvings(record, bits, rng, drawn=True, count=count))


def slow_statistics(one, attacks):
    """Rank sum and hits, each from the middle of both tables, by loops over halves and records."""
    choices = one.choices(attacks, FPR)
    names = list(shares(choices))
    values = one.scores[names[0]] if len(names) == 1 else one.choice_scores(choices)
    targets, n = values.shape
    hits = np.zeros(values.shape)
    for record in range(n):
        cuts = []
        for half in one.halves:
            other = half != half[record]
            cuts.append(shadow_threshold(values[:, other], one.is_member[:, other], FPR))
        hits[:, record] = values[:, record] > np.sort(cuts)[len(cuts) // 2]
    flat = values.ravel()
    places = np.array([(flat < x).sum() + ((flat == x).sum() + 1) / 2 for x in flat]).reshape(values.shape)
    found = []
    for cells in (places - places.mean(1, keepdims=True), hits):
        total = 0.0
        for name in np.unique(one.record):
            own = one.record == name
            part = cells[:, own] - (cells[:, own].mean() if targets > 1 else 0.0)
            total += ((2 * one.is_member[:, own] - 1.0) * part).sum() / 2
        found.append(total)
    return np.array(found)


@pytest.mark.parametrize(("targets", "copies", "decimals"), [(1, 1, None), (2, 1, 1), (3, 2, None)])
@pytest.mark.parametrize("among", [["a0"], ["a0", "a1", "a2"]])
def test_each_draw_is_the_audit_that_its_bits_would_have_made(targets, copies, decimals, among):
    one = made(1, targets=targets, n=40, copies=copies, decimals=decimals, count=7)
    found = exchanged_p(one, among, FPR, rng=np.random.default_rng(5), draws=12)
    rng, seen, reached = np.random.default_rng(5), slow_statistics(one, among), np.ones(2)
    names, place = np.unique(one.record, return_inverse=True)
    wide = np.array([np.sqrt(len(names) / (len(names) - 1)), 1.0])
    for _ in range(12):
        bits = one.is_member ^ rng.integers(0, 2, len(names)).astype(bool)[place]
        again = CrossFit(bits, one.record, one.scores, one.halves)
        reached += slow_statistics(again, among) * wide >= seen - 1e-9
    assert [found.p_auc, found.p_tpr] == pytest.approx(list(reached / 13))


def test_with_one_attack_the_ranks_are_those_of_the_usual_test():
    one = made(2, n=300, leak=0.2)
    truth = Truth(np.arange(300), one.is_member, one.record)
    usual = randomisation_p(
        Scores(truth.ids, one.scores["a0"]), truth, thresholds=one.thresholds("a0", FPR), rng=np.random.default_rng(1),
        draws=4000,
    )  # fmt: skip
    found = exchanged_p(one, ["a0"], FPR, rng=np.random.default_rng(2), draws=2000)
    assert found.p_auc == pytest.approx(usual.p_auc, abs=4 * np.sqrt(usual.p_auc * (1 - usual.p_auc) / 2000) + 0.001)


def test_a_leak_is_found_by_ranks_and_by_calls():
    found = exchanged_p(made(3, n=300, leak=1.5), ["a0", "a1"], FPR, rng=np.random.default_rng(0), draws=99)
    assert (found.p_auc, found.p_tpr, found.draws) == (0.01, 0.01, 99)


def keeps_its_level(repeats, targets, among, **shape):
    """Whether p-values are at most a level no more often than that, over audits in which nothing leaks."""
    found = []
    for seed in range(repeats):
        one = made(100 + seed, targets=targets, **shape)
        p = exchanged_p(one, among, FPR, rng=np.random.default_rng(seed), draws=19)
        found.append((p.p_auc, p.p_tpr))
    for level in (0.05, 0.25):
        for column in np.array(found).T:
            hits = int((column <= level + 1e-9).sum())
            assert binomtest(hits, repeats, level, alternative="greater").pvalue > 0.01, (level, hits)
    assert np.mean(np.array(found)[:, 0]) < 0.65  # and no larger than chance makes them


@pytest.mark.parametrize("targets", [1, 2])
def test_p_values_keep_their_level_where_nothing_leaks(targets):
    keeps_its_level(40, targets, ["a0", "a1"], n=60, count=5)


@pytest.mark.slow
@pytest.mark.parametrize("targets", [1, 2, 3])
@pytest.mark.parametrize("among", [["a0"], ["a0", "a1", "a2"]])
def test_p_values_keep_their_level_over_many_audits(targets, among):
    keeps_its_level(300, targets, among, n=120, count=11)


def test_halves_of_a_drawn_membership_do_not_look_at_it():
    record = np.arange(60) // 2
    bits = np.random.default_rng(0).permutation(30)[record][None] < 15
    same = [
        halvings(record, own, np.random.default_rng(4), drawn=True) for own in (bits, ~bits, bits ^ (record % 3 == 0))
    ]
    assert (same[0] == same[1]).all()
    assert (same[0] == same[2]).all()
    assert (halvings(record, bits, np.random.default_rng(4)) != same[0]).any()
