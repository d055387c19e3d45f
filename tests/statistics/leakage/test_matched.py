"""Pairs of reconstructions and records against all permutations."""

from itertools import permutations

import numpy as np
import pytest

from dosimeter.statistics.leakage.matched import matched, mean_baseline


@pytest.mark.parametrize(("made", "true"), [(4, 4), (5, 3)])
def test_the_pairs_are_those_of_the_least_sum_over_all_permutations(made, true):
    rng = np.random.default_rng(made)
    for _ in range(5):
        a, b = rng.random((made, 1, 2, 3)), rng.random((true, 1, 2, 3))
        error = np.array([[((x - y) ** 2).mean() for x in a] for y in b])
        best = min(error[range(true), list(order)].sum() for order in permutations(range(made), true))
        found = matched(a, b)
        assert found.error.sum() == pytest.approx(best)
        assert found.error == pytest.approx(error[range(true), found.made])
        assert len(set(found.made.tolist())) == true


def test_a_shuffled_batch_is_recovered_whole():
    true = np.random.default_rng(0).random((5, 4))
    found = matched(true[[3, 1, 4, 0, 2]], true)
    assert (found.recovered, found.made.tolist()) == (1.0, [3, 1, 4, 0, 2])
    assert found.psnr == pytest.approx(np.full(5, 100.0))


def test_what_is_missing_is_not_recovered():
    true = np.array([[0.0], [1.0], [0.5]])
    found = matched(true[:1], true)
    assert found.made.tolist() == [0, -1, -1]
    assert found.recovered == pytest.approx(1 / 3)
    assert found.psnr.tolist() == [100.0, -np.inf, -np.inf]
    assert matched(true[:0], true).recovered == 0.0


def test_the_mean_record_is_the_same_for_all():
    known, true = np.array([[0.0], [1.0]]), np.array([[0.5], [0.9]])
    found = mean_baseline(known, true)
    assert sorted(found.error.tolist()) == pytest.approx([0.0, 0.16])


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="must have the shape of the records"):
        matched(np.zeros((2, 3)), np.zeros((2, 4)))
    with pytest.raises(ValueError, match="must have the shape of the records"):
        matched(np.zeros((2, 3)), np.zeros((0, 3)))
    with pytest.raises(ValueError, match="reconstructions must be finite"):
        matched(np.full((1, 2), np.nan), np.zeros((1, 2)))
