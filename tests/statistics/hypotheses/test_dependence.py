"""Dependence of rows: an oracle, its level, and what it finds."""

import numpy as np
import pytest

from dosimeter.statistics.hypotheses.dependence import dependence_p


def by_loops(first, second):
    """Squared distance covariance by its definition, over all pairs."""
    n = len(first)
    apart = []
    for values in (first / first.std(0), second / second.std(0)):
        d = np.array([[np.linalg.norm(values[i] - values[j]) for j in range(n)] for i in range(n)])
        apart.append([[d[i, j] - d[i].mean() - d[:, j].mean() + d.mean() for j in range(n)] for i in range(n)])
    return sum(apart[0][i][j] * apart[1][i][j] for i in range(n) for j in range(n))


def test_the_p_value_is_the_place_of_the_seen_order_among_random_ones():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(12, 2)), rng.normal(size=(12, 3))
    second[:, 0] += first[:, 0]
    drawn = np.random.default_rng(5)
    some = drawn.permutation(12)
    own = by_loops(first, second)
    others = [by_loops(first[some], second[some][drawn.permutation(12)]) for _ in range(39)]
    wanted = (1 + sum(one >= own - 1e-9 for one in others)) / 40
    assert dependence_p(first, second, np.random.default_rng(5), draws=39) == pytest.approx(wanted)


def test_it_is_small_by_luck_as_often_as_it_says():
    """Of 200 pairs without dependence 10 are at 0.05 or below; more than 19 are so in 1 of 250 simulations."""
    small = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        small += dependence_p(rng.normal(size=(40, 3)), rng.normal(size=(40, 2)), rng, draws=99) <= 0.05
    assert 2 <= small <= 19


def test_forms_sizes_and_constants():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 1))
    assert dependence_p(x, np.cos(2 * x) * 1e200, rng, draws=99) == 0.01
    assert dependence_p(x, np.ones((60, 2)), rng, draws=99) == 1.0
    assert dependence_p(rng.normal(size=(1000, 400)) + x[0], np.zeros((1000, 1)), rng, draws=9) == 1.0
    with pytest.raises(ValueError, match="finite, of one length"):
        dependence_p(x, np.full((60, 1), np.nan), rng)
