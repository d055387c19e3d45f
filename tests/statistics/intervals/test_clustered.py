"""The spread between unequal persons against full matrices, leaving persons out one by one, and simulation."""

import numpy as np
import pytest
from oracles_statistics import spread_by_matrices
from scipy.stats import t as student

from dosimeter.statistics.intervals.cells import placements
from dosimeter.statistics.intervals.clustered import Persons, same_size
from dosimeter.statistics.intervals.crossed import auc_interval, clopper_pearson, difference_interval, rate_interval
from dosimeter.statistics.intervals.margins import margins_of, place_pairs, ratio_of

SHAPES = {
    "one record each": (np.ones(9, int), np.ones(14, int)),
    "five each": (np.full(6, 5), np.full(8, 5)),
    "unequal": (np.array([1, 1, 2, 7, 30]), np.array([1, 1, 1, 4, 4, 12])),
    "one person holds nearly all": (np.array([1, 1, 200]), np.array([3, 1, 1, 2])),
}


def rng(seed=3):
    return np.random.default_rng(seed)


def drawn(inside, outside, *, sd=1.0, generator=None):
    """Scores, bits and persons of one target; nothing leaks."""
    generator = generator or rng()
    sizes = np.r_[inside, outside]
    record = np.repeat(np.arange(len(sizes)), sizes)
    values = sd * generator.normal(size=len(sizes))[record] + generator.normal(size=len(record))
    return values[None], (record < len(inside))[None], record


def crossed(generator):
    """The same where half of the persons have records on both sides."""
    record = np.repeat(np.arange(12), generator.integers(1, 9, 12))
    is_member = np.where(record < 6, generator.random(len(record)) < 0.5, record < 9)
    values = generator.normal(size=12)[record] + generator.normal(size=len(record))
    return values[None], is_member[None], record


@pytest.mark.parametrize("shape", [*SHAPES, "crossed"])
def test_the_auc_of_unequal_persons_is_that_of_full_matrices(shape):
    values, is_member, record = crossed(rng()) if shape == "crossed" else drawn(*SHAPES[shape])
    found = place_pairs(values, is_member, record)
    above, below = placements(values, is_member)
    members, others = is_member[0], ~is_member[0]
    influences = [
        np.where(side, part[0] - found.value, 0) / side.sum() for side, part in ((members, above), (others, below))
    ]
    variance, freedom = spread_by_matrices(influences, [members, others], record)
    assert found.margins.spread.variance == pytest.approx(variance, rel=1e-9)
    assert found.margins.spread.freedom == pytest.approx(freedom, rel=1e-6)


@pytest.mark.parametrize("shape", [*SHAPES, "crossed"])
def test_rates_of_unequal_persons_are_those_of_full_matrices(shape):
    values, is_member, record = crossed(rng(5)) if shape == "crossed" else drawn(*SHAPES[shape])
    hits = values > 0.2
    sides = [is_member[0], ~is_member[0]]
    influences = [np.where(side, hits[0] - hits[0][side].mean(), 0) / side.sum() for side in sides]
    ratios = [ratio_of(hits & side, np.atleast_2d(side), record) for side in sides]
    for terms, signs in (([(1.0, ratios[0])], [1, 0]), ([(1.0, ratios[0]), (-1.0, ratios[1])], [1, -1])):
        kept = [i for i, sign in enumerate(signs) if sign]
        spread = margins_of(terms).spread
        expected = spread_by_matrices([signs[i] * influences[i] for i in kept], [sides[i] for i in kept], record)
        assert (spread.variance, spread.freedom) == pytest.approx(expected, rel=1e-6)


def test_equal_persons_have_the_variance_of_a_mean_and_one_degree_less_each():
    persons = Persons(np.array([[4, 4, 4, 4, 4, 0, 0], [0, 0, 0, 0, 0, 3, 3]]))
    totals = np.array([[0.1, -0.3, 0.0, 0.3, -0.1, 0, 0], [0, 0, 0, 0, 0, 0.2, -0.2]])
    spread = persons.spread(totals)
    sides = [0.2 * 5 / 4, 0.08 * 2]
    assert spread.variance == pytest.approx(sum(sides))
    assert spread.sides.tolist() == pytest.approx(sides)
    assert spread.freedom == pytest.approx(sum(sides) ** 2 / (sides[0] ** 2 / 4 + sides[1] ** 2 / 1))
    assert persons.effective().tolist() == [5, 2]


def test_degrees_of_freedom_fall_with_the_persons_that_carry_a_side():
    free = [Persons(np.r_[np.full(8, size), np.ones(72)][None]).freedom(np.ones(1)) for size in (1, 3, 20, 150)]
    assert free[0] == pytest.approx(79)
    assert free == sorted(free, reverse=True)
    assert 6 < free[-1] < 8
    assert Persons(np.array([[1000, 1]])).freedom(np.ones(1)) == pytest.approx(1, abs=1e-3)


def test_nothing_is_known_of_a_single_person():
    values, is_member, record = drawn(np.array([30]), np.ones(40, int))
    found = auc_interval(values, is_member, record=record, rng=rng())
    assert (found.low, found.high) == (0, 1)
    hits = values > 0
    tpr, fpr = (rate_interval(hits, who, record=record, rng=rng()) for who in (is_member, ~is_member))
    assert (tpr.low, tpr.high) == (0, 1)
    assert difference_interval(hits, is_member, record=record, tpr=tpr, fpr=fpr).low < -0.5


def test_persons_are_worth_what_their_scores_say():
    """8 of 80 persons hold 94 % of the records: worth 9 if these move together, all 80 if they do not."""
    inside, outside = np.ones(620, int), np.r_[np.ones(72, int), np.full(8, 150)]
    worth = [place_pairs(*drawn(inside, outside, sd=sd)).worth for sd in (0.0, 8.0)]
    assert [one[0] for one in worth] == [620, 620]
    assert worth[0][1] == 80
    assert worth[1][1] < 20
    kish = 1272**2 / (72 + 8 * 150**2)
    constant = place_pairs(*(np.zeros((1, 1892)), *drawn(inside, outside)[1:])).worth
    assert constant == pytest.approx((620, kish))
    nobody = rate_interval(
        np.zeros((1, 1892), bool), ~drawn(inside, outside)[1], record=drawn(inside, outside)[2], rng=rng()
    )
    assert nobody.high == pytest.approx(clopper_pearson(0, kish)[1])


@pytest.mark.parametrize("shape", list(SHAPES)[2:])
def test_variance_is_that_of_many_tables_or_more(shape):
    """2,000 tables: the mean of the estimates is at least the variance of the AUCs, and at most 1.6 times it."""
    generator, values, estimates = rng(1), [], []
    for _ in range(2000):
        found = place_pairs(*drawn(*SHAPES[shape], generator=generator))
        values.append(found.value)
        estimates.append(found.margins.spread.variance)
    assert 0.9 < np.mean(estimates) / np.var(values) < 1.6


def test_one_target_of_own_records_is_the_t_interval_of_two_means():
    values, is_member, record = drawn(np.ones(30, int), np.ones(60, int))
    hits = values > 0.5
    ratio = ratio_of(hits & is_member, is_member, record)
    spread = margins_of([(1.0, ratio)]).spread
    assert spread.variance == pytest.approx(hits[is_member].var(ddof=1) / 30)
    assert spread.freedom == pytest.approx(29)
    assert student.ppf(0.975, spread.freedom) == pytest.approx(2.045, abs=1e-3)


def test_a_hundred_thousand_persons_take_no_matrix():
    sizes = np.minimum(rng().pareto(1.0, 100_000).astype(int) + 1, 150)
    persons = Persons(
        np.stack([np.where(np.arange(100_000) % 2, sizes, 0), np.where(np.arange(100_000) % 2, 0, sizes)])
    )
    totals = persons.share * rng().normal(size=(2, 100_000))
    spread = persons.spread(totals)  # a matrix of persons by persons would take 80 GB
    assert 1 < spread.freedom < 100_000


def test_sizes_are_compared():
    assert same_size(np.arange(5))
    assert same_size(np.array([3, 1, 2]))
    assert same_size(np.array([1, 1, 7, 7]))
    assert not same_size(np.array([1, 1, 7, 7, 9]))


def test_records_of_their_own_have_one_interval_in_any_order():
    """The quick way for records in order and the way of clusters are one."""
    rng = np.random.default_rng(0)
    for n in (4, 9, 40):
        values, bits = rng.integers(0, 3, n).astype(float), np.arange(n) % 2 == 0
        order = rng.permutation(n)
        kept = auc_interval(values[None], bits[None], record=np.arange(n), rng=rng)
        moved = auc_interval(values[order][None], bits[order][None], record=order, rng=rng)
        np.testing.assert_allclose(moved[:3], kept[:3], rtol=1e-6)
