"""Errors of pictures against scikit-image and a twin by loops."""

import inspect

import numpy as np
import pytest

from dosimeter.statistics.leakage.pixels import LEAST_ERROR, mean_of, mse, psnr, ssim


def pictures(seed, side, channels=1, count=3):
    rng = np.random.default_rng(seed)
    true = rng.random((count, channels, side, side + 2))
    return np.clip(true + rng.normal(0, 0.2, true.shape), 0, 1), true


def ssim_by_loops(made, true, weight):
    """Equation 13 of the paper, window by window."""
    k, (h, w) = len(weight), made.shape
    found = []
    for i in range(h - k + 1):
        for j in range(w - k + 1):
            a, b = made[i : i + k, j : j + k], true[i : i + k, j : j + k]
            mean_a, mean_b = (weight * a).sum(), (weight * b).sum()
            var_a, var_b = (weight * (a - mean_a) ** 2).sum(), (weight * (b - mean_b) ** 2).sum()
            both = (weight * (a - mean_a) * (b - mean_b)).sum()
            found.append(
                (2 * mean_a * mean_b + 1e-4) * (2 * both + 9e-4)
                / ((mean_a**2 + mean_b**2 + 1e-4) * (var_a + var_b + 9e-4))
            )  # fmt: skip
    return np.mean(found)


@pytest.mark.parametrize(("side", "k", "sigma"), [(8, 7, None), (5, 5, None), (30, 11, 1.5)])
def test_ssim_is_that_of_the_definition(side, k, sigma):
    made, true = pictures(0, side)
    place = np.arange(k) - k // 2
    line = np.ones(k) if sigma is None else np.exp(-(place**2) / (2 * sigma**2))
    weight = np.outer(line, line) / np.outer(line, line).sum()
    slow = [ssim_by_loops(a[0], b[0], weight) for a, b in zip(made, true, strict=True)]
    assert ssim(made, true) == pytest.approx(slow, abs=1e-9)


@pytest.mark.parametrize(("side", "options"), [(12, {"win_size": 7}), (32, {"gaussian_weights": True, "sigma": 1.5})])
def test_ssim_is_that_of_scikit_image(side, options):
    metrics = pytest.importorskip("skimage.metrics", reason="scikit-image is an optional package")
    made, true = pictures(1, side, channels=3)
    for index in range(len(made)):
        other = metrics.structural_similarity(
            made[index], true[index], channel_axis=0, data_range=1.0, use_sample_covariance=False, **options
        )
        assert ssim(made, true)[index] == pytest.approx(other, abs=1e-7)
        error = mse(made, true)[index]
        assert error == pytest.approx(metrics.mean_squared_error(made[index], true[index]))
        other = metrics.peak_signal_noise_ratio(true[index], made[index], data_range=1.0)
        assert psnr(np.array([error]))[0] == pytest.approx(other)


def test_a_copy_is_alike_and_similarity_has_no_direction():
    made, true = pictures(2, 9)
    assert ssim(true, true) == pytest.approx(np.ones(3))
    assert ssim(made, true) == pytest.approx(ssim(true, made))
    assert psnr(mse(true, true)).tolist() == pytest.approx([-10 * np.log10(LEAST_ERROR)] * 3)


def test_what_is_no_picture_and_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="pictures must have shape"):
        inspect.unwrap(ssim)(np.zeros((2, 4)), np.zeros((2, 4)))
    with pytest.raises(ValueError, match="must have the shape of the records"):
        inspect.unwrap(mse)(np.zeros((2, 4)), np.zeros((2, 5)))
    with pytest.raises(ValueError, match="must have the shape of the records"):
        mse(np.zeros((0, 4)), np.zeros((0, 4)))
    with pytest.raises(ValueError, match="finite"):
        mean_of(np.array([[np.nan]]), np.arange(1))


def test_a_mean_covers_and_records_of_a_person_move_together():
    rng, hits = np.random.default_rng(3), 0
    for _ in range(300):
        found = mean_of(rng.gamma(2.0, 0.5, (1, 40)), np.arange(40))
        hits += found.low <= 1.0 <= found.high
    assert hits / 300 > 0.9
    values = np.repeat(rng.normal(size=(1, 20)), 5, axis=1)
    alone, together = (mean_of(values, record) for record in (np.arange(100), np.repeat(np.arange(20), 5)))
    assert together.high - together.low > 2 * (alone.high - alone.low)
    cut = mean_of(np.abs(values) / 100, np.arange(100), limits=(0.0, 1.0))
    assert cut.low >= 0
