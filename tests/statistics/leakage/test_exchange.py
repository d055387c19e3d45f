"""Tests by exchange: exact laws by enumeration, level by simulation, persons as wholes."""

import itertools
from itertools import combinations

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from dosimeter.statistics.leakage.exchange import (
    attributes_at_chance,
    exchange_attacks,
    exchange_attributes,
    sign_test,
)


def scores(values):
    """Guesses of two values with these scores for the second one."""
    values = np.asarray(values, float)
    return np.stack([-values, values], -1)[None]


def test_attributes_are_exchanged_as_by_enumeration():
    values, truth = np.array([0.1, 0.9, 0.4, 0.8, 0.35, 0.2]), np.array([0, 1, 0, 1, 1, 0])
    own = roc_auc_score(truth, values)
    laws = [roc_auc_score(one, values) for one in set(itertools.permutations(truth.tolist()))]
    exact = np.mean([one >= own - 1e-12 for one in laws])
    (found,) = exchange_attributes([scores(values)], truth, np.arange(6), rng=np.random.default_rng(0), enough=9_999)
    assert found == pytest.approx(exact, abs=0.015)


def test_persons_are_exchanged_as_wholes_among_those_of_as_many_records():
    # two persons of two records, one of one: only two tables are possible, so no p-value can be small
    truth, person = np.array([1, 1, 0, 0, 1]), np.array([0, 0, 1, 1, 2])
    (found,) = exchange_attributes([scores([5, 4, 1, 0, 9])], truth, person, rng=np.random.default_rng(1), enough=9_999)
    assert found == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("persons", [False, True])
def test_level_of_both_tests_where_nothing_is_told(persons):
    rng, small = np.random.default_rng(2), np.zeros(2)
    for trial in range(200):
        person = np.repeat(np.arange(20), 3) if persons else np.arange(60)
        own = rng.normal(size=person.max() + 1)[person]  # what one person's records have in common
        truth = np.r_[0, 1, rng.integers(2, size=person.max() - 1)][person]
        a, b = (scores(own + rng.normal(size=60)) for _ in range(2))
        settings = {"rng": rng, "draws": 199, "enough": 10 if trial % 2 else 199}
        small[0] += exchange_attributes([a], truth, person, **settings)[0] <= 0.05
        small[1] += exchange_attacks([(a, b)], truth, person, **settings)[0] <= 0.05
    assert (small / 200 <= 0.1).all()


def test_both_find_what_is_there():
    rng = np.random.default_rng(3)
    truth, person = np.tile([0, 1], 100), np.arange(200)
    strong, weak = (scores(one * truth + rng.normal(size=200)) for one in (1.5, 0.2))
    assert exchange_attributes([strong], truth, person, rng=rng, draws=999) == (0.001,)
    better, worse = exchange_attacks([(strong, weak), (weak, strong)], truth, person, rng=rng, draws=999)
    assert better <= 0.002
    assert worse > 0.9


def test_several_values():
    rng = np.random.default_rng(4)
    truth = np.r_[0, 1, 2, rng.integers(3, size=87)]
    guesses = rng.normal(size=(1, 90, 3))
    assert exchange_attributes([guesses], truth, np.arange(90), rng=rng, draws=999)[0] > 0.01
    guesses[0, np.arange(90), truth] += 2
    assert exchange_attributes([guesses], truth, np.arange(90), rng=rng, draws=999)[0] == 0.001


def test_signs_are_those_of_scipy():
    rng = np.random.default_rng(5)
    a, b = rng.integers(4, size=(2, 1, 50)).astype(float)
    won, lost = int((a > b).sum()), int((a < b).sum())
    assert sign_test(a, b) == pytest.approx(stats.binomtest(won, won + lost, alternative="greater").pvalue)
    assert sign_test(b, b) == 1.0


def test_numbers_that_are_none_are_refused():
    with pytest.raises(ValueError, match="each of 2 values must occur"):
        exchange_attributes([scores([0.0, 1.0])], np.array([1, 1]), np.arange(2), rng=np.random.default_rng(0))


def test_within_parts_only_their_own_values_change_places():
    """All 36 ways to give two parts of four records two of each value."""
    values, part = np.array([3.0, 9.0, 1.0, 4.0, 8.0, 2.0, 7.0, 5.0]), np.repeat([0, 1], 4)
    truth = np.array([1, 1, 0, 0, 1, 0, 1, 0])
    halves = [np.isin(np.arange(4), one) for one in combinations(range(4), 2)]
    ranks = np.argsort(np.argsort(values))
    sums = [ranks[np.r_[one, other]].sum() for one in halves for other in halves]
    wanted = np.mean(np.array(sums) >= ranks[truth == 1].sum())
    rng = np.random.default_rng(0)
    (found,) = exchange_attributes([scores(values)], truth, np.arange(8), rng=rng, enough=9_999, within=part)
    assert abs(found - wanted) < 4 * np.sqrt(wanted * (1 - wanted) / 10_000)
    (pooled,) = exchange_attributes([scores(values)], truth, np.arange(8), rng=rng, enough=9_999)
    assert abs(found - pooled) > 0.01


@pytest.mark.parametrize("persons", [False, True])
def test_many_attacks_are_tested_as_each_by_itself(persons):
    rng = np.random.default_rng(6)
    person = np.repeat(np.arange(20), 2) if persons else np.arange(40)
    truth = np.r_[0, 1, 2, rng.integers(3, size=person.max() - 2)][person]
    guesses = [rng.normal(size=(2, 40, 3)) + 0.4 * reach * (truth[:, None] == np.arange(3)) for reach in range(3)]
    many, each = (
        exchange_attributes(some, truth, person, rng=np.random.default_rng(7), draws=999)
        for some in (guesses, guesses[2:])
    )
    assert many[2] == each[0] < many[0]
    (low,) = exchange_attributes([-guesses[2]], truth, person, rng=np.random.default_rng(7), draws=999)
    both = attributes_at_chance([guesses[2], -guesses[2]], truth, person, rng=np.random.default_rng(7), draws=999)
    assert both[0] == both[1] == min(1.0, 2 * min(each[0], low))
    for test in (exchange_attributes, attributes_at_chance, exchange_attacks):
        assert test([], truth, person, rng=rng) == ()


def test_a_test_ends_at_its_enough_th_extreme_exchange():
    rng, truth, person = np.random.default_rng(8), np.arange(60) % 2, np.arange(60)
    first, *others = (rng.normal(size=(1, 60, 2)) for _ in range(6))
    pairs = [(one, first) for one in others]

    def tested(test, some, **settings):
        return np.array(test(some, truth, person, rng=np.random.default_rng(9), **settings))

    early = 0
    for test, some in ((exchange_attributes, others), (exchange_attacks, pairs)):
        for place, p in enumerate(tested(test, some, draws=399, enough=20)):
            last = round(20 / p)
            counts = [tested(test, some, draws=n, enough=n + 1)[place] * (n + 1) - 1 for n in (last, last - 1, 399)]
            if counts[2] >= 20:
                early += 1
                np.testing.assert_allclose(counts[:2], [20, 19])
            else:
                assert p == pytest.approx((1 + counts[2]) / 400)
    assert early
