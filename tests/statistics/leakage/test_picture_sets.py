"""The kernel inception distance: a slow twin, torchmetrics, a jackknife by hand, and what its intervals cover."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from dosimeter.statistics.leakage.picture_sets import (
    KernelSums,
    by_identity,
    kernel_distance,
    mean_distance,
    polynomial_kernel,
    real_sums,
    unbiased_distance,
)


def pictures(rng, n, d=6, shift=0.0):
    return rng.normal(size=(n, d)) + shift


def sums_of(made, real, labels):
    n = made.shape[1]
    return KernelSums(
        made=np.stack([polynomial_kernel(one, one) for one in made]),
        cross=np.stack([by_identity(polynomial_kernel(one, real), labels, n) for one in made]),
        real=real_sums(real, labels, n),
        counts=np.bincount(labels, minlength=n),
    )


def test_it_is_that_of_a_loop_over_pairs():
    rng = np.random.default_rng(0)
    x, y = pictures(rng, 5), pictures(rng, 7, shift=0.5)

    def kernel(a, b):
        return (sum(float(one) * float(other) for one, other in zip(a, b, strict=True)) / len(a) + 1) ** 3

    first = np.mean([kernel(x[i], x[j]) for i, j in product(range(5), repeat=2) if i != j])
    second = np.mean([kernel(y[i], y[j]) for i, j in product(range(7), repeat=2) if i != j])
    both = np.mean([kernel(a, b) for a, b in product(x, y)])
    assert unbiased_distance(x, y) == pytest.approx(first + second - 2 * both, rel=1e-10)


@pytest.mark.filterwarnings("ignore:Metric `Kernel Inception Distance` will save:UserWarning")
def test_it_is_that_of_torchmetrics():
    image = pytest.importorskip(
        "torchmetrics.image.kid", reason="torchmetrics is not among the packages of `make install`"
    )
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    real, made = rng.random((2, 20, 3, 4, 4))
    metric = image.KernelInceptionDistance(torch.nn.Flatten(), subsets=2, subset_size=20, normalize=False)
    metric.update(torch.from_numpy(real).float(), real=True)
    metric.update(torch.from_numpy(made).float(), real=False)
    wanted, spread = metric.compute()
    assert float(spread) == pytest.approx(0, abs=1e-5)  # each subset is the whole set
    assert unbiased_distance(real.reshape(20, -1), made.reshape(20, -1)) == pytest.approx(float(wanted), abs=1e-4)


def test_of_one_set_it_is_near_nothing_and_far_from_another():
    rng = np.random.default_rng(2)
    found = [unbiased_distance(pictures(rng, 50), pictures(rng, 60)) for _ in range(100)]
    assert abs(np.mean(found)) < 4 * np.std(found) / 10
    x = pictures(rng, 200)
    assert abs(unbiased_distance(x, x)) < 0.1 < 1 < unbiased_distance(x, pictures(rng, 200, shift=1))


def test_sums_by_identity_give_the_distance_of_the_pictures_and_its_jackknife():
    rng = np.random.default_rng(3)
    labels = np.array([0, 0, 1, 2, 2, 2, 3, 4, 4])
    made, real = pictures(rng, 10).reshape(2, 5, 6), pictures(rng, 9, shift=0.3)
    found = kernel_distance(sums_of(made, real, labels))
    assert found.value == pytest.approx(np.mean([unbiased_distance(one, real) for one in made]), rel=1e-9)
    one = kernel_distance(sums_of(made[:1], real, labels))
    whole, without = unbiased_distance(made[0], real), []
    for identity in range(5):
        kept = np.arange(5) != identity
        without.append(unbiased_distance(made[0][kept], real[labels != identity]))
    each = 5 * whole - 4 * np.array(without)
    error = np.sqrt(np.var(each, ddof=1) / 5)
    assert (one.high - one.low) / 2 == pytest.approx(error * 2.776, rel=0.15)  # t with 4 degrees of freedom
    assert one.low < one.value < one.high


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_intervals_cover_the_distance_of_the_laws(shift):
    rng = np.random.default_rng(4)
    many = 2000
    truth = unbiased_distance(pictures(rng, many), pictures(rng, many, shift=shift))
    covered = 0
    for _ in range(100):
        made, real = pictures(rng, 25)[None], pictures(rng, 75, shift=shift)
        found = kernel_distance(sums_of(made, real, np.repeat(np.arange(25), 3)))
        covered += found.low <= truth <= found.high
    assert covered >= 88  # of 100; 95 are nominal


def test_a_mean_distance_and_its_interval():
    values = np.random.default_rng(5).random((1, 30))
    found = mean_distance(values)
    error = values.std(ddof=1) / np.sqrt(30)
    assert found.value == pytest.approx(values.mean())
    assert (found.high - found.low) / 2 == pytest.approx(2.045 * error, rel=0.1)
    assert mean_distance(np.array([[0.0, 0.0, 3.0]])).low == 0


def test_too_few_are_refused():
    one = np.zeros((1, 2))
    with pytest.raises(ValueError, match="two pictures or more, got 1 and 2"):
        unbiased_distance(one, np.zeros((2, 2)))
    with pytest.raises(ValueError, match="three or more"):
        kernel_distance(KernelSums(np.ones((1, 2, 2)), np.ones((1, 2, 2)), np.ones((2, 2)), np.array([2, 2])))
