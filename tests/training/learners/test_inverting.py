"""What adversaries train on features: ridge, networks, pools."""

import numpy as np
import pytest
import torch

from dosimeter.models.learners import inverse
from dosimeter.training.learners.inverting import fit_inverse
from dosimeter.training.learners.pool import auc, fit_pool
from dosimeter.training.learners.regression import fit_ridge


def test_ridge_attains_the_least_error_of_a_linear_gaussian_model():
    rng = np.random.default_rng(0)
    d, k, noise = 8, 5, 0.7
    root = rng.normal(size=(d, d)) / 3
    covariance, weight = root @ root.T, rng.normal(size=(d, k))
    x = rng.normal(size=(30_000, d)) @ root.T
    z = x @ weight + noise * rng.normal(size=(30_000, k))
    # posterior covariance of x given z, trace over d (a Gaussian prior, a linear encoder)
    least = np.trace(np.linalg.inv(weight @ weight.T / noise**2 + np.linalg.inv(covariance))) / d
    own, other = slice(0, 3000), slice(3000, None)
    found = fit_ridge(torch.from_numpy(z[own]), torch.from_numpy(x[own]), (1e-4, 1e-2, 1.0))
    error = float(((found.predict(torch.from_numpy(z[other])).numpy() - x[other]) ** 2).mean())
    assert error == pytest.approx(least, rel=0.02)


def test_the_penalty_is_that_of_the_least_leave_one_out_error():
    rng = np.random.default_rng(1)
    z, x = torch.from_numpy(rng.normal(size=(30, 12))), torch.from_numpy(rng.normal(size=(30, 4)))
    x += z[:, :4]
    penalties = (1e-3, 0.3, 30.0)

    def left_out(penalty):  # each record by a regression on the others, with the same centre and scale
        scaled = (z - z.mean(0)) / z.std(0, correction=0)
        total = 0.0
        for row in range(30):
            rest = np.delete(np.arange(30), row)
            a = torch.cat([scaled, torch.ones(30, 1)], 1)
            fine = torch.diag(torch.tensor([30 * penalty] * 12 + [0.0], dtype=torch.float64))
            weight = torch.linalg.solve(a[rest].T @ a[rest] + fine, a[rest].T @ x[rest])
            total += float(((a[row] @ weight - x[row]) ** 2).mean())
        return total

    assert fit_ridge(z, x, penalties).penalty == min(penalties, key=left_out)


def test_constant_features_and_few_records_are_no_trouble_to_ridge():
    x = torch.rand(20, 3, generator=torch.Generator().manual_seed(0))
    found = fit_ridge(torch.ones(20, 4), x, (0.1,))
    assert found.predict(torch.ones(2, 4)).numpy() == pytest.approx(np.tile(x.double().mean(0), (2, 1)))
    with pytest.raises(ValueError, match="three records"):
        fit_ridge(torch.ones(2, 4), x[:2], (0.1,))


@pytest.mark.parametrize(
    ("given", "made"), [((7,), (1, 6, 5)), ((4, 4, 4), (3, 16, 14)), ((4, 2, 2), (1, 8, 8)), ((9,), (5,))]
)
def test_an_inverse_gives_records_of_the_range(given, made):
    network = inverse(given, made, (-1.0, 3.0))
    with torch.no_grad():
        found = network(torch.randn(2, *given))
    assert found.shape == (2, *made)
    assert -1.0 <= float(found.min()) <= float(found.max()) <= 3.0


def test_a_network_learns_the_inverse_of_maps():
    rng = torch.Generator().manual_seed(0)
    x = torch.rand(200, 1, 8, 8, generator=rng)
    z = torch.cat([x, 1 - x], 1)
    found = fit_inverse(z[:100], x[:100], epochs=40, lr=0.005, seed=0)
    assert float(((found(z[160:]) - x[160:]) ** 2).mean()) < 0.3 * float(x.var())
    first, again = (fit_inverse(z[:32], x[:32], epochs=2, lr=0.003, seed=0) for _ in range(2))
    assert torch.equal(first(z[160:]), again(z[160:]))
    with pytest.raises(ValueError, match="16 records"):
        fit_inverse(z[:15], x[:15], epochs=1, lr=0.1, seed=0)


def test_a_pool_is_chosen_on_records_of_its_own_and_persons_are_held_back_whole():
    rng = np.random.default_rng(2)
    person = np.repeat(np.arange(40), 5)
    value = (np.arange(40) % 2)[person]
    look = rng.normal(size=(40, 6))[person] + rng.normal(0, 0.05, (200, 6))  # tells persons apart, and no value
    _, scores = fit_pool(look, value, ("neighbours", "logistic"), persons=person, seed=0)
    assert max(scores.values()) < 0.85  # by records in place of persons, neighbours would know every value
    _, scores = fit_pool(look, value, ("neighbours",), persons=np.arange(200), seed=0)
    assert scores["neighbours"] > 0.95
    curved = rng.normal(size=(400, 2))
    outside = ((curved**2).sum(1) > 1.4).astype(int)
    best, scores = fit_pool(curved, outside, ("logistic", "svm"), persons=np.arange(400), seed=0)
    assert scores["svm"] > 0.95 > scores["logistic"]
    assert auc(best.log_scores(curved), outside) > 0.95


def test_wide_features_are_seen_by_their_components_and_few_labels_are_refused():
    rng = np.random.default_rng(3)
    value = np.arange(80) % 2
    wide = rng.normal(size=(80, 400)) + 1.5 * value[:, None]
    best, _ = fit_pool(wide, value, ("logistic",), persons=np.arange(80), seed=0)
    assert best.log_scores(wide).shape == (80, 2)
    with pytest.raises(ValueError, match="8 records of each"):
        fit_pool(wide, np.r_[np.ones(3, int), np.zeros(77, int)], ("logistic",), persons=np.arange(80), seed=0)
