"""What Fisher information says: exact for normal records and a linear half, and attained by the ridge attack."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dosimeter.families.split.attacks import RidgeInverse
from dosimeter.families.split.game import Auxiliary, SplitGame
from dosimeter.statistics.intervals.crossed import Interval
from dosimeter.statistics.leakage.information import (
    by_groups,
    channel_bits,
    left_out,
    predicted_mse,
    unbiased_bound,
)
from dosimeter.statistics.leakage.local_privacy import gaussian_epsilon, laplace_epsilon


def normal_case(seed, sigma, n=40_000, d=5, k=3):
    rng = np.random.default_rng(seed)
    root, weight = rng.normal(size=(d, d)), rng.normal(size=(k, d))
    x = rng.normal(size=(n, d)) @ root.T
    z = x @ weight.T + sigma * rng.normal(size=(n, k))
    return x, z, weight, root @ root.T


@pytest.mark.parametrize("sigma", [0.3, 1.0, 4.0])
def test_the_prediction_is_the_least_error_of_a_linear_normal_model_and_ridge_attains_it(sigma):
    x, z, weight, covariance = normal_case(1, sigma)
    predicted = predicted_mse(weight.T @ weight / sigma**2, covariance)
    posterior = covariance - covariance @ weight.T @ np.linalg.solve(
        weight @ covariance @ weight.T + sigma**2 * np.eye(3), weight @ covariance
    )
    assert predicted == pytest.approx(np.trace(posterior) / 5, rel=1e-9)
    half = len(x) // 2
    tensors = [torch.from_numpy(one.astype(np.float32)) for one in (z[:half], x[:half], z[half:])]
    side = Auxiliary(tensors[0], tensors[1], np.zeros(half, int), np.arange(half))
    made = RidgeInverse().run(SplitGame(np.arange(half), tensors[2], side), np.random.default_rng(0)).values[0, :, 0]
    assert ((made - x[half:]) ** 2).mean() == pytest.approx(predicted, rel=0.02)


def test_a_singular_covariance_is_allowed_and_without_information_the_variance_is_left():
    covariance = np.diag([2.0, 0.0, 1.0])
    assert predicted_mse(np.zeros((3, 3)), covariance) == pytest.approx(1.0)
    assert predicted_mse(1e12 * np.eye(3), covariance) == pytest.approx(0.0, abs=1e-6)


def test_the_bound_holds_for_an_attack_without_bias_and_not_for_one_that_knows_the_records():
    rng = np.random.default_rng(0)
    x, sigma = rng.normal(size=20_000), 3.0
    z = x + sigma * rng.normal(size=x.shape)
    bound = unbiased_bound(Interval(1 / sigma**2, 1 / sigma**2, 1 / sigma**2, "")).value
    assert ((z - x) ** 2).mean() == pytest.approx(bound, rel=0.05)
    assert ((z / (1 + sigma**2) - x) ** 2).mean() < bound / 5


def test_the_channel_is_that_of_the_normal_law():
    rng = np.random.default_rng(3)
    root = rng.normal(size=(3, 3))
    covariance = root @ root.T
    whole = covariance + 0.25 * np.eye(3)
    wanted = 0.5 * (np.linalg.slogdet(whole)[1] - 3 * np.log(0.25)) / np.log(2)
    assert channel_bits(covariance, 0.5) == pytest.approx(wanted)


def test_the_interval_over_groups_covers_a_mean():
    rng, covered = np.random.default_rng(4), 0
    for _ in range(300):
        groups = rng.normal(size=(10, 8)).mean(1)
        found = by_groups(left_out(lambda kept, own=groups: 5 + float(own[kept].mean())), 0.95)
        covered += found.low <= 5 <= found.high
    assert covered >= 270


def test_epsilon_of_gaussian_noise_meets_delta_by_simulation_of_the_worst_case():
    # Of two records whose features differ by r, the privacy loss is normal with mean r²/2 and variance r².
    for ratio, delta in ((0.5, 1e-2), (2.0, 1e-3)):
        epsilon = gaussian_epsilon(ratio, delta)
        loss = ratio**2 / 2 + ratio * np.random.default_rng(1).normal(size=2_000_000)
        found = np.maximum(0.0, 1 - np.exp(epsilon - loss)).mean()
        assert found == pytest.approx(delta, rel=0.05)
    assert gaussian_epsilon(1e-4, 0.1) == 0.0
    assert laplace_epsilon(0.7) == 0.7


def test_the_exact_epsilon_is_below_the_classical_one():
    for epsilon in (0.2, 0.5, 0.9):
        ratio = epsilon / np.sqrt(2 * np.log(1.25 / 1e-5))
        assert gaussian_epsilon(ratio, 1e-5) < epsilon
