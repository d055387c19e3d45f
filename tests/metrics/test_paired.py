"""The paired difference of two AUCs: DeLong's covariance by its double loop, clusters, ends, coverage."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm, t

from dosimeter.metrics.intervals import clopper_pearson
from dosimeter.metrics.paired import auc_difference

RNG = np.random.default_rng(0)
BITS = np.arange(240)[None] % 3 > 0
FIRST = RNG.normal(size=(1, 240)) + 1.0 * BITS
SECOND = 0.5 * FIRST + RNG.normal(size=(1, 240))
OWN = np.arange(240)


def by_hand(first, second, bits):
    """Difference and DeLong's variance from kernels of all pairs, with Satterthwaite's degrees of freedom."""
    members, others = np.flatnonzero(bits), np.flatnonzero(~bits)
    kernel = np.array(
        [
            [sum(s * ((v[i] > v[j]) + 0.5 * (v[i] == v[j])) for s, v in ((1, first), (-1, second))) for j in others]
            for i in members
        ]
    )
    value = kernel.mean()
    parts = [kernel.mean(1), kernel.mean(0)]
    each = [(part.var(ddof=1) / len(part), len(part) - 1) for part in parts]
    variance = sum(one for one, _ in each)
    return value, variance, variance**2 / sum(one**2 / free for one, free in each)


def test_it_is_delongs_paired_comparison():
    value, variance, freedom = by_hand(FIRST[0], SECOND[0], BITS[0])
    found = auc_difference(FIRST, SECOND, BITS, record=OWN)
    half = t.ppf(0.975, freedom) * np.sqrt(variance)
    assert found.value == pytest.approx(value)
    assert found.high - found.value == pytest.approx(half)
    assert found.value - found.low == pytest.approx(half)


def test_what_both_say_cancels():
    same = auc_difference(FIRST, FIRST, BITS, record=OWN)
    unseen = clopper_pearson(0, 80)[1]
    assert same.value == 0
    assert (same.low, same.high) == pytest.approx((-unseen, unseen))


def test_it_turns_round_with_its_arguments():
    one, other = auc_difference(FIRST, SECOND, BITS, record=OWN), auc_difference(SECOND, FIRST, BITS, record=OWN)
    assert (one.value, one.low, one.high) == pytest.approx((-other.value, -other.high, -other.low))


def test_copies_of_a_person_do_not_narrow_it():
    first, second, bits = (np.repeat(one, 5, axis=1) for one in (FIRST, SECOND, BITS))
    once = auc_difference(FIRST, SECOND, BITS, record=OWN)
    often = auc_difference(first, second, bits, record=np.repeat(OWN, 5))
    assert (often.value, often.low, often.high) == pytest.approx((once.value, once.low, once.high))


def test_several_targets_count_twice():
    first, second, bits = (np.tile(one, (4, 1)) for one in (FIRST, SECOND, BITS))
    once = auc_difference(FIRST, SECOND, BITS, record=OWN)
    often = auc_difference(first, second, bits, record=OWN)
    assert "t over 4 targets" in often.method
    assert often.high - often.low >= 0.95 * (once.high - once.low)


def test_nan_and_an_empty_class_are_refused():
    with pytest.raises(ValueError, match="NaN"):
        auc_difference(FIRST, np.full_like(FIRST, np.nan), BITS, record=OWN)
    with pytest.raises(ValueError, match="both classes"):
        auc_difference(FIRST, SECOND, np.ones_like(BITS), record=OWN)


def test_coverage():
    """200 draws from a law whose difference is known: two normal scores, both with a shift."""
    rng, held = np.random.default_rng(1), 0
    truth = norm.cdf(1.0 / np.sqrt(2)) - norm.cdf(0.4 / np.sqrt(2))
    bits = np.arange(200)[None] % 2 == 0
    for _ in range(200):
        noise = rng.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], 200).T
        found = auc_difference(noise[:1] + bits, noise[1:] + 0.4 * bits, bits, record=np.arange(200))
        held += found.low <= truth <= found.high
    assert 0.91 <= held / 200 <= 0.99
