"""Epsilon against closed forms and a slow twin, noise against Opacus' own search, batches against their law."""

import sys

import numpy as np
import pytest
from scipy.stats import chisquare, norm

from dosimeter.foundation.errors import ConfigError, TrainingError
from dosimeter.statistics.privacy_bounds import epsilon_of
from dosimeter.training.private.accounting import check_sampling, noise_for, poisson, spent_epsilon


def epsilon_twin(noise, rate, steps, delta, *, add):
    """Bounds of epsilon from below and above: losses of one update rounded down and up to a grid, convolved one by one.

    Args:
        noise: noise multiplier.
        rate: sampling rate.
        steps: updates.
        delta: of the guarantee.
        add: the record is added rather than removed.
    """
    width, span = 2e-3, 12.0
    edges = np.arange(-span, span + width / 2, width)
    # The loss is log((1 - q) + q exp((2 x - 1) / (2 noise^2))), or its negative; x where it crosses each edge:
    crossed = np.exp(-edges if add else edges) - (1 - rate)
    with np.errstate(divide="ignore", invalid="ignore"):
        x = np.where(crossed > 0, noise**2 * np.log(np.maximum(crossed, 1e-300) / rate) + 0.5, -np.inf)
    mixed = (1 - rate) * norm.cdf(x / noise) + rate * norm.cdf((x - 1) / noise)
    below = 1 - norm.cdf(x / noise) if add else mixed
    mass = np.diff(np.concatenate([[0.0], below, [1.0]]))
    down, up = np.concatenate([[mass[0] + mass[1]], mass[2:]]), np.concatenate([mass[:-2], [mass[-2] + mass[-1]]])
    found = []
    for one in (down, up):
        total = one
        for _ in range(steps - 1):
            total = np.convolve(total, one)
        losses = -steps * span + width * np.arange(len(total))
        excess = lambda e, p=total, at=losses: float((p * np.maximum(1 - np.exp(np.minimum(e - at, 0)), 0)).sum())  # noqa: E731
        low, high = 0.0, 50.0
        for _ in range(60):
            low, high = ((low + high) / 2, high) if excess((low + high) / 2) > delta else (low, (low + high) / 2)
        found.append(high)
    return found


@pytest.mark.parametrize("accountant", ["prv", "rdp"])
@pytest.mark.parametrize(("noise", "steps", "delta"), [(1.0, 1, 1e-5), (4.0, 20, 1e-3), (30.0, 100, 1e-6)])
def test_without_sampling_epsilon_is_that_of_gaussian_privacy(noise, steps, delta, accountant):
    exact = epsilon_of(delta, np.sqrt(steps) / noise)
    found = spent_epsilon(noise, delta=delta, rate=1.0, steps=steps, accountant=accountant)
    assert exact <= found <= exact * (1.02 if accountant == "prv" else 1.4) + 0.01


@pytest.mark.parametrize(("noise", "rate", "steps"), [(0.8, 0.2, 4), (1.5, 0.5, 6), (0.7, 0.05, 8)])
def test_epsilon_is_between_the_bounds_of_a_slow_twin_whichever_way_the_sets_differ(noise, rate, steps):
    bounds = [epsilon_twin(noise, rate, steps, 1e-4, add=add) for add in (False, True)]
    low, high = max(one[0] for one in bounds), max(one[1] for one in bounds)
    assert high - low < 0.05 * high
    found = spent_epsilon(noise, delta=1e-4, rate=rate, steps=steps, accountant="prv")
    assert low <= found <= high * 1.02 + 0.01
    assert spent_epsilon(noise, delta=1e-4, rate=rate, steps=steps, accountant="rdp") >= low


@pytest.mark.parametrize("accountant", ["prv", "rdp"])
@pytest.mark.parametrize("epsilon", [0.3, 4.0, 40.0])
def test_the_noise_spends_epsilon_up_to_one_percent(epsilon, accountant):
    kind = {"delta": 1e-4, "rate": 0.1, "steps": 60, "accountant": accountant}
    noise = noise_for(epsilon, **kind)
    assert 0.989 * epsilon <= spent_epsilon(noise, **kind) <= epsilon


@pytest.mark.filterwarnings("ignore:Optimal order")
def test_the_noise_is_what_opacus_finds():
    from opacus.accountants.utils import get_noise_multiplier

    wanted = get_noise_multiplier(target_epsilon=2.0, target_delta=1e-4, sample_rate=0.1, steps=30, accountant="rdp")
    assert noise_for(2.0, delta=1e-4, rate=0.1, steps=30, accountant="rdp") == pytest.approx(wanted, rel=0.01)


def test_batches_are_independent_coins():
    rng, n, rate, draws = np.random.default_rng(3), 40, 0.15, 8000
    drawn = np.zeros((draws, n), dtype=bool)
    for one in drawn:
        rows = poisson(rng, n, rate)
        assert len(np.unique(rows)) == len(rows)
        one[rows] = True
    sizes = drawn.sum(1)
    assert sizes.mean() == pytest.approx(n * rate, abs=4 * np.sqrt(n * rate * (1 - rate) / draws))
    assert sizes.var() == pytest.approx(n * rate * (1 - rate), rel=4 * np.sqrt(2 / draws))
    assert chisquare(drawn.sum(0)).pvalue > 1e-3
    apart = np.corrcoef(drawn.T.astype(float))[np.triu_indices(n, 1)]
    assert np.abs(apart).max() < 5 / np.sqrt(draws)
    assert len(poisson(rng, n, 1.0)) == n


SHUFFLED = {
    "one size": ([8] * 50, 100, 0.08),
    "one size and a last batch": ([32, 32, 32, 4] * 20, 100, 0.32),
    "few records": ([2, 2, 2, 2, 1] * 40, 9, 2 / 9),
    "many records": ([500] * 100, 50_000, 0.01),
}


@pytest.mark.parametrize(("sizes", "n", "rate"), SHUFFLED.values(), ids=SHUFFLED)
def test_batches_of_a_shuffle_are_refused(sizes, n, rate):
    with pytest.raises(TrainingError, match=f"independent coins, got sizes {min(sizes)} to {max(sizes)} in"):
        check_sampling(sizes, n, rate)


@pytest.mark.parametrize(("n", "rate"), [(9, 2 / 9), (100, 0.08), (100, 0.5), (50_000, 0.01), (60_000, 0.5)])
def test_batches_of_coins_pass(n, rate):
    rng = np.random.default_rng(0)
    for steps in (1, 30, 1000):
        for _ in range(50):
            check_sampling(rng.binomial(n, rate, steps).tolist(), n, rate)
    check_sampling([100] * 50, 100, 1.0)
    check_sampling([8] * 15, 100, 0.08)  # so few say nothing


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: spent_epsilon(0.06, delta=1e-5, rate=0.5, steps=500, accountant="prv"), "use accountant = 'rdp'"),
        (lambda: noise_for(1e-5, delta=1e-9, rate=1.0, steps=10**6, accountant="rdp"), "raise it, or lower epochs"),
    ],
)
def test_what_cannot_be_counted_is_refused_in_one_line(call, words):
    with pytest.raises(ConfigError, match=words) as caught:
        call()
    assert len(caught.value.problems) == 1


def test_without_opacus_the_remedy_is_its_name(monkeypatch):
    monkeypatch.setitem(sys.modules, "opacus", None)
    with pytest.raises(ConfigError, match=r'got .+: run pip install "dosimeter\[dp\]"$'):
        spent_epsilon(1.234, delta=1e-5, rate=0.5, steps=5, accountant="prv")
