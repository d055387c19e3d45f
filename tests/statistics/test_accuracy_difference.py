"""The paired difference of two accuracies: closed forms, and coverage by simulation."""

import numpy as np
import pytest
from scipy.stats import t as student

from dosimeter.statistics.intervals.crossed import clopper_pearson
from dosimeter.statistics.paired import accuracy_difference


def both(rng, targets, n, *, spread=0.0):
    """Two models per target that are right together more often than by chance; true difference -0.05."""
    easy = rng.random(n)
    skill = rng.normal(0, spread, (targets, 1))
    shared = rng.random((targets, n))
    first = easy * 0.5 + shared * 0.5 < 0.6 + skill
    second = first & (rng.random((targets, n)) > 0.1) | ~first & (rng.random((targets, n)) < 0.1)
    return first, second


def test_one_target_is_the_paired_t_interval():
    rng = np.random.default_rng(0)
    first, second = both(rng, 1, 500)
    found = accuracy_difference(first, second, np.ones_like(first), record=np.arange(500))
    d = first[0].astype(float) - second[0]
    half = student.ppf(0.975, 499) * d.std(ddof=1) / np.sqrt(500)
    assert found.value == pytest.approx(d.mean(), abs=1e-12)
    assert found.high - found.value == pytest.approx(half, rel=1e-6)
    assert found.value - found.low == pytest.approx(half, rel=1e-6)


def test_only_what_counts_counts():
    rng = np.random.default_rng(1)
    first, second = both(rng, 3, 200)
    counted = rng.random((3, 200)) < 0.5
    found = accuracy_difference(first, second, counted, record=np.arange(200))
    assert found.value == pytest.approx(first[counted].mean() - second[counted].mean(), abs=1e-12)


def test_equal_answers_leave_what_may_have_stayed_unseen():
    same = np.ones((4, 300), bool)
    found = accuracy_difference(same, same, same, record=np.arange(300))
    unseen = clopper_pearson(0, 300)[1]
    assert (found.value, found.low, found.high) == pytest.approx((0.0, -unseen, unseen), abs=1e-12)


@pytest.mark.parametrize(("targets", "spread"), [(1, 0.0), (4, 0.1), (8, 0.1)])
def test_the_interval_covers_the_true_difference(targets, spread):
    """400 simulations each; 0.93 is 1.8 standard errors below 0.95. Large clusters of targets may cover more."""
    truth = np.mean([a.mean() - b.mean() for a, b in (both(np.random.default_rng(s), 50, 4000, spread=spread)
                                                       for s in range(20))])  # fmt: skip
    hits = 0
    for seed in range(400):
        first, second = both(np.random.default_rng(1000 + seed), targets, 250, spread=spread)
        found = accuracy_difference(first, second, np.ones_like(first), record=np.arange(250))
        hits += found.low <= truth <= found.high
    assert hits / 400 >= 0.93


def test_a_split_without_records_is_refused():
    one = np.ones((1, 4), bool)
    with pytest.raises(ValueError, match="some count"):
        accuracy_difference(one, one, ~one, record=np.arange(4))
