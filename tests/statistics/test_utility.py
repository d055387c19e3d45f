"""Accuracy of a split with its interval."""

import numpy as np
import pytest

from dosimeter.statistics.intervals.crossed import clopper_pearson
from dosimeter.statistics.utility import accuracy


def test_accuracy_counts_its_split_only():
    correct = np.array([[True, True, False, True, False]])
    counted = np.array([[True, True, True, True, False]])
    found = accuracy(correct, counted, record=np.arange(5), rng=np.random.default_rng(0))
    assert (found.value, found.n_members, found.n_nonmembers, found.n_targets) == (0.75, 4, 4, 1)
    assert (found.low, found.high) == clopper_pearson(3, 4)


def test_perfect_accuracy_of_many_targets_keeps_a_width():
    ones = np.ones((8, 50), bool)
    found = accuracy(ones, ones, record=np.arange(50), rng=np.random.default_rng(0))
    assert (found.value, found.low, found.high) == (1.0, *clopper_pearson(50, 50))


def test_nothing_counted_is_refused():
    zeros = np.zeros((1, 3), bool)
    with pytest.raises(ValueError, match="at least one decision"):
        accuracy(zeros, zeros, record=np.arange(3), rng=np.random.default_rng(0))
