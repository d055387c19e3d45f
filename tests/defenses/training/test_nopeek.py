"""NoPeek: distance correlation against its definition, and what training with it does."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dosimeter.defenses import NoPeek
from dosimeter.defenses.training.dependence import corrected_correlation, distance_correlation


def by_loops(x, z):
    """The square root of dCov² over the root of both dVar², from double-centred distances."""

    def centred(rows):
        n = len(rows)
        d = [[float(np.sqrt(((a - b) ** 2).sum())) for b in rows] for a in rows]
        means = [sum(row) / n for row in d]
        grand = sum(means) / n
        return [[d[i][j] - means[i] - means[j] + grand for j in range(n)] for i in range(n)]

    a, b = centred(x), centred(z)

    def mean(p, q):
        return sum(p[i][j] * q[i][j] for i in range(len(p)) for j in range(len(p))) / len(p) ** 2

    return np.sqrt(mean(a, b) / np.sqrt(mean(a, a) * mean(b, b)))


def draws(seed, n=20, d=3, k=2):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    return x, x[:, :k] ** 2 + 0.5 * rng.normal(size=(n, k))


@pytest.mark.parametrize("seed", range(3))
def test_the_distance_correlation_is_that_of_the_definition(seed):
    x, z = draws(seed)
    found = float(distance_correlation(torch.from_numpy(x), torch.from_numpy(z)))
    assert found == pytest.approx(by_loops(x, z), rel=1e-8)


def test_of_a_set_with_itself_it_is_1_and_moving_turning_or_permuting_changes_nothing():
    x, z = (torch.from_numpy(one) for one in draws(1, 60))
    assert float(distance_correlation(x, x)) == pytest.approx(1.0)
    assert float(distance_correlation(x, 3 * x + 7)) == pytest.approx(1.0)
    turn = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64))[0]
    whole = float(distance_correlation(x, z))
    assert float(distance_correlation(x @ turn, z)) == pytest.approx(whole)
    order = torch.from_numpy(np.random.default_rng(0).permutation(60))
    assert float(distance_correlation(x[order], z[order])) == pytest.approx(whole)
    assert abs(float(distance_correlation(x[order], z)) - whole) > 0.01


def test_of_independent_sets_it_is_small_for_256_records_and_large_for_16():
    rng = np.random.default_rng(0)
    sizes = ((16, 8), (256, 8), (1024, 8), (1024, 2))
    sets = [[torch.from_numpy(rng.normal(size=size)) for _ in range(2)] for size in sizes]
    few, many, most, narrow = (float(distance_correlation(*pair)) for pair in sets)
    assert narrow < most < many < few / 2  # the more numbers and the fewer records, the further above 0
    assert narrow < 0.1


def test_the_corrected_one_has_mean_0_for_independent_sets_of_any_size():
    rng = np.random.default_rng(0)
    found = [
        float(corrected_correlation(*(torch.from_numpy(rng.normal(size=(16, 8))) for _ in range(2))))
        for _ in range(400)
    ]
    assert abs(np.mean(found)) < 3 * np.std(found) / 20
    x = torch.from_numpy(rng.normal(size=(16, 8)))
    assert float(corrected_correlation(x, x)) == pytest.approx(1.0)


def test_constant_or_equal_records_give_0_and_finite_slopes():
    x = torch.ones(6, 3, requires_grad=True)
    z = torch.rand(6, 2)
    distance_correlation(z, x).backward()
    assert float(distance_correlation(z, x.detach())) == 0.0
    assert torch.isfinite(x.grad).all()
    twice = torch.cat([z[:3], z[:3]]).requires_grad_(True)
    distance_correlation(torch.rand(6, 4), twice).backward()
    assert torch.isfinite(twice.grad).all()


def test_the_slope_is_that_of_small_steps():
    x, z = (torch.from_numpy(one) for one in draws(2, 12))
    z = z.requires_grad_(True)
    assert torch.autograd.gradcheck(lambda one: distance_correlation(x, one), (z,), eps=1e-6, atol=1e-5)


def test_descent_on_it_makes_features_that_depend_less_on_the_records():
    torch.manual_seed(0)
    x = torch.randn(128, 6)
    layer = torch.nn.Linear(6, 4)
    optimiser = torch.optim.Adam(layer.parameters(), lr=0.01)
    defense, before = NoPeek(alpha=1.0), float(distance_correlation(x, layer(x).detach()))
    noise = torch.randn(128, 4)
    for _ in range(60):
        optimiser.zero_grad()
        defense.charge_cut(x, layer(x) + noise, torch.zeros(128)).backward()
        optimiser.step()
    assert float(distance_correlation(x, (layer(x) + noise).detach())) < before - 0.2
