"""The permutation test against all permutations of tiny tables, and against the null hypothesis."""

from itertools import permutations

import numpy as np
import pytest
from scipy.stats import binomtest, hypergeom, kstest, rankdata

from dosimeter.statistics.evidence import Scores, Truth
from dosimeter.statistics.hypotheses import permutation
from dosimeter.statistics.hypotheses.permutation import permutation_p

fast = getattr(permutation_p, "__wrapped__", permutation_p)  # annotations need no check in every one of thousands


def rng(seed=5):
    return np.random.default_rng(seed)


def table(values, is_member, record=None):
    values, is_member = np.atleast_2d(values).astype(float), np.atleast_2d(is_member)
    ids = np.arange(values.shape[1])
    return Scores(ids, values), Truth(ids, is_member, ids if record is None else np.asarray(record))


def statistics(values, is_member, thresholds):
    """Both sums by the definition, over members' cells."""
    ranks = rankdata(values, axis=None).reshape(values.shape)
    hits = values > thresholds[:, None]
    return [
        sum(cell[t, n] - cell.mean() for t in range(len(values)) for n in range(values.shape[1]) if is_member[t, n])
        for cell in (ranks, hits)
    ]


def by_all_permutations(values, is_member, record, thresholds):
    """Shares of the permitted tables that reach the seen statistics; a cluster's bits go in order of its records."""
    names = sorted(set(record))
    rows = [[n for n, one in enumerate(record) if one == name] for name in names]
    whole = all((is_member[:, own] == is_member[:, own[:1]]).all() for own in rows)
    seen = statistics(values, is_member, thresholds)
    reached, count = np.zeros(2), 0
    for order in permutations(range(len(names))):
        if not whole and any(len(rows[i]) != len(rows[j]) for i, j in enumerate(order)):
            continue
        moved = np.empty_like(is_member)
        for i, j in enumerate(order):
            moved[:, rows[i]] = is_member[:, rows[j][:1]] if whole else is_member[:, rows[j]]
        reached += [a >= b - 1e-9 for a, b in zip(statistics(values, moved, thresholds), seen, strict=True)]
        count += 1
    return reached / count


CASES = {
    "own records": ([0, 1, 2, 3, 4, 5], "whole"),
    "persons": ([0, 0, 1, 2, 2, 2, 3, 4], "whole"),
    "persons partly in": ([0, 0, 1, 2, 2, 3, 4, 4], "mixed"),
}


@pytest.mark.parametrize("targets", [1, 2])
@pytest.mark.parametrize("case", CASES)
def test_draws_agree_with_all_permutations(case, targets):
    record, kind = CASES[case]
    record, generator = np.array(record), rng()
    clusters = generator.permutation(record.max() + 1)
    bits = np.stack([clusters % 2 == 0, clusters < 2])[:targets]
    is_member = bits[:, record]
    if kind == "mixed":
        is_member[0, [0, 3]] ^= True
    values = np.round(generator.normal(size=is_member.shape) + 0.5 * is_member, 1)
    thresholds = np.linspace(0.0, 0.4, targets)
    expected = by_all_permutations(values, is_member, record.tolist(), thresholds)
    p = permutation_p(*table(values, is_member, record), thresholds=thresholds, rng=rng(), draws=6000)
    for found, share in zip((p.p_auc, p.p_tpr), expected, strict=True):
        assert binomtest(round(found * 6001) - 1, 6000, share).pvalue > 1e-4, (found, share)
    assert p.draws == 6000


def test_names_and_order_of_clusters_do_not_matter_for_the_seen_table():
    values, is_member = np.arange(8.0)[None], np.arange(8)[None] >= 4
    p = [
        permutation_p(*table(values, is_member, record), thresholds=np.array([3.5]), rng=rng(), draws=3000)
        for record in (np.arange(8), np.array([7, 3, 5, 1, 0, 2, 4, 6]) * 10**13)
    ]
    for one in p:
        assert binomtest(round(one.p_auc * 3001) - 1, 3000, 1 / 70).pvalue > 1e-4
        assert binomtest(round(one.p_tpr * 3001) - 1, 3000, 1 / 70).pvalue > 1e-4


@pytest.mark.parametrize("persons", [False, True])
def test_p_is_uniform_under_the_null_where_four_of_five_are_members(persons):
    generator, found = rng(11), []
    for _ in range(1500):
        record = np.sort(generator.integers(0, 20, 40)) if persons else np.arange(40)
        in_ = generator.permutation(40) < 32
        is_member = in_[record] if persons else in_
        if is_member.all():
            continue
        effect = generator.normal(size=40)[record] if persons else 0
        evidence = table(generator.normal(size=40) + effect, is_member)
        truth = Truth(evidence[1].ids, evidence[1].is_member, record)
        found.append(fast(evidence[0], truth, thresholds=np.array([0.5]), rng=generator, draws=99))
    p_auc, p_tpr = np.array([(p.p_auc, p.p_tpr) for p in found]).T
    assert kstest(p_auc - generator.random(len(p_auc)) / 100, "uniform").pvalue > 1e-3
    for p in (p_auc, p_tpr):
        assert binomtest(int((p <= 0.05).sum()), len(p), 0.05, "greater").pvalue > 1e-3
    assert binomtest(int((p_auc <= 0.05).sum()), len(p_auc), 0.05).pvalue > 1e-3


@pytest.mark.parametrize(("targets", "kind"), [(1, "own"), (3, "own"), (1, "persons"), (2, "persons"), (2, "mixed")])
def test_closed_form_agrees_with_draws(targets, kind, monkeypatch):
    generator = rng(2)
    record = np.arange(900) if kind == "own" else generator.integers(0, 300, 900)
    bits = generator.random((targets, 900)) < 0.7
    is_member = bits if kind == "mixed" else bits[:, record]
    evidence = table(generator.normal(size=(targets, 900)) + 0.05 * is_member, is_member, record)
    thresholds = np.full(targets, 0.8)
    drawn = permutation_p(*evidence, thresholds=thresholds, rng=rng(), draws=4000)
    monkeypatch.setattr(permutation, "AFFORDABLE", 0)
    closed = permutation_p(*evidence, thresholds=thresholds, rng=rng(), draws=4000)
    assert (drawn.draws, closed.draws) == (4000, 0)
    assert closed.p_auc == pytest.approx(drawn.p_auc, abs=0.025)
    assert closed.p_tpr == pytest.approx(drawn.p_tpr, abs=0.04)  # sums of few values have steps
    if (targets, kind) == (1, "own"):
        hits, member = evidence[0].values[0] > 0.8, is_member[0]
        assert closed.p_tpr == hypergeom.sf((hits & member).sum() - 1, 900, hits.sum(), member.sum())


def test_moments_are_those_of_all_permutations(monkeypatch):
    values, is_member = np.array([[0.3, -1.0, 2.0, 0.1, 0.1]]), np.array([[True, False, True, True, False]])
    evidence = table(values, is_member)
    (stratum,) = permutation._strata(*evidence, np.array([0.0]))
    sums = permutation._sums(stratum, np.array(list(permutations(range(5)))))
    monkeypatch.setattr(permutation, "ndtr", lambda z: 0.5 - 0.01 * z)
    (seen,) = permutation._sums(stratum, np.arange(5)[None])
    for i in range(2):
        z = (seen[i] - sums[:, i].mean()) / sums[:, i].std()
        assert permutation._normal_p([stratum], i) == pytest.approx(0.5 + 0.01 * z)


@pytest.mark.parametrize("affordable", [0, 10**9])
def test_nothing_to_find_is_one_and_everything_is_small(affordable, monkeypatch):
    monkeypatch.setattr(permutation, "AFFORDABLE", affordable)
    is_member = np.arange(500)[None] % 3 > 0
    constant = permutation_p(*table(np.zeros((1, 500)), is_member), thresholds=np.zeros(1), rng=rng(), draws=50)
    assert (constant.p_auc, constant.p_tpr) == (1, 1)
    alone = permutation_p(
        *table(is_member, is_member, np.repeat([0, 1], [499, 1])), thresholds=np.array([0.5]), rng=rng(), draws=50
    )
    assert (alone.p_auc, alone.p_tpr) == (1, 1)  # clusters of unequal size, partly in: nothing may change places
    sure = np.where(is_member, np.inf, -np.inf)
    p = permutation_p(*table(sure, is_member), thresholds=np.zeros(1), rng=rng(), draws=50)
    assert max(p.p_auc, p.p_tpr) == (1 / 51 if affordable else pytest.approx(0, abs=1e-99))
    assert min(p.p_auc, p.p_tpr) > 0
    reversed_ = permutation_p(*table(-sure, is_member), thresholds=np.zeros(1), rng=rng(), draws=50)
    assert (reversed_.p_auc, reversed_.p_tpr) == pytest.approx((1, 1))


def test_it_is_seeded_and_refuses():
    values, is_member = rng().normal(size=(2, 60)), rng().random((2, 60)) < 0.8
    evidence = table(values, is_member)
    assert len({permutation_p(*evidence, thresholds=np.zeros(2), rng=rng(), draws=200) for _ in range(2)}) == 1
    with pytest.raises(ValueError, match="both classes"):
        permutation_p(*table(values, is_member | True), thresholds=np.zeros(2), rng=rng())
    with pytest.raises(ValueError, match="no NaN"):
        permutation_p(*evidence, thresholds=np.full(2, np.nan), rng=rng())
    with pytest.raises(ValueError, match="equal lengths"):
        permutation_p(*evidence, thresholds=np.zeros(3), rng=rng())
