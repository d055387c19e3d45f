"""Paired differences of two AUCs and of two rates: by hand, clusters, ends, coverage, and no claim on a steep curve."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm, t

from dosimeter.statistics.intervals.crossed import clopper_pearson
from dosimeter.statistics.paired import auc_difference, point_at, rate_difference
from dosimeter.statistics.rates import shadow_threshold

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


def test_a_point_calls_as_many_nonmembers_as_asked_and_its_slope_is_that_of_a_chord():
    scores = np.arange(100.0)[None]
    bits = (np.arange(100) % 2 == 1)[None]  # 1, 3 ... 99 are members
    point = point_at(scores, bits, 0.1)
    assert (point.calls == (scores > 88)).all()  # the non-members 90, 92 ... 98 are five of fifty
    assert point.slope == pytest.approx(1.1)  # the chord to ten non-members takes eleven members along
    steep = point_at(scores + 60 * bits, bits, 0.3)
    assert (steep.calls == (scores + 60 * bits > 68)).all()
    assert steep.slope == pytest.approx(1 / 0.6)  # twice the rate, where all members are called
    assert point_at(-scores - 200 * bits, bits, 0.1).slope == 1
    assert point_at(np.zeros((1, 100)), bits, 0.1).calls.sum() == 0
    assert point_at(scores, bits, 1.0).calls.all()


@pytest.mark.parametrize("slope", [1.0, 3.0])
def test_rates_are_compared_at_one_rate_of_false_calls(slope):
    """Against influences of single records, written down."""
    first, second = FIRST > 1.0, SECOND > 0.7
    sides = []
    for weight, side in ((1.0, BITS[0]), (-slope, ~BITS[0])):
        each = weight * (first[0, side].astype(float) - second[0, side])
        sides.append((each.mean(), each.var(ddof=1) / len(each), len(each) - 1))
    value, variance = (sum(one[i] for one in sides) for i in (0, 1))
    freedom = variance**2 / sum(own**2 / free for _, own, free in sides)
    found = rate_difference(first, second, BITS, record=OWN, slope=slope)
    half = t.ppf(0.975, freedom) * np.sqrt(variance)
    assert found.gain.value == pytest.approx(value)
    assert found.gain.high - found.gain.value == pytest.approx(half)
    alone = rate_difference(second, np.zeros_like(second), BITS, record=OWN, slope=slope)
    assert found.own == pytest.approx(alone.gain.high - alone.gain.value)


def test_copies_and_shares_of_calls():
    calls, others = FIRST > 1.0, SECOND > 0.7
    once = rate_difference(calls, others, BITS, record=OWN, slope=2.0).gain
    parts = (np.repeat(one, 5, axis=1) for one in (calls, others, BITS))
    often = rate_difference(*parts, record=np.repeat(OWN, 5), slope=2.0).gain
    assert often[:3] == pytest.approx(once[:3])
    half = rate_difference(0.5 * calls, 0.5 * others, BITS, record=OWN, slope=2.0).gain
    assert half.value == pytest.approx(once.value / 2)


@pytest.mark.parametrize("shift", [0.0, 1.0, 2.0])
def test_two_equal_scores_are_told_apart_in_one_of_forty_audits_at_most(shift):
    """Both know the same of members. TPR - FPR would differ with the luck of a threshold where the curve is steep."""
    rng, claims, naive = np.random.default_rng(3), 0, 0
    bits, record = np.arange(600)[None] % 2 == 0, np.arange(600)
    for _ in range(300):
        one, other = rng.normal(size=(2, 1, 600)) + shift * bits
        sets = (rng.normal(size=300), np.zeros(300, bool))  # non-members that set a threshold for either
        calls, theirs = (
            one > shadow_threshold(*sets, 0.01),
            other > shadow_threshold(rng.normal(size=300), sets[1], 0.01),
        )
        point = point_at(other, bits, max(0.01, float(calls[~bits].mean())))
        claims += rate_difference(calls, point.calls, bits, record=record, slope=point.slope).gain.low > 0
        naive += rate_difference(calls, theirs, bits, record=record, slope=1.0).gain.low > 0
    assert claims <= 15  # 300 audits at 2.5 % give more with a chance of 0.4 %
    assert shift == 0 or naive >= 30
