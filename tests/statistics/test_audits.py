"""Lower bounds of epsilon: stored vectors, closed forms, coverage by simulation, edges."""

import numpy as np
import pytest
from scipy import integrate
from scipy.stats import beta, binom, binomtest, norm

from dosimeter.statistics import privacy_bounds
from dosimeter.statistics.privacy_bounds import (
    best_threshold,
    delta_of,
    epsilon_bound,
    epsilon_of,
    lower_bound,
    lower_bound_of_scores,
    mu_bound,
    upper_rate,
)


def one(count):
    return np.array([count])


@pytest.mark.parametrize(("hits", "alarms", "wanted"), [(500, 1, 4.434), (50, 0, 2.316)])
def test_known_vectors_of_the_clopper_pearson_bound(hits, alarms, wanted):
    found = lower_bound(one(hits), 1000, one(alarms), 1000, epsilon_bound(0.0))
    assert found == pytest.approx(wanted, abs=5e-4)
    mirrored = lower_bound(one(1000 - alarms), 1000, one(1000 - hits), 1000, epsilon_bound(0.0))
    assert mirrored == pytest.approx(found, abs=1e-9)  # the other direction of the same audit


@pytest.mark.parametrize(("mu", "epsilon"), [(0.5, 1.99), (1.0, 4.38), (2.0, 10.0), (3.0, 16.7)])
def test_epsilon_of_gaussian_privacy_has_the_known_values(mu, epsilon):
    assert epsilon_of(1e-5, mu) == pytest.approx(epsilon, rel=0.004)
    assert delta_of(epsilon_of(1e-5, mu), mu) == pytest.approx(1e-5, rel=1e-6)


@pytest.mark.parametrize(("epsilon", "mu"), [(0.0, 0.7), (1.0, 0.7), (3.0, 2.0), (10.0, 2.5)])
def test_delta_is_the_hockey_stick_divergence_by_integration(epsilon, mu):
    start = epsilon / mu + mu / 2  # where N(mu, 1) outweighs e^epsilon N(0, 1)
    excess = lambda x: norm.pdf(x, mu) - np.exp(epsilon) * norm.pdf(x)  # noqa: E731
    wanted, _ = integrate.quad(excess, start, start + 40, epsabs=1e-14)
    assert delta_of(epsilon, mu) == pytest.approx(wanted, rel=1e-5, abs=1e-12)


def test_the_upper_rate_is_that_of_the_binomial_law():
    for count, trials in ((0, 10), (3, 10), (9, 10), (1, 1000)):
        found = float(upper_rate(one(count), trials, 0.025)[0])
        assert binom.cdf(count, trials, found) == pytest.approx(0.025, rel=1e-6)
        assert found == pytest.approx(beta.ppf(0.975, count + 1, trials - count), rel=1e-9)
    assert upper_rate(one(10), 10, 0.025)[0] == 1.0


def test_bounds_are_those_of_the_formula_at_every_threshold():
    hits, alarms, delta = np.array([900, 500, 20]), np.array([500, 40, 0]), 1e-3
    tail = 0.05 / 2 / 3
    fnr, fpr = ([beta.ppf(1 - tail, count + 1, 1000 - count) for count in counts] for counts in (1000 - hits, alarms))
    wanted = max(max(np.log((1 - a - delta) / b), np.log((1 - b - delta) / a)) for a, b in zip(fnr, fpr, strict=True))
    assert lower_bound(hits, 1000, alarms, 1000, epsilon_bound(delta)) == pytest.approx(wanted, rel=1e-9)
    wanted = max(norm.ppf(1 - b) - norm.ppf(a) for a, b in zip(fnr, fpr, strict=True))
    assert lower_bound(hits, 1000, alarms, 1000, mu_bound) == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("bound", [epsilon_bound(1e-5), mu_bound], ids=["epsilon", "mu"])
@pytest.mark.parametrize("counts", [(0, 50, 0, 50), (50, 50, 50, 50), (0, 50, 50, 50), (1, 1, 0, 1)])
def test_counts_at_the_edge_that_show_nothing_give_zero(bound, counts):
    hits, members, alarms, nonmembers = counts
    assert lower_bound(one(hits), members, one(alarms), nonmembers, bound) == 0


def test_a_perfect_attack_is_limited_by_its_number_of_decisions():
    found = [lower_bound(one(n), n, one(0), n, epsilon_bound(0.0)) for n in (10, 100, 1000)]
    assert found == sorted(found)
    assert found[-1] == pytest.approx(np.log(0.025 ** (1 / 1000) / (1 - 0.025 ** (1 / 1000))), rel=1e-9)


def test_ties_count_on_neither_side():
    scores = np.array([0.0, 1.0, 1.0, 2.0])
    counted = privacy_bounds._above(scores, "member", np.array([-1.0, 0.0, 1.0, 2.0]))
    assert counted.tolist() == [4, 3, 1, 0]
    assert lower_bound_of_scores(np.ones(500), np.ones(500), np.array([1.0]), epsilon_bound(0.0)) == 0
    assert best_threshold(np.ones(5) * 2, np.ones(5), mu_bound) == 1.0


def test_more_thresholds_cost_what_bonferroni_says():
    hits, alarms = np.array([500, 500]), np.array([1, 1])
    wanted = lower_bound(one(500), 1000, one(1), 1000, epsilon_bound(0.0), alpha=0.025)
    assert lower_bound(hits, 1000, alarms, 1000, epsilon_bound(0.0)) == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: lower_bound(one(1), 0, one(0), 5, mu_bound), "trials must be in"),
        (lambda: lower_bound(one(6), 5, one(0), 5, mu_bound), "counts must be in"),
        (lambda: lower_bound(np.array([], int), 5, np.array([], int), 5, mu_bound), "one count per threshold"),
        (lambda: lower_bound_of_scores(np.array([np.nan]), np.zeros(1), np.zeros(1), mu_bound), "must be finite"),
        (lambda: epsilon_of(0.0, 1.0), "delta must be in"),
        (lambda: epsilon_bound(1.0), "delta must be in"),
    ],
)
def test_wrong_arguments_are_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize("mu", [0.0, 0.5, 1.5])
def test_bounds_are_above_the_truth_no_more_often_than_stated(mu):
    """400 audits of a Gaussian mechanism, threshold chosen on one half of the runs and tested on the other."""
    rng, delta, found = np.random.default_rng(7), 1e-3, []
    epsilon = epsilon_of(delta, mu) if mu else 0.0
    fixed = np.array([-0.5, mu / 2, mu + 0.5])
    for _ in range(400):
        member, nonmember = rng.normal(mu, 1, 200), rng.normal(0, 1, 200)
        chosen = np.array([best_threshold(member[:100], nonmember[:100], mu_bound, alpha=0.1)])
        found.append([
            lower_bound_of_scores(member[100:], nonmember[100:], chosen, mu_bound, alpha=0.1),
            lower_bound_of_scores(member, nonmember, fixed, epsilon_bound(delta), alpha=0.1),
            lower_bound_of_scores(member, nonmember, fixed, mu_bound, alpha=0.1),
        ])  # fmt: skip
    over = (np.array(found) > [mu, epsilon, mu]).sum(0)
    assert all(binomtest(int(k), 400, 0.1, alternative="greater").pvalue > 1e-3 for k in over), over
    assert float(np.mean(found, 0)[2]) >= 0.2 * mu  # not so loose that this shows nothing
