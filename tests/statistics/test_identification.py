"""Identification among N: slow twins, known laws of random matchings, coverage of the test's level."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from dosimeter.statistics.identification import exchange_names, place_of, placed, rate_of, recognised, would_show


def rng(seed=0):
    return np.random.default_rng(seed)


def drawn(n=12, t=2, ties=False, leak=0.0, seed=0):
    values = rng(seed).normal(size=(t, n, n))
    values = np.round(values) if ties else values
    return values + leak * np.eye(n)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("top", [1, 3])
def test_hits_and_places_are_those_of_a_slow_twin(ties, top):
    similarity = drawn(ties=ties)
    hits, places = recognised(similarity, top), placed(similarity)
    for target, row in itertools.product(range(2), range(12)):
        own, others = similarity[target, row, row], np.delete(similarity[target, row], row)
        assert hits[target, row] == (sum(other >= own for other in others) < top)
        expected = np.mean([1.0 if other < own else 0.5 if other == own else 0.0 for other in others])
        assert places[target, row] == pytest.approx(expected)


def test_a_picture_that_is_the_same_for_all_is_recognised_for_exactly_one():
    similarity = np.tile(rng().normal(size=8), (1, 8, 1))
    assert recognised(similarity).sum() == 1
    assert placed(similarity).mean() == pytest.approx(0.5)


@pytest.mark.parametrize(
    "wrong", [np.zeros((1, 3, 2)), np.full((1, 3, 3), np.nan), np.zeros((1, 1, 1)), np.zeros((0, 3, 3))]
)
def test_what_is_no_matrix_of_similarities_is_refused(wrong):
    with pytest.raises(ValueError, match="similarity must be"):
        recognised(wrong)
    with pytest.raises(ValueError, match="similarity"):
        exchange_names({"a": wrong}, rng=rng())
    with pytest.raises(ValueError, match="top must be"):
        recognised(np.zeros((1, 3, 3)), top=4)


def test_the_p_values_are_those_of_all_exchanges():
    similarity = {"a": drawn(5, 2, leak=0.7, seed=3), "b": drawn(5, 2, ties=True, seed=4)}
    found = exchange_names(similarity, rng=rng(), draws=60_000)
    laws = {recognised: [], placed: []}
    for names in itertools.permutations(range(5)):
        for statistic, law in laws.items():
            law.append(max(statistic(one[:, np.argsort(names)]).mean(0).sum() for one in similarity.values()))
    for got, law in ((found.p_recognised, laws[recognised]), (found.p_placed, laws[placed])):
        exact = np.mean(np.array(law) >= law[0] - 1e-9)  # the first order is that of the true names
        assert got == pytest.approx(exact, abs=4 * math.sqrt(0.25 / 60_000))


def test_what_is_needed_is_that_of_random_matchings():
    """If each reconstruction looks like one other identity, a random order has as many hits as it has fixed points."""
    n = 20
    similarity = np.eye(n)[np.roll(np.arange(n), 1)][None]
    found = exchange_names({"a": similarity}, rng=rng(), draws=20_000)
    law = [math.exp(-1) / math.factorial(k) for k in range(12)]  # Poisson: exact to 1/20! for so many
    least = next(k for k in range(12) if sum(law[k:]) <= 0.025)
    assert found.needed * n == pytest.approx(least)
    assert found.p_recognised == 1.0


def test_the_test_keeps_its_level_where_nothing_leaks_and_has_power_where_something_does():
    false, true = [], []
    for seed in range(200):
        null = {name: drawn(10, 1, seed=1000 * number + seed) for number, name in enumerate("abc")}
        false.append(exchange_names(null, rng=rng(seed), draws=299).shown)
        leak = {**null, "c": drawn(10, 1, leak=3.0, seed=seed)}
        true.append(exchange_names(leak, rng=rng(seed), draws=299).shown)
    assert np.mean(false) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 200)
    assert np.mean(true) >= 0.9


def test_a_biased_judge_is_no_leak():
    """All reconstructions look like the same three identities, whoever they were made for."""
    n = 30
    similarity = drawn(n, 1, seed=5)
    similarity[..., :3] += 5.0
    assert not exchange_names({"a": similarity}, rng=rng()).shown


@pytest.mark.parametrize(("n", "needed"), [(20, 0.2), (7, 4 / 7), (50, 0.08)])
def test_what_would_be_shown_is_shown_9_times_in_10(n, needed):
    share = would_show(n, needed)
    successes = rng().binomial(n, share, 200_000)
    assert np.mean(successes >= needed * n - 1e-9) == pytest.approx(0.9, abs=0.005)


def test_too_few_identities_show_nothing():
    found = exchange_names({"a": np.eye(3)[None]}, rng=rng())
    assert found.needed > 1
    assert not found.shown
    assert would_show(3, found.needed) == 1.0


@pytest.mark.parametrize("targets", [1, 3])
def test_intervals_cover(targets):
    missed = {"rate": 0, "place": 0}
    for seed in range(300):
        places = rng(seed).beta(2, 1, (1, 25)) + 0 * rng(seed).normal(size=(targets, 1))
        places = np.clip(places + rng(seed + 500).normal(0, 0.05, (targets, 25)), 0, 1)
        rate, place = rate_of(places > 0.8, rng=rng()), place_of(places)
        missed["rate"] += not rate.low <= 1 - 0.8**2 <= rate.high
        missed["place"] += not place.low <= 2 / 3 <= place.high
    assert max(missed.values()) <= 300 * 0.05 + 4 * math.sqrt(300 * 0.05 * 0.95)


def test_six_attacks_on_20_identities_would_show_a_third():
    """The page on inversion says about 36 %."""
    nothing = {str(seed): drawn(20, 1, seed=seed) for seed in range(6)}
    found = exchange_names(nothing, rng=rng())
    assert found.needed == pytest.approx(5 / 20)
    assert would_show(20, found.needed) == pytest.approx(0.36, abs=0.005)
