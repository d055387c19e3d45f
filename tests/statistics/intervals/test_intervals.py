"""Intervals against scipy, scikit-learn and slow twins, and at the edges where counts vanish."""

import numpy as np
import pytest
from oracles_statistics import bootstrap_by_loops, delong_by_loops, margins_by_loops
from scipy.special import expit, logit
from scipy.stats import binomtest, norm
from scipy.stats import t as student
from sklearn.metrics import roc_auc_score

from dosimeter.statistics.intervals.cells import placements
from dosimeter.statistics.intervals.crossed import auc_interval, clopper_pearson, difference_interval, rate_interval


def rng():
    return np.random.default_rng(7)


def cells(targets, n, rate=0.2):
    generator = rng()
    half = np.stack([generator.permutation(n) < n // 2 for _ in range(-(-targets // 2))])
    eligible = np.stack([row for pair in half for row in (pair, ~pair)])[:targets]
    return generator.random((targets, n)) < rate, eligible, np.arange(n)


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (1, 10), (3, 7), (10, 10), (250, 1000)])
def test_clopper_pearson_is_scipys_exact_interval(successes, trials):
    for level in (0.9, 0.95):
        ends = binomtest(successes, trials).proportion_ci(level, "exact")
        np.testing.assert_allclose(clopper_pearson(successes, trials, level=level), (ends.low, ends.high), rtol=1e-9)


def test_clopper_pearson_between_whole_numbers():
    lows, highs = zip(*(clopper_pearson(s, 20.5) for s in (2.0, 2.5, 3.0)), strict=True)
    assert list(lows) == sorted(lows)
    assert list(highs) == sorted(highs)


@pytest.mark.parametrize("arguments", [(1, 0), (-1, 5), (6, 5), (np.nan, 5)])
def test_clopper_pearson_refuses(arguments):
    with pytest.raises(ValueError, match="must be in"):
        clopper_pearson(*arguments)


def test_one_target_is_clopper_pearson():
    hits, eligible, record = cells(1, 200)
    interval = rate_interval(hits, eligible, record=record, rng=rng())
    found = int((hits & eligible).sum())
    assert interval.value == found / 100
    assert (interval.low, interval.high) == clopper_pearson(found, 100)
    assert interval.method == "clopper-pearson, this trained model only"


def test_repeated_records_widen_one_target():
    hits, eligible, _ = cells(1, 100)
    several = [np.repeat(x, 5, axis=1) for x in (hits, eligible)]
    alone = rate_interval(hits, eligible, record=np.arange(100), rng=rng())
    person = rate_interval(*several, record=np.repeat(np.arange(100), 5), rng=rng())
    assert person.method == "clustered records, this trained model only, korn-graubard"
    assert person.high - person.low == pytest.approx(alone.high - alone.low, rel=0.05)


def test_half_width_of_few_targets_combines_targets_and_records():
    hits, eligible, record = cells(4, 60, rate=0.5)
    by_target, by_record, _ = margins_by_loops(hits, eligible, record)
    half = np.sqrt((student.ppf(0.975, 3) ** 2) * by_target + norm.ppf(0.975) ** 2 * by_record)
    interval = rate_interval(hits, eligible, record=record, rng=rng())
    p = interval.value
    effective = p * (1 - p) * norm.ppf(0.975) ** 2 / half**2
    expected = clopper_pearson(p * effective, effective)
    np.testing.assert_allclose((interval.low, interval.high), expected, rtol=1e-9)
    assert "low n" in interval.method
    per_target = [hits[t][eligible[t]].mean() for t in range(4)]
    assert by_target == pytest.approx(np.var(per_target, ddof=1) / 4)


@pytest.mark.parametrize("clustered", [False, True])
def test_bootstrap_agrees_with_closed_form_and_twin(clustered):
    hits, eligible, record = cells(10, 80, rate=0.3)
    hits = hits ^ (rng().random(80) < 0.3) ^ (rng().random((10, 1)) < 0.3)  # effects of records and of targets
    record = record // 2 if clustered else record
    drawn = rate_interval(hits, eligible, record=record, rng=rng(), draws=8000)
    closed = rate_interval(hits, eligible, record=record, rng=rng(), draws=0)
    assert drawn.high - drawn.low == pytest.approx(closed.high - closed.low, rel=0.08)
    if clustered:
        return
    by_target, by_record, single = margins_by_loops(hits, eligible, record)
    slow = bootstrap_by_loops(hits, eligible, 3000, rng())
    assert slow == pytest.approx(by_target * 0.9 + by_record + single, rel=0.08)
    half = student.ppf(0.975, 9) * np.sqrt(max(by_target + by_record - single, by_target, by_record))
    p = closed.value
    effective = p * (1 - p) * norm.ppf(0.975) ** 2 / half**2
    low, high = clopper_pearson(p * effective, effective)
    skew = ((hits & eligible).sum(1) / eligible.sum(1) - p).astype(float) ** 3
    ends = (low, closed.low), (high, closed.high)
    side = int(skew.sum() > 0)  # the side of the skew is stretched, the other is not
    assert ends[1 - side][0] == pytest.approx(ends[1 - side][1], rel=1e-9)
    assert abs(ends[side][1] - p) > abs(ends[side][0] - p)


def test_one_bad_training_run_stretches_the_upper_end_only():
    _, eligible, record = cells(10, 400)
    even, skewed = (rng().random((10, 400)) < rates for rates in (0.1, np.r_[np.full(9, 0.02), 0.8][:, None]))
    ends = [rate_interval(hits, eligible, record=record, rng=rng(), draws=0) for hits in (even, skewed)]
    reach = [(end.high - end.value) / (end.value - end.low) for end in ends]
    assert reach[0] < 1.2
    assert reach[1] > 2.5


@pytest.mark.parametrize("targets", [1, 3, 16])
@pytest.mark.parametrize("full", [False, True])
def test_zero_and_full_counts_are_clopper_pearson_over_distinct_records(targets, full):
    _, eligible, record = cells(targets, 100)
    hits = np.full(eligible.shape, full)
    interval = rate_interval(hits, eligible, record=record, rng=rng())
    distinct = 50 if targets == 1 else 100
    assert interval[1:3] == pytest.approx(clopper_pearson(distinct * full, distinct))
    assert interval.value == float(full)


def test_many_targets_do_not_certify_more_than_distinct_records():
    _, eligible, record = cells(32, 100)
    hits = np.zeros(eligible.shape, bool)
    hits[np.argwhere(eligible)[0][0], np.argwhere(eligible)[0][1]] = True
    assert rate_interval(hits, eligible, record=record, rng=rng()).high >= clopper_pearson(0, 100)[1]


def test_one_record_only():
    ones = np.ones((8, 1), bool)
    assert rate_interval(ones, ones, record=np.zeros(1, int), rng=rng())[:3] == pytest.approx((1.0, 0.025, 1.0))


def test_rates_refuse_nothing_eligible_and_wrong_shapes():
    hits, eligible, record = cells(2, 10)
    with pytest.raises(ValueError, match="eligible must have at least one decision"):
        rate_interval(hits, np.zeros_like(eligible), record=record, rng=rng())
    with pytest.raises(ValueError, match="not be empty"):
        rate_interval(hits[:0], eligible[:0], record=record, rng=rng())
    with pytest.raises((ValueError, TypeError), match="equal lengths|record"):  # with or without checked annotations
        auc_interval(np.zeros((2, 9)), np.eye(2, 9, dtype=bool), record=record, rng=rng())


@pytest.mark.parametrize("ties", [False, True])
def test_delong_is_its_double_loop_and_the_auc_is_sklearns(ties):
    generator = rng()
    is_member = generator.random((1, 90)) < 0.4
    values = generator.normal(size=(1, 90)) + is_member
    values = np.round(values) if ties else values
    interval = auc_interval(values, is_member, record=np.arange(90), rng=generator)
    value, variance = delong_by_loops(values[0], is_member[0])
    assert interval.value == pytest.approx(roc_auc_score(is_member[0], values[0]), abs=1e-12)
    assert interval.value == pytest.approx(value, abs=1e-12)
    reach = student.ppf(0.975, 89) * np.sqrt(variance) / (value * (1 - value))
    # DeLong corrects the degrees of freedom per class, we over all records: at most 1 / (2 * 36) here.
    np.testing.assert_allclose(interval[1:3], expit(logit(value) + np.array([-reach, reach])), atol=3e-3)


def test_pooled_placements_with_ties_by_hand():
    values = np.array([[1.0, 2.0], [2.0, np.inf]])
    is_member = np.array([[False, True], [False, True]])
    above, below = placements(values, is_member)
    np.testing.assert_allclose(above, [[0, 0.75], [0, 1]])
    np.testing.assert_allclose(below, [[1, 0], [0.75, 0]])


@pytest.mark.parametrize("targets", [1, 4, 8])
@pytest.mark.parametrize(("sign", "value"), [(1, 1.0), (-1, 0.0), (0, 0.5)])
def test_degenerate_auc_keeps_a_width(targets, sign, value):
    _, is_member, record = cells(targets, 80)
    interval = auc_interval(sign * is_member.astype(float), is_member, record=record, rng=rng())
    unseen = clopper_pearson(0, 40 if targets == 1 else 80)[1]
    np.testing.assert_allclose(interval[:3], (value, value * (1 - unseen), value + (1 - value) * unseen), rtol=1e-9)


def test_auc_refuses_nan_and_one_class():
    values, record = np.zeros((1, 4)), np.arange(4)
    with pytest.raises(ValueError, match="both classes, got 4 members, 0 non-members"):
        auc_interval(values, np.ones((1, 4), bool), record=record, rng=rng())
    with pytest.raises(ValueError, match="must have no NaN, got 1"):
        auc_interval(np.array([[0, 1, np.nan, 2]]), np.eye(1, 4, dtype=bool), record=record, rng=rng())


def test_difference_uses_the_correlation_of_the_clusters():
    _, is_member, record = cells(8, 400)
    hits = rng().random((8, 400)) < np.linspace(0.05, 0.9, 8)[:, None]  # rates differ by target, for both classes alike
    tpr, fpr = (rate_interval(hits, which, record=record, rng=rng()) for which in (is_member, ~is_member))
    difference = difference_interval(hits, is_member, record=record, tpr=tpr, fpr=fpr)
    assert difference.high - difference.low < 0.5 * (tpr.high - tpr.low)
    assert difference.low < 0 < difference.high


def test_difference_of_one_target_adds_squares():
    hits, is_member, record = cells(1, 400)
    tpr, fpr = (rate_interval(hits, which, record=record, rng=rng()) for which in (is_member, ~is_member))
    low = tpr.value - fpr.value - np.hypot(tpr.value - tpr.low, fpr.high - fpr.value)
    assert difference_interval(hits, is_member, record=record, tpr=tpr, fpr=fpr).low == pytest.approx(low, abs=1e-3)


@pytest.mark.parametrize("targets", [1, 4, 8])
def test_order_of_records_and_names_of_clusters_do_not_matter(targets):
    hits, eligible, record = cells(targets, 60)
    order = rng().permutation(60)
    first = rate_interval(hits, eligible, record=record // 3, rng=rng(), draws=0)
    second = rate_interval(hits[:, order], eligible[:, order], record=97 - record[order] // 3, rng=rng(), draws=0)
    np.testing.assert_allclose(first[:3], second[:3], rtol=1e-9)


@pytest.mark.slow
def test_a_million_decisions_take_seconds():
    """How many, `make verify` stores: no test asserts a time."""
    generator = rng()
    values, is_member = generator.normal(size=(10, 100_000)), generator.random((10, 100_000)) < 0.5
    interval = auc_interval(values, is_member, record=np.arange(100_000), rng=generator)
    assert interval.low < 0.5 < interval.high
