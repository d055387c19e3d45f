"""The test of a stated membership: permutations of equal persons, and the interval turned around of others."""

import numpy as np
import pytest

from dosimeter.statistics.evidence import Scores, Truth
from dosimeter.statistics.hypotheses.permutation import permutation_p
from dosimeter.statistics.hypotheses.stated import exchangeable, stated_p
from dosimeter.statistics.intervals.crossed import auc_interval, difference_interval, rate_interval
from dosimeter.statistics.intervals.margins import place_pairs


def rng(seed=5):
    return np.random.default_rng(seed)


def evidence(sizes, inside, *, shift=0.0, seed=5, sd=0.7):
    generator = rng(seed)
    record = np.repeat(np.arange(len(sizes)), sizes)
    bits = inside[record][None]
    values = sd * generator.normal(size=len(sizes))[record] + generator.normal(size=len(record)) + shift * bits
    ids = np.arange(len(record))
    return Scores(ids, values), Truth(ids, bits, record)


UNEQUAL = np.r_[np.ones(60, int), np.full(6, 9), np.full(40, 2)]
IN = np.arange(106) % 2 == 0


@pytest.mark.parametrize("size", [1, 4])
def test_equal_persons_change_places(size):
    scores, truth = evidence(np.full(50, size), np.arange(50) < 20, shift=0.3)
    assert exchangeable(truth)
    arguments = dict(thresholds=np.array([0.5]), draws=300)
    assert stated_p(scores, truth, rng=rng(), **arguments) == permutation_p(scores, truth, rng=rng(), **arguments)


@pytest.mark.parametrize("shift", [-0.4, 0.0, 0.3, 0.6, 3.0])
def test_p_is_where_the_intervals_begin_at_chance(shift):
    scores, truth = evidence(UNEQUAL, IN, shift=shift)
    assert not exchangeable(truth)
    thresholds = np.array([0.8])
    p = stated_p(scores, truth, thresholds=thresholds, rng=rng())
    assert p.draws == 0
    values, bits, record = scores.values, truth.is_member, truth.record
    if p.p_auc < 0.5:
        found = auc_interval(values, bits, record=record, rng=rng(), level=1 - 2 * p.p_auc)
        assert found.low == pytest.approx(0.5, abs=1e-6)
    if 1e-11 < p.p_tpr < 0.5:
        hits, level = values > 0.8, 1 - 2 * p.p_tpr
        worth = place_pairs(values, bits, record).worth
        tpr, fpr = (
            rate_interval(hits, who, record=record, rng=rng(), level=level, distinct=own)
            for who, own in zip((bits, ~bits), worth, strict=True)
        )
        found = difference_interval(hits, bits, record=record, tpr=tpr, fpr=fpr, level=level)
        assert found.low == pytest.approx(0, abs=1e-4)
    assert (p.p_auc < 0.025) == (shift >= 0.6)


def test_p_of_nothing_of_everything_and_of_the_reverse():
    _, truth = evidence(UNEQUAL, IN)
    ids, sure = truth.ids, np.where(truth.is_member, 1.0, 0.0)
    arguments = dict(thresholds=np.array([0.5]), rng=rng())
    constant = stated_p(Scores(ids, np.zeros(truth.is_member.shape)), truth, **arguments)
    assert (constant.p_auc, constant.p_tpr) == (1, 1)
    all_ = stated_p(Scores(ids, sure), truth, **arguments)
    assert 0 < all_.p_auc < 1e-3
    assert 0 < all_.p_tpr < 1e-3
    reverse = stated_p(Scores(ids, -sure), truth, thresholds=np.array([-0.5]), rng=rng())
    assert (reverse.p_auc, reverse.p_tpr) == (1, 1)


def test_a_single_person_shows_nothing():
    scores, truth = evidence(np.array([40, 1, 1, 1, 1]), np.arange(5) < 1, shift=9.0)
    p = stated_p(scores, truth, thresholds=np.array([4.0]), rng=rng())
    assert p.p_auc == 0.5
    assert p.p_tpr > 0.025


@pytest.mark.parametrize("targets", [2, 5, 9])
def test_several_targets_of_unequal_persons_turn_their_intervals_round_too(targets):
    scores, truth = evidence(UNEQUAL, IN, shift=0.6)
    generator = rng(8)
    values = scores.values + 0.5 * generator.normal(size=(targets, len(truth.record)))
    truth = Truth(truth.ids, np.tile(truth.is_member, (targets, 1)), truth.record)
    p = stated_p(Scores(truth.ids, values), truth, thresholds=np.full(targets, 0.8), rng=rng())
    found = auc_interval(values, truth.is_member, record=truth.record, rng=rng(), level=1 - 2 * p.p_auc, draws=0)
    assert p.draws == 0
    assert found.low == pytest.approx(0.5, abs=1e-5)
    assert 0 < p.p_auc < 0.3


def test_it_refuses_as_the_permutation_does():
    scores, truth = evidence(UNEQUAL, IN)
    with pytest.raises(ValueError, match="no NaN"):
        stated_p(scores, truth, thresholds=np.array([np.nan]), rng=rng())
    with pytest.raises(ValueError, match="equal lengths"):
        stated_p(scores, truth, thresholds=np.zeros(2), rng=rng())
