"""How well attributes are told: against scikit-learn, the jackknife, and by simulation."""

import numpy as np
import pytest
from sklearn import metrics

from dosimeter.statistics.leakage.attributes import auc_gain, auc_of, balanced_accuracy, leakage_index


def guesses_of(seed, n=200, values=2, strength=1.0):
    rng = np.random.default_rng(seed)
    truth = np.r_[np.arange(values), rng.integers(values, size=n - values)]
    raw = rng.normal(size=(1, n, values))
    raw[0, np.arange(n), truth] += strength
    return raw - np.log(np.exp(raw).sum(-1, keepdims=True)), truth


def test_auc_and_balanced_accuracy_are_those_of_scikit_learn():
    guesses, truth = guesses_of(0)
    record = np.arange(len(truth))
    assert auc_of(guesses, truth, record).value == pytest.approx(metrics.roc_auc_score(truth, guesses[0, :, 1]))
    even = np.full(2, 0.5)
    found = balanced_accuracy(guesses, truth, record, even)
    assert found.value == pytest.approx(metrics.balanced_accuracy_score(truth, guesses[0].argmax(1)))
    guesses, truth = guesses_of(1, values=4)
    ovr = np.mean([metrics.roc_auc_score(truth == value, guesses[0, :, value]) for value in range(4)])
    assert auc_of(guesses, truth, record).value == pytest.approx(ovr)
    found = balanced_accuracy(guesses, truth, record, np.full(4, 0.25))
    assert found.value == pytest.approx(metrics.balanced_accuracy_score(truth, guesses[0].argmax(1)))


def test_balanced_accuracy_takes_the_prior_off():
    truth = np.repeat([0, 1], [90, 10])
    guesses = np.log(np.tile([0.9, 0.1], (1, 100, 1)))
    guesses[0, truth == 1] = np.log([0.8, 0.2])  # more likely than before, and still the rarer value
    assert balanced_accuracy(guesses, truth, np.arange(100), np.array([0.9, 0.1])).value == pytest.approx(1.0)


@pytest.mark.parametrize("values", [2, 3])
def test_intervals_cover(values):
    rng = np.random.default_rng(2)
    pool, truth = guesses_of(3, n=20_000, values=values)
    aim = auc_of(pool, truth, np.arange(len(truth))).value
    hits = 0
    for _ in range(200):
        rows = np.r_[[np.flatnonzero(truth == value)[0] for value in range(values)], rng.integers(20_000, size=120)]
        found = auc_of(pool[:, rows], truth[rows], np.arange(len(rows)))
        hits += found.low <= aim <= found.high
    assert hits / 200 > 0.91


def test_a_gain_is_paired():
    first, truth = guesses_of(4, strength=0.3)
    second = first + np.random.default_rng(5).normal(0, 0.1, first.shape)
    record = np.arange(len(truth))
    gain = auc_gain(first, second, truth, record)
    assert gain.value == pytest.approx(auc_of(first, truth, record).value - auc_of(second, truth, record).value)
    own = auc_of(first, truth, record)
    assert gain.high - gain.low < own.high - own.low


def test_the_leakage_index_and_its_spread_are_those_of_the_jackknife():
    evidence = [guesses_of(6, n=150, strength=one)[0] for one in (1.0, 0.2, 2.5)]
    truth, record = guesses_of(6, n=150)[1], np.arange(150)

    def index(rows):
        a, f, c = (auc_of(one[:, rows], truth[rows], record[rows]).value for one in evidence)
        return (a - f) / (c - f)

    found = leakage_index(evidence, truth, record)
    assert found.value == pytest.approx(index(record))
    left_out = np.array([index(np.delete(record, row)) for row in range(150)])
    spread = np.sqrt((left_out - left_out.mean()) @ (left_out - left_out.mean()) * 149 / 150)
    assert (found.high - found.low) / 2 == pytest.approx(1.976 * spread, rel=0.06)


def test_without_room_there_is_no_index_and_ends_are_cut_off():
    attack, floor, ceiling = (guesses_of(seed, strength=one)[0] for seed, one in ((7, 1.0), (8, 1.0), (9, 1.0)))
    truth, record = np.tile([0, 1], 100), np.arange(200)
    assert leakage_index([attack, floor, floor], truth, record) is None
    strong, truth = guesses_of(10, strength=3.0)
    weak = guesses_of(10, strength=0.0)[0]
    found = leakage_index([strong, weak, strong], truth, record)
    assert (found.value, found.high) == (pytest.approx(1.0), 1.0)


def test_a_value_that_nobody_has_is_refused():
    guesses, _ = guesses_of(0)
    with pytest.raises(ValueError, match="each of 2 values"):
        auc_of(guesses, np.zeros(200, int), np.arange(200))
