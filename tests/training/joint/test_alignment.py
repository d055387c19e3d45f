"""CORAL and MMD: closed gradients against finite differences and automatic differentiation, zeros, unbiasedness."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dosimeter.foundation.errors import TrainingError
from dosimeter.training.joint.aligning import Discriminator, reversal
from dosimeter.training.joint.alignment import WIDTHS, coral, mmd, spread
from dosimeter.training.recipe import Hyperparameters

DISTANCES = {
    "coral": coral,
    "unbiased mmd": lambda a, b: mmd(a, b, width=3.0),
    "biased mmd": lambda a, b: mmd(a, b, width=3.0, unbiased=False),
}
every_distance = pytest.mark.parametrize("distance", DISTANCES.values(), ids=DISTANCES)


def batches(n=5, m=7, d=3, seed=0):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(size=(n, d))), torch.from_numpy(rng.normal(0.5, 2, size=(m, d)))


@every_distance
def test_gradients_equal_finite_differences(distance):
    step = 1e-5
    pair = batches()
    found = distance(*pair)
    for which, gradient in enumerate((found.source, found.receiver)):
        for place in np.ndindex(*gradient.shape):
            values = []
            for sign in (1, -1):
                moved = [one.clone() for one in pair]
                moved[which][place] += sign * step
                values.append(float(distance(*moved).value))
            assert float(gradient[place]) == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-5, abs=1e-8)


@every_distance
def test_gradients_equal_those_of_automatic_differentiation(distance):
    pair = [one.requires_grad_() for one in batches(seed=1)]
    found = distance(*pair)
    expected = torch.autograd.grad(found.value, pair)
    torch.testing.assert_close([found.source, found.receiver], list(expected), rtol=1e-9, atol=1e-12)


def test_values_equal_sums_by_loops():
    a, b = batches(3, 4, 2)
    both = torch.cat([a, b])
    pairs = [float((x - y) @ (x - y)) for i, x in enumerate(both) for j, y in enumerate(both) if i != j]
    width = spread(a, b)
    assert width == pytest.approx(np.mean(pairs))

    def kernel(x, y):
        return sum(np.exp(-float((x - y) @ (x - y)) / (2 * factor * width)) for factor in WIDTHS)

    within = [np.mean([kernel(x, y) for i, x in enumerate(s) for j, y in enumerate(s) if i != j]) for s in (a, b)]
    between = np.mean([kernel(x, y) for x in a for y in b])
    assert float(mmd(a, b).value) == pytest.approx(sum(within) - 2 * between)
    covariances = np.cov(a.numpy().T) - np.cov(b.numpy().T)
    assert float(coral(a, b).value) == pytest.approx((covariances**2).sum() / (4 * 2**2))


def test_a_batch_is_at_distance_0_from_itself():
    a, _ = batches()
    assert float(coral(a, a).value) == 0
    assert float(mmd(a, a, unbiased=False).value) == pytest.approx(0, abs=1e-12)
    assert float(mmd(a, a).value) < 0  # leaves out the diagonal within, not between


def test_unbiased_mmd_has_mean_0_where_nothing_differs():
    rng = np.random.default_rng(0)
    drawn = torch.from_numpy(rng.normal(size=(400, 2, 6, 3)))
    for unbiased, low, high in ((True, -3, 3), (False, 10, np.inf)):
        values = np.array([float(mmd(*pair, width=3.0, unbiased=unbiased).value) for pair in drawn])
        assert low < values.mean() / (values.std(ddof=1) / 20) < high


def discriminator(seed=0, width=3):
    """A discriminator in double precision, so that differences are exact enough."""
    found = Discriminator(width, Hyperparameters(momentum=0.0), seed=seed, device=torch.device("cpu"))
    found.network.double()
    return found


def test_the_reversed_gradient_is_that_of_minus_lambda_times_the_loss():
    step, share = 1e-6, 0.7
    pair = batches(seed=3)

    def loss(a, b):
        p, q = (torch.sigmoid(discriminator().network(one)) for one in (a, b))
        return float((-p.log().mean() - (1 - q).log().mean()).detach() / 2)

    found = discriminator().distance(*pair, rate=0.1, share=share)
    assert float(found.value) == pytest.approx(-share * loss(*pair))
    for which, gradient in enumerate((found.source, found.receiver)):
        for place in np.ndindex(*gradient.shape):
            values = []
            for sign in (1, -1):
                moved = [one.clone() for one in pair]
                moved[which][place] += sign * step
                values.append(loss(*moved))
            slope = (values[0] - values[1]) / (2 * step)
            assert float(gradient[place]) == pytest.approx(-share * slope, rel=1e-4, abs=1e-9)


def test_a_discriminator_learns_what_differs_and_nothing_where_nothing_does():
    rng, judge = np.random.default_rng(0), discriminator()
    for apart, low, high in ((3.0, 0.0, 0.1), (0.0, 0.6, 0.8)):
        losses = []
        for _ in range(200):
            a, b = (torch.from_numpy(rng.normal(mean, size=(64, 3))) for mean in (0.0, apart))
            losses.append(-float(judge.distance(a, b, rate=0.3, share=1.0).value))
        assert low <= np.mean(losses[-50:]) < high  # ln 2 = 0.69 for one that cannot tell
        judge = discriminator()


def test_the_reversal_grows_from_0_to_1():
    shares = [reversal(done) for done in np.linspace(0, 1, 11)]
    assert shares[0] == 0
    assert shares == sorted(shares)
    assert 0.999 < shares[-1] < 1


def test_what_has_no_distance_is_refused_in_one_line():
    a, b = batches()
    with pytest.raises(TrainingError, match="must have the same width, got 3 and 2: give both the same trunk"):
        coral(a, b[:, :2])
    with pytest.raises(TrainingError, match="batch_size: must be at least 2 to align features, got 1"):
        mmd(a[:1], b)
    with pytest.raises(TrainingError, match="batch_size: must be at least 2 to align features, got 1"):
        discriminator().distance(a[:1], b, rate=0.1, share=1.0)
    with pytest.raises(TrainingError, match="'dsn': the discriminator's loss must be finite, got nan: lower lr"):
        discriminator().distance(a * float("nan"), b, rate=0.1, share=1.0)
    with pytest.raises(TrainingError, match="must differ between records"):
        mmd(torch.ones(3, 2), torch.ones(3, 2))
