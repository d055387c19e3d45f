import numpy as np
import pytest
from scipy import stats

from dosimeter.families.membership.attacks import laws


def test_log_ratio_is_that_of_whole_densities():
    phi, one = np.linspace(-3, 3, 5)[None], np.ones(5)
    for a, b in ((np.inf, 5.0), (7.0, 3.0), (4.0, 4.0), (np.inf, np.inf)):
        found = laws.log_ratio(laws.Law(0 * one, one, a), laws.Law(one, 2 * one, b), phi)
        first = stats.norm(0, 1) if np.isinf(a) else stats.t(a, 0, 1)
        second = stats.norm(1, 2) if np.isinf(b) else stats.t(b, 1, 2)
        np.testing.assert_allclose(found, first.logpdf(phi) - second.logpdf(phi), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("k", [2, 8, 32])
@pytest.mark.parametrize("count", [4.0, 20.0])
def test_the_prior_of_the_variances_is_found_again(k, count):
    """From 40,000 records whose variances follow the law that is estimated."""
    rng = np.random.default_rng(0)
    variances = 2.5 * count / rng.chisquare(count, 40_000)
    found = laws._variance_prior(variances * rng.chisquare(k - 1, 40_000) / (k - 1), k - 1)
    assert found[0] == pytest.approx(count, rel=0.5 if (k, count) == (2, 20.0) else 0.2)
    assert found[1] == pytest.approx(2.5, rel=0.1 if k == 2 else 0.05)


def test_equal_variances_are_pooled_and_equal_values_survive():
    rng = np.random.default_rng(0)
    law = laws.fit_bayesian(rng.normal(rng.normal(0, 3, 2000), 1.0, (8, 2000)))
    assert law.freedom > 200
    assert law.scale.std() < 0.05
    same = laws.fit_bayesian(np.ones((4, 30)))
    assert np.isfinite(same.mean).all()
    assert (same.scale >= laws.SMALLEST_SCALE).all()


def test_the_other_side_says_what_mean_to_expect():
    """With two shadows, the mean over records like it is a better guess than the record's own."""
    rng = np.random.default_rng(0)
    truth = rng.normal(0, 3, 2000)
    values, other = rng.normal(np.maximum(truth, 0) + 2, 1.0, (2, 2000)), rng.normal(truth, 0.3)
    with_it, without = laws.fit_bayesian(values, other), laws.fit_bayesian(values)
    errors = [np.mean((one.mean - np.maximum(truth, 0) - 2) ** 2) for one in (with_it, without)]
    assert errors[0] < 0.5 * errors[1]
