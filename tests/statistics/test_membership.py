"""Thresholds, rates, AUC, curve, precision, randomisation and verdict against independent computations."""

from dataclasses import replace

import numpy as np
import pytest
from oracles_statistics import exchange_by_loops
from sklearn.metrics import roc_auc_score, roc_curve

from dosimeter.statistics import rates
from dosimeter.statistics.certify import certifiable_fpr, nonmembers_needed
from dosimeter.statistics.estimate import Estimate
from dosimeter.statistics.evidence import Scores, Truth
from dosimeter.statistics.intervals.crossed import clopper_pearson
from dosimeter.statistics.rates import (
    RatePair,
    histogram,
    precision_at_prior,
    randomisation_p,
    roc,
    shadow_threshold,
    tpr_at_threshold,
    tpr_oracle,
)


def rng():
    return np.random.default_rng(3)


def audit(targets=2, n=400, gain=1.0, ties=False):
    generator = rng()
    half = [generator.permutation(n) < n // 2 for _ in range(-(-targets // 2))]
    is_member = np.stack([row for pair in half for row in (pair, ~pair)])[:targets]
    values = generator.normal(size=(targets, n)) + gain * is_member
    values = np.round(values) if ties else values
    ids = np.arange(n)
    return Scores(ids, values), Truth(ids, is_member, ids)


def test_nonmembers_needed_and_certifiable_fpr_are_inverse():
    for fpr, needed in ((0.1, 29), (0.01, 299), (0.001, 2995), (0.0001, 29956)):
        assert nonmembers_needed(fpr) == needed
        assert certifiable_fpr(needed) <= fpr < certifiable_fpr(needed - 1)
    assert certifiable_fpr(299) == pytest.approx(clopper_pearson(0, 299, level=0.9)[1])
    assert certifiable_fpr(0) == 1.0


@pytest.mark.parametrize("fpr", [0.0, 1.0, -0.1, np.nan])
def test_fpr_is_checked(fpr):
    with pytest.raises(ValueError, match="fpr must be in"):
        nonmembers_needed(fpr)


@pytest.mark.parametrize(("n", "fpr", "rank"), [(99, 0.01, 99), (98, 0.01, None), (999, 0.01, 990), (4, 0.5, 3)])
def test_shadow_threshold_is_the_order_statistic(n, fpr, rank):
    values = rng().permutation(np.arange(1.0, n + 1))
    threshold = shadow_threshold(values, np.zeros(n, bool), fpr)
    assert threshold == (np.inf if rank is None else rank)


def test_shadow_threshold_ignores_members_and_keeps_infinite_scores():
    values = np.array([[-np.inf, 9.0, 1.0], [2.0, 9.0, 3.0]])
    is_member = np.array([[False, True, False], [False, True, False]])
    assert shadow_threshold(values, is_member, 0.4) == 2.0
    with pytest.raises(ValueError, match="must have non-members"):
        shadow_threshold(values, np.ones_like(is_member), 0.1)
    with pytest.raises(ValueError, match="no NaN"):
        shadow_threshold(values * np.nan, is_member, 0.1)


def test_shadow_threshold_never_exceeds_its_rate_on_exchangeable_scores():
    generator = rng()
    calls = []
    for _ in range(4000):
        scores = generator.integers(0, 30, 60).astype(float)  # ties
        calls.append(scores[-1] > shadow_threshold(scores[:-1], np.zeros(59, bool), 0.05))
    assert np.mean(calls) <= 0.05


@pytest.mark.parametrize("ties", [False, True])
def test_auc_is_sklearns_and_carries_its_counts(ties):
    scores, truth = audit(targets=3, ties=ties)
    estimate = rates.auc(scores, truth, rng=rng())
    assert estimate.value == pytest.approx(roc_auc_score(truth.is_member.ravel(), scores.values.ravel()), abs=1e-12)
    assert (estimate.n_members, estimate.n_nonmembers, estimate.n_targets) == (600, 400, 3)
    assert estimate.status == "ok"
    assert estimate.level == 0.95


def test_infinite_scores_rank_at_the_ends():
    scores, truth = audit(targets=1)
    values = scores.values.copy()
    values[0, :20], values[0, 20:30] = -np.inf, np.inf
    finite = np.clip(values, -99, 99)
    expected = roc_auc_score(truth.is_member[0], finite[0])
    assert rates.auc(replace(scores, values=values), truth, rng=rng()).value == pytest.approx(expected)


@pytest.mark.parametrize("ties", [False, True])
def test_every_point_of_the_curve_is_sklearns(ties):
    scores, truth = audit(targets=2, ties=ties)
    curve = roc(scores, truth)
    fpr, tpr, _ = roc_curve(truth.is_member.ravel(), scores.values.ravel(), drop_intermediate=False)
    best = {x: y for x, y in zip(fpr, tpr, strict=True)}  # the highest TPR at each achieved FPR
    for x, y in zip(curve.fpr, curve.tpr, strict=True):
        assert best[min(best, key=lambda at: abs(at - x))] == pytest.approx(y, abs=1e-12)
        assert min(abs(at - x) for at in best) < 1e-12
    assert (np.diff(curve.fpr) > 0).all()
    assert curve.fpr[0] == 0
    assert (curve.fpr[-1], curve.tpr[-1]) == (1, 1)
    assert ((curve.low <= curve.tpr) & (curve.tpr <= curve.high)).all()
    assert len(curve.fpr) <= 122
    assert curve.threshold == "oracle"


def test_curve_of_constant_and_of_missing_scores():
    scores, truth = audit(targets=1)
    constant = roc(replace(scores, values=np.zeros_like(scores.values)), truth)
    assert constant.fpr.tolist() == [0, 1]
    assert constant.tpr.tolist() == [0, 1]
    missing = roc(replace(scores, values=np.where(truth.is_member, 1.0, -np.inf)), truth)
    assert missing.fpr.tolist() == [0, 1]
    assert missing.tpr.tolist() == [1, 1]


def test_rates_at_thresholds_are_strict_and_per_target():
    ids = np.arange(4)
    scores = Scores(ids, np.array([[1.0, 2, 3, 3], [5, 6, 7, 8]]))
    truth = Truth(ids, np.array([[False, True, False, True], [True, False, True, False]]), ids)
    pair = tpr_at_threshold(scores, truth, thresholds=np.array([2.0, 7.0]), fpr=0.6, rng=rng())
    assert pair.fpr.value == 2 / 4
    assert pair.tpr.value == 1 / 4
    assert pair.difference.value == -1 / 4


def test_too_few_distinct_nonmembers_withhold_the_tpr_and_keep_the_fpr():
    scores, truth = audit(targets=8, n=250)
    pair = tpr_at_threshold(scores, truth, thresholds=np.full(8, 2.0), fpr=0.01, rng=rng())
    for estimate in (pair.tpr, pair.difference, tpr_oracle(scores, truth, fpr=0.01, rng=rng())):
        assert (estimate.status, estimate.value, estimate.low, estimate.high) == ("not_resolvable", None, None, None)
        assert estimate.reason == (
            "a false positive rate of 1 % needs 299 distinct non-members, got 250, which certify 1.2 % at best"
        )
    assert pair.fpr.status == "ok"
    assert pair.fpr.value is not None
    assert pair.tpr.n_nonmembers == 250


def test_clusters_are_counted_not_records():
    scores, truth = audit(targets=2, n=400)
    pair = tpr_at_threshold(
        scores, replace(truth, record=truth.record // 2), thresholds=np.zeros(2), fpr=0.01, rng=rng()
    )
    assert pair.tpr.n_nonmembers == 200
    assert pair.tpr.status == "not_resolvable"


def test_few_pooled_decisions_are_marked_low_n():
    scores, truth = audit(targets=2, n=400)
    pair = tpr_at_threshold(scores, truth, thresholds=np.zeros(2), fpr=0.01, rng=rng())
    assert pair.tpr.status == "ok"
    assert pair.tpr.reason == "low n: 400 decisions about non-members, fewer than 10 / 0.01 = 1000"
    assert tpr_at_threshold(scores, truth, thresholds=np.zeros(2), fpr=0.025, rng=rng()).tpr.reason == ""


@pytest.mark.parametrize("ties", [False, True])
def test_oracle_takes_the_most_calls_its_fpr_allows(ties):
    scores, truth = audit(targets=1, n=1000, ties=ties)
    fpr, tpr, _ = roc_curve(truth.is_member[0], scores.values[0], drop_intermediate=False)
    for rate in (0.01, 0.05, 0.3):
        estimate = tpr_oracle(scores, truth, fpr=rate, rng=rng())
        assert estimate.value == pytest.approx(tpr[fpr <= rate].max())
        assert "oracle" in estimate.method


def estimate(value, low, high, **changes):
    return replace(Estimate(value, low, high, 0.975, "m", 5, 6, 1), **changes)


def test_precision_is_bayes_at_the_opposite_ends():
    pair = RatePair(estimate(0.3, 0.2, 0.4), estimate(0.01, 0.005, 0.02), estimate(0.29, 0.2, 0.4))
    found = precision_at_prior(pair, 0.1)
    assert found.value == pytest.approx(0.03 / (0.03 + 0.009))
    assert found.low == pytest.approx(0.02 / (0.02 + 0.018))
    assert found.high == pytest.approx(0.04 / (0.04 + 0.0045))
    assert found.level == pytest.approx(0.95)


def test_precision_edges():
    none = estimate(0.0, 0.0, 0.1)
    nothing = precision_at_prior(RatePair(none, none, none), 0.5)
    assert (nothing.status, nothing.value) == ("not_resolvable", None)
    assert "no record is called" in nothing.reason
    sure = precision_at_prior(RatePair(estimate(0.2, 0.1, 0.3), none, none), 0.5)
    assert (sure.value, sure.high) == (1.0, 1.0)
    withheld = estimate(None, None, None, status="not_resolvable", reason="why")
    assert precision_at_prior(RatePair(withheld, none, none), 0.5).reason == "why"
    with pytest.raises(ValueError, match="prior must be in"):
        precision_at_prior(RatePair(none, none, none), 1.0)
    narrow = replace(none, level=0.95)
    with pytest.raises(ValueError, match=r"0.975 for 0.95"):
        precision_at_prior(RatePair(narrow, narrow, narrow), 0.5)


def test_histogram_counts_everything():
    values = np.array([[-np.inf, 0.0, 0.5, 1.0, np.inf, 0.2]])
    counted = histogram(values, np.array([[True, True, False, False, True, False]]), bins=4)
    assert counted.edges.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert counted.members.tolist() == [2, 0, 0, 1]
    assert counted.nonmembers.tolist() == [1, 0, 1, 1]
    empty = histogram(np.full(3, np.inf), np.array([True, True, False]), bins=2)
    assert (empty.members.sum(), empty.nonmembers.sum()) == (2, 1)
    with pytest.raises(ValueError, match="no NaN"):
        histogram(np.array([np.nan]), np.array([True]))


def test_inputs_are_refused():
    scores, truth = audit()
    with pytest.raises(ValueError, match="no NaN"):
        rates.auc(replace(scores, values=scores.values * np.nan), truth, rng=rng())
    with pytest.raises(ValueError, match="same targets and records"):
        roc(replace(scores, ids=scores.ids[::-1]), truth)
    with pytest.raises(ValueError, match="same targets and records"):
        rates.auc(replace(scores, values=scores.values[:1]), truth, rng=rng())
    with pytest.raises(ValueError, match="both classes, got 800 members, 0 non-members"):
        tpr_oracle(scores, replace(truth, is_member=np.ones((2, 400), bool)), fpr=0.1, rng=rng())
    with pytest.raises(ValueError, match="equal lengths"):
        tpr_at_threshold(scores, truth, thresholds=np.zeros(3), fpr=0.1, rng=rng())
    with pytest.raises(ValueError, match="both classes, got 0 members"):
        rates.auc(
            Scores(np.arange(0), np.zeros((1, 0))), Truth(np.arange(0), np.zeros((1, 0), bool), np.arange(0)), rng=rng()
        )


class Coins:
    """A generator that gives every combination of coins once."""

    def __init__(self, clusters):
        self.all = np.array(np.meshgrid(*[[0, 1]] * clusters, indexing="ij")).reshape(clusters, -1).T

    def integers(self, low, high, size):
        assert (low, high, size) == (0, 2, self.all.shape)
        return self.all


@pytest.mark.parametrize("targets", [1, 2, 3, 4])
@pytest.mark.parametrize("ties", [False, True])
def test_randomisation_is_the_full_enumeration(targets, ties, monkeypatch):
    scores, truth = audit(targets=targets, n=10, ties=ties)
    record = np.array([0, 0, 1, 1, 2, 3, 4, 5, 6, 6])
    truth = replace(truth, record=record)
    thresholds = np.linspace(0, 1, targets)
    coins = Coins(7)
    drawn = np.array(
        [exchange_by_loops(scores.values, truth.is_member, record, thresholds, coin) for coin in coins.all]
    )
    seen, mean = drawn[0], drawn.mean(0)
    wide = np.array([np.sqrt(7 / 6), 1.0])  # of seven clusters exactly half are in; of hits each has a coin
    expected = (1 + (wide * (drawn - mean) >= seen - mean - 1e-9).sum(0)) / (1 + len(drawn))
    unchecked = getattr(randomisation_p, "__wrapped__", randomisation_p)
    p = unchecked(scores, truth, thresholds=thresholds, rng=coins, draws=len(drawn))
    np.testing.assert_allclose((p.p_auc, p.p_tpr), expected, rtol=1e-12)


def test_randomisation_finds_leakage_and_is_seeded():
    scores, truth = audit(targets=2, n=400, gain=0.5)
    draw = [randomisation_p(scores, truth, thresholds=np.full(2, 1.0), rng=rng(), draws=500) for _ in range(2)]
    assert draw[0] == draw[1]
    assert draw[0].p_auc == 1 / 501
    null, truth = audit(targets=2, n=400, gain=0.0)
    assert randomisation_p(null, truth, thresholds=np.full(2, 1.0), rng=rng()).p_auc > 0.01
    constant = replace(null, values=np.zeros_like(null.values))
    p = randomisation_p(constant, truth, thresholds=np.zeros(2), rng=rng(), draws=100)
    assert (p.p_auc, p.p_tpr) == (1.0, 1.0)


@pytest.mark.parametrize("shift", [0.0, 8.0])
@pytest.mark.parametrize("targets", [2, 3])
def test_what_targets_and_records_differ_by_hides_no_leak(targets, shift):
    """Members score 0.3 higher; records differ by 3, and targets by the shift, which coins must not take for luck."""
    scores, truth = audit(targets=targets, n=400, gain=0.3)
    apart = 3 * np.random.default_rng(4).normal(size=400) + shift * np.arange(targets)[:, None]
    p = randomisation_p(
        replace(scores, values=scores.values + apart), truth, thresholds=np.full(targets, 1.0), rng=rng()
    )
    assert p.p_auc < 0.01


@pytest.mark.parametrize("targets", [1, 2, 4])
def test_of_whole_pairs_the_sums_order_tables_as_auc_and_rates_do(targets):
    scores, truth = audit(targets=targets, n=60, ties=True)
    hits, bits = scores.values > 0.5, truth.is_member
    pooled = auc_and_difference(scores.values, hits, bits)
    ranks = exchange_by_loops(scores.values, bits, truth.record, np.full(targets, 0.5), np.zeros(60))
    sides = bits.sum() * (~bits).sum()
    assert ranks[0] == pytest.approx((pooled[0] - 0.5) * sides, abs=1e-6)
    if targets > 1:
        assert ranks[1] == pytest.approx(pooled[1] * sides / bits.size, abs=1e-9)


def auc_and_difference(values, hits, bits):
    """Both by the definition."""
    a, b = values[bits][:, None], values[~bits][None]
    return ((a > b) + 0.5 * (a == b)).mean(), hits[bits].mean() - hits[~bits].mean()


NARROW = {
    "beside 1": [0.9999999999999998, 1.0],
    "just below 1": [1 - 2**-53, 1.0],
    "counters": [1.7e18, 1.7e18 + 256, 1.7e18 + 512],
    "one large value": [1e300, 1e300],
    "subnormal": [0.0, 5e-324, 1e-323],
    "small span": [1.0, 1 + 1e-12],
    "all numbers": [-1.7976931348623157e308, 0.0, 1.7976931348623157e308],
    "the largest": [1.7976931348623155e308, 1.7976931348623157e308],
    "signs of the smallest": [-5e-324, 5e-324],
}


@pytest.mark.parametrize("distinct", NARROW.values(), ids=NARROW)
def test_histogram_of_every_finite_range_counts_everything(distinct):
    values = np.repeat(distinct, 5)
    members = np.arange(len(values)) % 2 == 0
    found = histogram(values, members)
    assert np.isfinite(found.edges).all()
    assert (found.edges[1:] > found.edges[:-1]).all()
    assert found.edges[0] <= min(distinct)
    assert found.edges[-1] >= max(distinct)
    assert (found.members.sum(), found.nonmembers.sum()) == (members.sum(), (~members).sum())
    apart = np.flatnonzero(found.members + found.nonmembers)
    assert len(apart) == len(set(distinct)) or distinct[0] > 1e308  # the last bin holds its end
