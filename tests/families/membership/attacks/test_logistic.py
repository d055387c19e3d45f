import numpy as np
import pytest
from oracles import logistic as slow

from dosimeter.families.membership.attacks import logistic


@pytest.fixture
def examples():
    rng = np.random.default_rng(0)
    features = rng.normal(3, [1.0, 50.0, 1e-3], (300, 3))
    return features, rng.random(300) < 1 / (1 + np.exp(3 - features[:, 0]))


def test_agrees_with_scikit_learn(examples):
    features, bits = examples
    found = logistic.fit(features, bits).decide(features)
    np.testing.assert_allclose(found, slow(features, bits)(features), rtol=1e-9, atol=1e-9)


def test_a_weight_is_a_repetition(examples):
    features, bits = examples
    times = np.random.default_rng(1).integers(0, 4, len(bits))
    weighted = logistic.fit(features, bits, times.astype(float), clip=False).decide(features)
    repeated = logistic.fit(np.repeat(features, times, axis=0), np.repeat(bits, times), clip=False).decide(features)
    np.testing.assert_allclose(weighted, repeated, rtol=1e-9, atol=1e-9)


def test_queries_are_kept_in_range_unless_told_otherwise(examples):
    features, bits = examples
    high, beyond = features.max(axis=0)[None], features.max(axis=0)[None] + 1e6
    assert logistic.fit(features, bits).decide(high) == logistic.fit(features, bits).decide(beyond)
    free = logistic.fit(features, bits, clip=False)
    assert free.decide(high) != free.decide(beyond)


def test_hopeless_examples_give_finite_odds():
    """One class only, a constant feature, examples that a line parts."""
    features = np.column_stack([np.linspace(-1, 1, 40), np.ones(40)])
    for bits in (np.ones(40, dtype=bool), features[:, 0] > 0):
        assert np.isfinite(logistic.fit(features, bits).decide(features)).all()


@pytest.mark.parametrize("period", [2, 17])
def test_many_rows_in_any_order_have_the_same_solution(period, monkeypatch):
    """Also where each 17th row, from which the search starts, is of one class."""
    rng = np.random.default_rng(2)
    bits = np.arange(60_000) % period == 0
    features = rng.normal(size=(len(bits), 2)) + 0.5 * bits[:, None]
    found = logistic.fit(features, bits).coefficients
    monkeypatch.setattr(logistic, "_MANY", len(bits) + 1)
    np.testing.assert_allclose(found, logistic.fit(features, bits).coefficients, rtol=1e-9, atol=1e-9)
